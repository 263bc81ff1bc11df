"""The ids of files: sha256 of their content, read a little ahead of whoever needs them."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from textreel.data.files import content_hash
from textreel.data.media_files import MediaFile
from textreel.media.errors import MediaError, UnreadableFileError
from textreel.media.opening import check_regular
from textreel.media.pool import run_ahead

HASHERS = 2
AHEAD = 64


def keys_ahead(files: Iterable[MediaFile]) -> Iterator[tuple[MediaFile, str | MediaError]]:
    """Yield each file with its content's hash, or with the reason why it has none, in order."""
    pool = ThreadPoolExecutor(HASHERS, thread_name_prefix="hash")

    def submit(file: MediaFile) -> "Future[str | MediaError]":
        return pool.submit(_key, file.path)

    try:
        for file, task in run_ahead(files, submit, ahead=AHEAD):
            yield file, task.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _key(path: Path) -> str | MediaError:
    try:
        check_regular(path)  # opening a pipe would wait for ever
        return content_hash(path)
    except MediaError as error:
        return error
    except OSError as error:
        return UnreadableFileError(str(path), f"cannot be read: {error.strerror}")
