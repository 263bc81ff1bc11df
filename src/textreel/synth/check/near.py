"""Near-duplicates by MinHash: texts that share most of their runs of three words.

The share of equal numbers in two signatures estimates the Jaccard similarity of two sets (Broder,
1997); comparing only texts that agree in a whole band of numbers finds the similar ones without
comparing all pairs (Leskovec et al., Mining of Massive Datasets, 3.4).

What is remembered lies in a temporary database of sqlite, which goes to disk beyond its cache: a
million records take no more memory than ten thousand.
"""

import sqlite3
import weakref
import zlib

import numpy as np
from numpy.typing import NDArray

from textreel.data.textual_video import TextualVideo
from textreel.synth.check.words import shingles, units

NUM_HASHES, NUM_BANDS = 64, 16
"""16 bands of 4: two texts of similarity .8 meet with probability .9998, of .5 with .64."""
CACHE_KIB = 32 * 1024
"""Memory that the database may use."""
_TABLES = """
CREATE TABLE bands (code INTEGER PRIMARY KEY, item INTEGER NOT NULL);
CREATE TABLE items (item INTEGER PRIMARY KEY, name TEXT NOT NULL, signature BLOB NOT NULL);
"""
_MET = f"""
SELECT item, name, signature FROM items WHERE item IN
(SELECT item FROM bands WHERE code IN ({",".join("?" * NUM_BANDS)})) ORDER BY item
"""
_SEED = 20_240_513


class NearDuplicates:
    """Remembers texts, and says which earlier one a new text nearly repeats.

    Args:
        similarity: estimated Jaccard similarity from which two texts are near-duplicates.
    """

    def __init__(self, *, similarity: float = 0.8) -> None:
        self.similarity = similarity
        draw = np.random.default_rng(_SEED)
        self._factors = draw.integers(1, 2**63, NUM_HASHES, dtype=np.uint64) | np.uint64(1)
        self._terms = draw.integers(0, 2**63, NUM_HASHES, dtype=np.uint64)
        self._count = 0
        self._base = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._base.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.executescript(_TABLES)
        self._base.execute("BEGIN")
        weakref.finalize(self, self._base.close)

    def __len__(self) -> int:
        return self._count

    def find_or_add(self, name: str, text: str) -> str:
        """Return the name of an earlier text that this one nearly repeats, else remember it."""
        signature = self._signature(text)
        bands = self._bands_of(signature)
        for _, other, stored in self._base.execute(_MET, bands):
            if (np.frombuffer(stored, np.uint32) == signature).mean() >= self.similarity:
                return str(other)
        rows = [(band, self._count) for band in bands]
        self._base.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", rows)
        stored = signature.tobytes()
        self._base.execute("INSERT INTO items VALUES (?, ?, ?)", (self._count, name, stored))
        self._count += 1
        return ""

    def _bands_of(self, signature: NDArray[np.uint32]) -> list[int]:
        """Return one signed 64-bit number per band, different bands apart."""
        rows = signature.reshape(NUM_BANDS, -1).astype(np.uint64)
        numbers = np.arange(NUM_BANDS, dtype=np.uint64)[:, None]
        mixed = rows * self._factors[: rows.shape[1]] + numbers
        folded = np.bitwise_xor.reduce(mixed * self._factors[-1], axis=1)
        return folded.view(np.int64).tolist()

    def _signature(self, text: str) -> NDArray[np.uint32]:
        runs = shingles(units(text), 3) or {text}
        codes = np.array([zlib.crc32(run.encode("utf-8", "surrogatepass")) for run in runs])
        mixed = codes.astype(np.uint64)[:, None] * self._factors + self._terms
        return (mixed >> np.uint64(32)).astype(np.uint32).min(0)


def whole_text(video: TextualVideo) -> str:
    """Return the words by which records are compared: all captions."""
    return "\n".join([*(frame.caption for frame in video.frames), video.caption])
