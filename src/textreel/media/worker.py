"""Decoding in another process, so that a file that hangs or crashes FFmpeg costs only itself.

The process is started afresh (never forked: a fork of a process that has used threads can hang),
imports av and numpy only, and is limited twice: in CPU seconds per file by the system
(`RLIMIT_CPU`, where there is one), and in wall time without progress by the reader, which kills
it. It never outlives its parent: Linux kills it with its parent (`PR_SET_PDEATHSIG`), and
everywhere it ends when its input is closed, whatever the decoder is doing. Decoded arrays come
back through a pipe, so nothing can be left behind in shared memory.

One worker reads any number of files; after a failure the next file gets a new one.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, get_args

import numpy as np

from textreel.media import errors
from textreel.media.album import HandOn, Part
from textreel.media.clip import Clip
from textreel.media.cutting import Cutting
from textreel.media.decode import DEFAULT_SOUND_RATE_HZ, Decoded
from textreel.media.errors import DecoderCrashError, DecodeTimeoutError, MediaError
from textreel.media.look import Look
from textreel.media.packets import Work
from textreel.media.sampling import SamplingSpec
from textreel.media.serving import ARRAYS
from textreel.media.sound import SoundMode
from textreel.media.sound_pieces import Piece, TakePiece

CLOSE_S = 5.0
BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from textreel.media.serving import serve; serve(int(sys.argv[2]))"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeLimits:
    """How long one file may take.

    Attributes:
        cpu_s: CPU seconds, rounded up to whole ones.
        wall_s: seconds without any progress; machines stall, so be generous.
    """

    cpu_s: float = 10.0
    wall_s: float = 60.0

    def __post_init__(self) -> None:
        if not (self.cpu_s > 0 and self.wall_s > 0):
            raise ValueError(f"DecodeLimits: cpu_s={self.cpu_s}, wall_s={self.wall_s} must be > 0")


class GuardedReader:
    """A worker process that decodes files one after the other. Not for use by several threads."""

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        """Prepare; the process starts with the first file."""
        self.limits = limits or DecodeLimits()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def __enter__(self) -> "GuardedReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The worker's process number, None where none runs."""
        return None if self._process is None else self._process.pid

    def read(
        self,
        path: Path | str,
        spec: SamplingSpec | None = None,
        *,
        sound: SoundMode = "skip",
        sound_rate_hz: int | None = DEFAULT_SOUND_RATE_HZ,
        stream_index: int | None = None,
    ) -> Decoded:
        """Decode one file; see `decode_clip` for the arguments.

        Raises:
            DecodeTimeoutError: a limit was passed; the worker is gone.
            DecoderCrashError: the worker died on this file.
            MediaError: see `read_clip`.
            ValueError: `sound` is none of the modes.
        """
        request = _request(path, spec, sound)
        request |= {"sound_rate_hz": sound_rate_hz, "stream_index": stream_index}
        return _decoded(self._ask(request, source=str(path)))

    def read_parts(
        self,
        path: Path | str,
        spec: SamplingSpec | None = None,
        *,
        hand_on: HandOn,
        stream_index: int | None = None,
    ) -> Decoded:
        """Decode the frames of one file, part after part; few are in memory at a time.

        Args:
            path: see `read_clip`.
            spec: see `read_clip`.
            hand_on: takes each part; see `album.HandOn`. Where it raises, the worker is ended.
            stream_index: see `read_clip`.

        Returns:
            A clip without frames; their times are in `times_s`.

        Raises:
            DecodeTimeoutError, DecoderCrashError, MediaError: see `read`.
        """
        request = _request(path, spec, "skip") | {"stream_index": stream_index, "parts": True}

        def take(part: dict[str, Any]) -> None:
            hand_on(Part(frames=part["frames"], times_s=part["times_s"]))

        return _decoded(self._ask(request, source=str(path), take=take))

    def read_pieces(
        self, path: Path | str, spec: SamplingSpec, cutting: Cutting, *, hand_on: TakePiece
    ) -> Decoded:
        """Decode those pieces of a file's sound that a tower hears; see `decode_pieces`.

        A sound that must be read twice may take the CPU seconds of one file each time.

        Args:
            path: see `read_clip`.
            spec: see `decode_pieces`.
            cutting: which pieces.
            hand_on: takes each piece. Where it raises, the worker is ended.

        Returns:
            A clip without samples.

        Raises:
            DecodeTimeoutError, DecoderCrashError, MediaError: see `read`.
        """
        request = _request(path, spec, cutting.mode) | {"cutting": cutting.to_dict()}

        def take(part: dict[str, Any]) -> None:
            hand_on(Piece(samples=part["samples"], start=part["start"], total=part["total"]))

        return _decoded(self._ask(request, source=str(path), take=take))

    def look(
        self,
        path: Path | str,
        spec: SamplingSpec | None = None,
        *,
        sound: SoundMode = "check",
        describe: bool = True,
    ) -> Look:
        """Decode one file and tell about it; the pictures stay in the worker. See `look`.

        Raises:
            DecodeTimeoutError, DecoderCrashError, MediaError, ValueError: see `read`.
        """
        request = _request(path, spec, sound) | {"describe": describe}
        return Look.from_dict(self._ask(request, source=str(path))["look"])

    def _ask(
        self,
        request: dict[str, Any],
        *,
        source: str,
        take: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send a request and return its answer.

        Whatever comes between (Ctrl-C, an error of the taker) ends the worker: its answer would
        else be taken for that to the next request.
        """
        process, answered = self._running(), False
        try:
            _tell(process, request | {"cpu_s": self.limits.cpu_s})
            while (answer := self._wait(source))["kind"] == "part":
                assert take is not None
                take(answer)
                _tell(process, {})
            answered = True
        finally:
            if not answered:
                self._kill()
        if answer["kind"] == "error":
            raise _error(answer)
        return answer

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(CLOSE_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None:
            command = [sys.executable, "-c", BOOT, json.dumps(sys.path), str(os.getpid())]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._answers = queue.SimpleQueue()
            arguments = (self._process.stdout, self._answers)
            threading.Thread(target=_collect, args=arguments, daemon=True).start()
        return self._process

    def _wait(self, source: str) -> dict[str, Any]:
        while True:
            try:
                answer = self._answers.get(timeout=self.limits.wall_s)
            except queue.Empty:
                self._kill()
                raise DecodeTimeoutError(
                    source, f"no progress in {self.limits.wall_s:g} s of wall time"
                ) from None
            if answer is None:
                raise self._obituary(source)
            if answer["kind"] == "fault":
                raise DecoderCrashError(
                    source, f"the decoding process failed on it: {answer['what']}"
                )
            if answer["kind"] in ("clip", "look", "part", "error"):
                return answer

    def _kill(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with process:
            process.kill()
        return process.returncode

    def _obituary(self, source: str) -> MediaError:
        """Say how the worker died."""
        process = self._process
        code = 0 if process is None else process.wait()
        self._kill()
        if sys.platform != "win32" and code == -signal.SIGXCPU:
            return DecodeTimeoutError(source, f"needs more than {self.limits.cpu_s:g} CPU seconds")
        how = f"with signal {-code}" if code < 0 else f"with status {code}"
        return DecoderCrashError(source, f"the decoding process died on it {how}")


def _tell(process: subprocess.Popen[bytes], request: dict[str, Any]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it died: what is read from it says how


def _collect(pipe: BinaryIO, answers: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
    """Pass the worker's messages on; None at its end."""
    try:
        while line := pipe.readline():
            message = json.loads(line)
            for name, (dtype, shape) in message.get("arrays", {}).items():
                message[name] = np.empty(shape, dtype)
                view = message[name].reshape(-1).data.cast("B")
                while view:
                    if not (count := pipe.readinto(view)):  # type: ignore[attr-defined]
                        raise EOFError
                    view = view[count:]
                    answers.put({"kind": "alive"})
            if "frames" in message:
                message["frames"] = message["frames"].transpose(0, 3, 1, 2)
            answers.put(message)
    except (EOFError, ValueError):
        pass  # the pipe was closed, or the worker died in the middle of a message
    answers.put(None)


def _request(path: Path | str, spec: SamplingSpec | None, sound: SoundMode) -> dict[str, Any]:
    if sound not in get_args(SoundMode):
        raise ValueError(f"sound={sound!r}: must be one of {', '.join(get_args(SoundMode))}")
    return {
        "path": os.fspath(path),
        "spec": (spec or SamplingSpec()).to_dict(),
        "sound": sound,
    }


def _error(answer: dict[str, Any]) -> MediaError:
    kind = getattr(errors, answer["type"])
    return kind(answer["source"], answer["cause"], answer["hint"])


def _decoded(answer: dict[str, Any]) -> Decoded:
    fields: dict[str, Any] = {name: answer.get(name) for name in ARRAYS} | answer["clip"]
    clip = Clip(**fields)
    return Decoded(
        clip=clip,
        notes=tuple(answer["notes"]),
        work=Work(**answer["work"]),
        times_s=answer["times_s"],
    )
