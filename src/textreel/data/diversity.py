"""How different the instructions of some sources are: figures, and places for a picture.

Three figures per source, from vectors of its instructions. *Cluster entropy*: all sources'
instructions are put into k clusters (spherical k-means); the entropy of a source's shares, over
log k, is 1 where it fills all clusters alike and 0 where it fills one. *Template share*: the share
of instructions whose frame (words, with numbers and quotations taken out, the first and last four)
occurs more than once. *Mean similarity*: of two different instructions of the source, by cosine.

Vectors come from a sentence encoder, or, without a download, from hashed character n-grams. Places
are the first two principal components: the same vectors give the same picture.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from textreel.data.errors import HintedError
from textreel.data.record import Record

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
HASH_DIM = 512
NGRAMS = (3, 4, 5)
NUM_CLUSTERS = 32
_ROUNDS = 25
_FRAME_WORDS = 4


class DiversityError(HintedError, ValueError):
    """Sources that cannot be compared."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceDiversity:
    """The figures of one source.

    Attributes:
        name: of the source.
        instructions: how many were looked at.
        cluster_entropy: 0 to 1.
        template_share: 0 to 1; small is diverse.
        mean_similarity: -1 to 1; small is diverse.
    """

    name: str
    instructions: int
    cluster_entropy: float
    template_share: float
    mean_similarity: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Diversity:
    """Figures of all sources, and a place for each instruction.

    Attributes:
        encoder: what made the vectors.
        clusters: how many there were.
        sources: in the order given.
        places: by source, float32 (N, 2).
    """

    encoder: str
    clusters: int
    sources: tuple[SourceDiversity, ...]
    places: Mapping[str, Vectors]


def instruction_of(record: Record) -> str:
    """Return what a record asks first: the text of its first user message."""
    for message in record.messages:
        if message.role == "user":
            texts = [part.value for part in message.parts if part.kind == "text"]
            return "\n".join(texts).strip()
    return ""


def instructions_by_source(records: Iterable[Record], *, sample: int) -> dict[str, list[str]]:
    """Return what the records of each source ask.

    The source is the corpus, what stands before a colon; of files of any fields, the file.

    Args:
        records: any; those that ask nothing are left out.
        sample: of each source at most, the first ones: a mix is shuffled already.
    """
    asked: dict[str, list[str]] = {}
    for record in records:
        corpus, _, place = record.source.partition(": ")
        name = place.rpartition(" line ")[0] if corpus == "fields" else corpus.partition(":")[0]
        texts = asked.setdefault(name or "unknown", [])
        instruction = instruction_of(record)
        if instruction and len(texts) < sample:
            texts.append(instruction)
    return asked


def hash_embed(texts: Sequence[str]) -> Vectors:
    """Return unit vectors of hashed character 3- to 5-grams, float32 (N, 512).

    Counts are damped by their square root; a hash's last bit is the sign, so that collisions cancel
    on average. No model, no download; it sees wording, not meaning.
    """
    vectors = np.zeros((len(texts), HASH_DIM), dtype=np.float32)
    for row, text in enumerate(texts):
        shown = f" {' '.join(text.casefold().split())} "
        grams = Counter(shown[i : i + n] for n in NGRAMS for i in range(len(shown) - n + 1))
        for gram, count in grams.items():
            digest = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest(), "big")
            vectors[row, (digest >> 1) % HASH_DIM] += math.sqrt(count) * (1 if digest & 1 else -1)
    return unit(vectors)


def unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def measure_diversity(
    instructions: Mapping[str, Sequence[str]],
    *,
    embed: Embed = hash_embed,
    encoder: str = "hashed n-grams",
    clusters: int = NUM_CLUSTERS,
    seed: int = 0,
) -> Diversity:
    """Compare sources by their instructions.

    Args:
        instructions: of each source, at least two.
        embed: texts to vectors (N, D); lengths do not matter.
        encoder: its name.
        clusters: how many, at least 2; fewer where there are fewer instructions.
        seed: of the clusters' first centres.

    Raises:
        DiversityError: no source, one with fewer than two instructions, or fewer than 2 clusters.
    """
    if not instructions or min(map(len, instructions.values())) < 2:
        sizes = {name: len(texts) for name, texts in instructions.items()}
        raise DiversityError(f"each source needs at least two instructions, got {sizes}")
    if clusters < 2:
        raise DiversityError(f"{clusters} clusters have no entropy: at least 2 are needed")
    vectors = unit(embed([text for texts in instructions.values() for text in texts]))
    clusters = min(clusters, len(vectors))
    labels = cluster(vectors, clusters=clusters, seed=seed)
    places = _principal(vectors)
    sources, by_name, start = [], {}, 0
    for name, texts in instructions.items():
        part = slice(start, start + len(texts))
        sources.append(
            SourceDiversity(
                name=name,
                instructions=len(texts),
                cluster_entropy=entropy(labels[part], clusters=clusters),
                template_share=template_share(texts),
                mean_similarity=mean_similarity(vectors[part]),
            )
        )
        by_name[name] = places[part]
        start += len(texts)
    return Diversity(encoder=encoder, clusters=clusters, sources=tuple(sources), places=by_name)


def cluster(vectors: Vectors, *, clusters: int, seed: int) -> NDArray[np.int64]:
    """Return the cluster of each unit vector: spherical k-means from spread-out first centres.

    The first centres are drawn as k-means++ does (Arthur and Vassilvitskii 2007), by 1 - cosine.
    """
    generator = np.random.default_rng(seed)
    centres = vectors[[int(generator.integers(len(vectors)))]]
    nearest = 1 - vectors @ centres[0]
    for _ in range(clusters - 1):
        weights = np.maximum(nearest, 0).astype(np.float64)
        total = weights.sum()
        chances = weights / total if total > 0 else None
        centre = vectors[int(generator.choice(len(vectors), p=chances))]
        centres = np.vstack([centres, centre])
        nearest = np.minimum(nearest, 1 - vectors @ centre)
    labels = np.full(len(vectors), -1, dtype=np.int64)
    for _ in range(_ROUNDS):
        found = np.argmax(vectors @ centres.T, axis=1)
        if (found == labels).all():
            break
        labels = found
        for number in range(clusters):
            if (members := vectors[labels == number]).size:
                centres[number] = unit(members.mean(axis=0, keepdims=True))[0]
    return labels


def entropy(labels: NDArray[np.int64], *, clusters: int) -> float:
    """Return the entropy of the clusters' shares over log(clusters).

    >>> entropy(np.array([0, 0, 1, 1]), clusters=2), entropy(np.array([1, 1]), clusters=2)
    (1.0, 0.0)
    """
    shares = np.bincount(labels, minlength=clusters) / len(labels)
    shares = shares[shares > 0]
    return float(abs((shares * np.log(shares)).sum()) / math.log(clusters))


def template_share(texts: Sequence[str]) -> float:
    """Return the share of texts whose frame occurs more than once.

    >>> template_share(["Describe video 1.", "Describe video 22.", "Who wins?"])
    0.6666666666666666
    """
    frames = Counter(map(_frame, texts))
    return sum(count for count in frames.values() if count > 1) / len(texts)


def _frame(text: str) -> tuple[str, ...]:
    without = re.sub(r"\"[^\"]*\"|“[^”]*”|\d+(?:[.,]\d+)*", " # ", text.casefold())
    words = re.findall(r"[\w']+|#", without)
    if len(words) <= 2 * _FRAME_WORDS:
        return tuple(words)
    return (*words[:_FRAME_WORDS], "...", *words[-_FRAME_WORDS:])


def mean_similarity(vectors: Vectors) -> float:
    """Return the mean cosine of two different rows: from the sum of all, in one pass."""
    total = vectors.astype(np.float64).sum(axis=0)
    own = float((vectors.astype(np.float64) ** 2).sum())
    count = len(vectors)
    return (float(total @ total) - own) / (count * (count - 1))


def _principal(vectors: Vectors) -> Vectors:
    """Return the first two principal components; the sign makes the largest loading positive."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    top = axes[:, ::-1][:, :2]
    signs = np.sign(top[np.abs(top).argmax(axis=0), np.arange(top.shape[1])])
    return np.asarray(centred @ (top * np.where(signs == 0, 1, signs)), dtype=np.float32)
