"""Where the cache is, and the content hashes it remembers by path, size and modification time.

The hashes live in 4,096 small files of JSON lines, picked by the path's hash, so that a look-up
reads a few kilobytes whatever the number of files known. Lines are appended in one write each, so
processes may share the memory. It is a cache: a broken line is a miss, a file that passes its limit
begins anew (256 MiB in all at most), and all of it may be deleted at any time.
"""

import hashlib
import json
import logging
import os
import time
from pathlib import Path

_log = logging.getLogger("textreel.data")
_MAX_BYTES_PER_FILE = 2**28 // 4096
_SETTLED_S = 2.0
"""Age at which a modification time can be trusted; FAT keeps times to two seconds."""


def cache_dir() -> Path:
    """Return the cache's folder: TEXTREEL_CACHE, else XDG_CACHE_HOME/textreel, else ~/.cache."""
    if own := os.environ.get("TEXTREEL_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "textreel"


def recall(path: Path) -> str | None:
    """Return the remembered sha256 of an absolute path, or None if it is unknown or out of date."""
    try:
        lines = _bucket(path).read_bytes().split(b"\n")
    except OSError:
        return None
    key = _key(path, path.stat())
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, list) and len(entry) == 2 and entry[0] == key:
            return str(entry[1])
    return None


def remember(path: Path, before: os.stat_result, digest: str) -> None:
    """Keep a hash, unless the file is too young or changed since `before`, its state at the start.

    A cache that cannot be written costs time, not correctness, and is only logged.
    """
    if _key(path, before) != _key(path, path.stat()) or time.time() - before.st_mtime < _SETTLED_S:
        return
    bucket = _bucket(path)
    line = json.dumps([_key(path, before), digest]).encode() + b"\n"
    try:
        bucket.parent.mkdir(parents=True, exist_ok=True)
        full = bucket.exists() and bucket.stat().st_size + len(line) > _MAX_BYTES_PER_FILE
        with bucket.open("wb" if full else "ab", buffering=0) as file:
            file.write(b"\n" + line)
    except OSError as error:
        _log.info("content hash of %s not remembered: %s", path, error)


def _key(path: Path, stat: os.stat_result) -> str:
    return f"{stat.st_size}:{stat.st_mtime_ns}:{path}"


def _bucket(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:3]
    return cache_dir() / "hashes" / f"{name}.jsonl"
