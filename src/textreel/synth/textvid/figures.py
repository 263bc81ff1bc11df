"""How varied textual videos are: vocabulary, distinct runs of words, clusters; and their make-up.

Vocabulary and runs are counted on the global captions of the first 20,000 records (TOPA's Table 11
counts on as many, arXiv:2405.13911); the topics are in random order, so the first are a sample.
distinct-n is the share of different runs of n words among all of them (Li et al., 2016,
arXiv:1510.03055). The cluster entropy says how evenly captions spread over k-means clusters of
their hashed words: 1 is even, 0 is one cluster.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

import numpy as np
from numpy.typing import NDArray

from textreel.data.textual_video import TextualVideo
from textreel.synth.check.checker import most_first
from textreel.synth.check.letters import count_letters, letter_excess
from textreel.synth.check.words import content_words, units

CAPTION_SAMPLE, CLUSTER_SAMPLE = 20_000, 2_000
_WIDTH, _MOST_CLUSTERS, _ROUNDS = 256, 20, 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What a set of textual videos is like; counts by name are ordered by size.

    Attributes:
        records: textual videos.
        frames: in all of them.
        objects: in all of them.
        questions: in all of them.
        frames_per_record: number of records by number of frames.
        kinds: number of questions by kind.
        options: number of questions by number of options.
        letters: how often each letter is right, by number of options.
        letter_excess: see `letters.letter_excess`.
        longest_is_right: share of questions whose right option is the only longest one.
        sources: number of records by source of the topic.
        captions_sampled: global captions that the following is counted on.
        vocabulary: different words.
        words_per_caption: mean.
        distinct_1: different words, over words.
        distinct_2: different pairs of words, over pairs.
        distinct_3: different runs of three words, over runs.
        clusters: number of clusters.
        cluster_entropy: from 0 to 1.
    """

    records: int
    frames: int
    objects: int
    questions: int
    frames_per_record: dict[str, int]
    kinds: dict[str, int]
    options: dict[str, int]
    letters: dict[str, dict[str, int]]
    letter_excess: float
    longest_is_right: float
    sources: dict[str, int]
    captions_sampled: int
    vocabulary: int
    words_per_caption: float
    distinct_1: float
    distinct_2: float
    distinct_3: float
    clusters: int
    cluster_entropy: float


class FigureCounter:
    """Counts while videos pass by; memory grows with the sample, not with the data."""

    def __init__(self) -> None:
        self._frames: Counter[int] = Counter()
        self._totals: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()
        self._letters: dict[int, Counter[str]] = {}
        self._runs: tuple[set[int], ...] = (set(), set(), set())
        self._run_totals = [0, 0, 0]
        self._sample: list[list[str]] = []
        self._captions = 0

    def add(self, video: TextualVideo) -> None:
        """Count one textual video."""
        self._frames[len(video.frames)] += 1
        self._sources[video.source or "unknown"] += 1
        self._totals["frames"] += len(video.frames)
        self._totals["objects"] += sum(len(frame.objects) for frame in video.frames)
        self._totals["questions"] += len(video.questions)
        for question in video.questions:
            self._kinds[question.kind or "unnamed"] += 1
            lengths = sorted(map(len, question.options))
            right = len(question.options[question.answer])
            self._totals["longest"] += right == lengths[-1] > lengths[-2]
        for options, letters in count_letters(video.questions).items():
            self._letters.setdefault(options, Counter()).update(letters)
        if self._captions < CAPTION_SAMPLE:
            self._captions += 1
            self._count_words(video.caption)

    def figures(self) -> Figures:
        """Return what was counted."""
        questions = self._totals["questions"]
        distinct = [
            round(len(runs) / total, 4) if total else 0.0
            for runs, total in zip(self._runs, self._run_totals, strict=True)
        ]
        clusters, entropy = cluster_entropy(self._sample)
        letters = {
            str(options): dict(sorted(counts.items()))
            for options, counts in sorted(self._letters.items())
        }
        return Figures(
            records=sum(self._frames.values()),
            frames=self._totals["frames"],
            objects=self._totals["objects"],
            questions=questions,
            frames_per_record={str(n): count for n, count in sorted(self._frames.items())},
            kinds=most_first(self._kinds),
            options={k: sum(counts.values()) for k, counts in letters.items()},
            letters=letters,
            letter_excess=letter_excess(self._letters),
            longest_is_right=round(self._totals["longest"] / questions, 4) if questions else 0.0,
            sources=most_first(self._sources),
            captions_sampled=self._captions,
            vocabulary=len(self._runs[0]),
            words_per_caption=round(self._run_totals[0] / max(1, self._captions), 2),
            distinct_1=distinct[0],
            distinct_2=distinct[1],
            distinct_3=distinct[2],
            clusters=clusters,
            cluster_entropy=entropy,
        )

    def _count_words(self, caption: str) -> None:
        tokens = units(caption)
        codes = [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in tokens]
        pairs = [(a << 32) | b for a, b in pairwise(codes)]
        triples = [hash((a, b, c)) for a, b, c in zip(codes, codes[1:], codes[2:], strict=False)]
        for number, runs in enumerate((codes, pairs, triples)):
            self._runs[number].update(runs)
            self._run_totals[number] += len(runs)
        if len(self._sample) < CLUSTER_SAMPLE:
            self._sample.append(content_words(caption))


def cluster_entropy(captions: Sequence[Sequence[str]]) -> tuple[int, float]:
    """Return the number of k-means clusters, and how evenly captions spread over them.

    Args:
        captions: content words of each.
    """
    clusters = min(_MOST_CLUSTERS, len(captions) // 5)
    if clusters < 2:
        return 1, 0.0
    vectors = _vectors(captions)
    draw = np.random.default_rng(0)
    centres = vectors[draw.choice(len(vectors), clusters, replace=False)]
    nearest = np.zeros(len(vectors), dtype=np.intp)
    for _ in range(_ROUNDS):
        nearest = (vectors @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, vectors)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(norms > 0, sums / np.maximum(norms, 1e-9), centres)
    shares = np.bincount(nearest, minlength=clusters) / len(vectors)
    entropy = -sum(share * log(share) for share in shares.tolist() if share > 0)
    return clusters, round(entropy / log(clusters), 3) + 0.0


def _vectors(captions: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Return unit vectors (N, 256) of hashed words, rare words weighing more."""
    counts = np.zeros((len(captions), _WIDTH))
    for row, tokens in enumerate(captions):
        for word in tokens:
            counts[row, zlib.crc32(word.encode("utf-8", "surrogatepass")) % _WIDTH] += 1.0
    rarity = np.log((1 + len(captions)) / (1 + (counts > 0).sum(0)))
    vectors = np.log1p(counts) * rarity
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, 1e-9)
