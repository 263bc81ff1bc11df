"""The worker's side of `worker`: a process that answers requests, file after file.

    standard input    a request in one line of JSON; after each part of a clip, a line that asks
                      for the next one
    standard output   answers: a line of JSON each, and the bytes of the arrays it names; frames
                      as they lie in memory, (T, H, W, 3)

A part is sent while the one before it is being used, never further ahead.
"""

import ctypes
import json
import math
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textreel.media.album import Part
from textreel.media.cutting import Cutting
from textreel.media.decode import Decoded, decode_clip, decode_pieces
from textreel.media.errors import MediaError
from textreel.media.look import look
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_pieces import Piece

if sys.platform != "win32":
    import resource

ALIVE_S = 0.25
"""A worker that makes progress says so this often."""
PR_SET_PDEATHSIG = 1
ARRAYS = ("frames", "frame_times_s", "sound")
Requests = queue.SimpleQueue[dict[str, Any]]


def serve(parent_pid: int) -> None:
    """Be a worker: read requests from standard input, write answers to standard output.

    Args:
        parent_pid: the process to die with.
    """
    _die_with(parent_pid)
    out = os.fdopen(os.dup(1), "wb")
    _send(out, {"kind": "alive"})
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    sys.excepthook = partial(_last_words, out)
    requests: Requests = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        _answer(requests.get(), out, requests)


def _last_words(
    out: BinaryIO,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    """Tell what no reader expected, which is a fault of ours, and end."""
    _send(out, {"kind": "fault", "what": f"{kind.__name__}: {error}"})
    os._exit(1)  # an orderly end would wait for the thread that reads requests, and abort


def _die_with(parent_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(0)


def _listen(requests: Requests) -> None:
    """Pass requests on; end the process, busy or not, when the parent closes the pipe."""
    for line in sys.stdin.buffer:
        requests.put(json.loads(line))
    os._exit(0)


def _limit_cpu(seconds: float) -> None:
    """Let the system end this process after so many more CPU seconds."""
    if sys.platform != "win32":
        usage = resource.getrusage(resource.RUSAGE_SELF)
        soft = math.ceil(usage.ru_utime + usage.ru_stime + seconds)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _answer(request: dict[str, Any], out: BinaryIO, requests: Requests) -> None:
    last = time.monotonic()

    def alive() -> None:
        nonlocal last
        if (now := time.monotonic()) - last > ALIVE_S:
            last = now
            _send(out, {"kind": "alive"})

    limit = partial(_limit_cpu, request.pop("cpu_s"))
    limit()
    in_parts = request.pop("parts", False) or "cutting" in request
    parts = _Parts(out, requests) if in_parts else None
    request["spec"] = SamplingSpec.from_dict(request["spec"])
    try:
        answer = _read(request, alive, parts, limit)
    except MediaError as error:
        fields = {"source": error.source, "cause": error.cause, "hint": error.hint}
        answer = [{"kind": "error", "type": type(error).__name__, **fields}]
    if parts is not None:
        parts.wait()
    _send(out, *answer)


def _read(
    request: dict[str, Any],
    alive: Callable[[], None],
    parts: "_Parts | None",
    limit: Callable[[], None],
) -> list[Any]:
    """Return the head of an answer, and its arrays."""
    path, spec = request.pop("path"), request.pop("spec")
    if "describe" in request:
        return [{"kind": "look", "look": asdict(look(path, spec, progress=alive, **request))}]
    if parts is not None and "cutting" in request:
        cutting = Cutting.from_dict(request.pop("cutting"))
        take = parts.send_piece
        return _clip(decode_pieces(path, spec, cutting, hand_on=take, progress=alive, again=limit))
    hand_on = None if parts is None else parts.send
    return _clip(decode_clip(path, spec, progress=alive, hand_on=hand_on, **request))


def _clip(decoded: Decoded) -> list[Any]:
    clip = decoded.clip
    arrays: dict[str, NDArray[Any]] = {
        "frames": _as_stored(clip.frames),
        "frame_times_s": clip.frame_times_s,
    }
    if clip.sound is not None:
        arrays["sound"] = np.ascontiguousarray(clip.sound)
    arrays["times_s"] = decoded.times_s
    plain = ("duration_s", "source", "sound_rate_hz", "sound_status")
    head = {
        "kind": "clip",
        "clip": {name: getattr(clip, name) for name in plain},
        "notes": decoded.notes,
        "work": asdict(decoded.work),
        "arrays": _described(arrays),
    }
    return [head, *arrays.values()]


def _as_stored(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (T, 3, H, W) as (T, H, W, 3), which is how they lie in memory: nothing is copied."""
    return np.ascontiguousarray(frames.transpose(0, 2, 3, 1))


class _Parts:
    """Sends parts of a clip, or pieces of a sound; waits until the one before has been used."""

    def __init__(self, out: BinaryIO, requests: Requests) -> None:
        self._out, self._requests, self._sent = out, requests, False

    def send(self, part: Part) -> None:
        self._send({}, {"frames": _as_stored(part.frames), "times_s": part.times_s})

    def send_piece(self, piece: Piece) -> None:
        where = {"start": piece.start, "total": piece.total}
        self._send(where, {"samples": np.ascontiguousarray(piece.samples)})

    def _send(self, head: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.wait()
        told = {"kind": "part", **head, "arrays": _described(arrays)}
        _send(self._out, told, *arrays.values())
        self._sent = True

    def wait(self) -> None:
        if self._sent:
            self._requests.get()
        self._sent = False


def _described(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: (str(array.dtype), array.shape) for name, array in arrays.items()}


def _send(out: BinaryIO, head: dict[str, Any], *arrays: np.ndarray[Any, Any]) -> None:
    out.write(json.dumps(head).encode() + b"\n")
    for array in arrays:
        out.write(array.reshape(-1).data.cast("B"))
    out.flush()
