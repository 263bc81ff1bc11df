"""`run_lock`: one writer at a time for a run, a store or a journal."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from textreel.data.errors import LockedError


@contextmanager
def run_lock(path: Path | str) -> Iterator[None]:
    """Hold the lock of a file or folder; the operating system frees it when the process dies.

    The lock lies beside what it protects, as `.NAME.lock`, so it may be taken before `path` exists.
    The holder's pid stands in `.NAME.lock.pid`.

    Raises:
        LockedError: somebody else holds it; the message names the pid.
    """
    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    lock_path = target.with_name(f".{target.name}.lock")
    owner_path = target.with_name(f".{target.name}.lock.pid")
    lock = FileLock(lock_path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockedError(
            f"{path} is being written by {_owner(owner_path)}",
            hint="wait for it to end, or choose another output",
        ) from error
    try:
        owner_path.write_text(f"{os.getpid()} {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        owner_path.unlink(missing_ok=True)
        lock.release()


def _owner(path: Path) -> str:
    try:
        pid, host = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return "another process that took it this moment"
    return f"process {pid}" + ("" if host == socket.gethostname() else f" on {host}")
