"""Near-duplicates by MinHash: texts that share most of their runs of three words.

The share of equal numbers in two signatures estimates the Jaccard similarity of two sets (Broder,
1997); comparing only texts that agree in a whole band of numbers finds the similar ones without
comparing all pairs (Leskovec et al., Mining of Massive Datasets, 3.4).
"""

import zlib

import numpy as np
from numpy.typing import NDArray

from textreel.data.textual_video import TextualVideo
from textreel.synth.check.words import shingles, words

NUM_HASHES, NUM_BANDS = 64, 16
"""16 bands of 4: two texts of similarity .8 meet with probability .9998, of .5 with .64. A record
costs about 1.6 KB of memory."""
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
        self._names: list[str] = []
        self._signatures: list[NDArray[np.uint32]] = []
        self._bands: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._names)

    def find_or_add(self, name: str, text: str) -> str:
        """Return the name of an earlier text that this one nearly repeats, else remember it."""
        signature = self._signature(text)
        bands = self._bands_of(signature)
        for other in sorted({self._bands[band] for band in bands if band in self._bands}):
            if (self._signatures[other] == signature).mean() >= self.similarity:
                return self._names[other]
        for band in bands:
            self._bands.setdefault(band, len(self._names))
        self._names.append(name)
        self._signatures.append(signature)
        return ""

    def _bands_of(self, signature: NDArray[np.uint32]) -> list[int]:
        """Return one 64-bit number per band, different bands apart."""
        rows = signature.reshape(NUM_BANDS, -1).astype(np.uint64)
        numbers = np.arange(NUM_BANDS, dtype=np.uint64)[:, None]
        mixed = rows * self._factors[: rows.shape[1]] + numbers
        folded = np.bitwise_xor.reduce(mixed * self._factors[-1], axis=1)
        return [int(code) for code in folded]

    def _signature(self, text: str) -> NDArray[np.uint32]:
        runs = shingles(words(text), 3) or {text}
        codes = np.array([zlib.crc32(run.encode("utf-8", "surrogatepass")) for run in runs])
        mixed = codes.astype(np.uint64)[:, None] * self._factors + self._terms
        return (mixed >> np.uint64(32)).astype(np.uint32).min(0)


def whole_text(video: TextualVideo) -> str:
    """Return the words by which records are compared: all captions."""
    return "\n".join([*(frame.caption for frame in video.frames), video.caption])
