"""Topics: what textual videos are written about, from the user's files, mixed by weight.

    captions.csv (weight 2) + titles.txt (weight 1)  --draw, with a seed-->  Topic, Topic, ...

Each source is shuffled once with the seed and gone through in that order; when it is used up, it
begins again, and its topics come as further variants. Which source is next follows from the
weights alone: always the one that is furthest behind its share. So a draw is repeatable, a longer
draw begins with the shorter one, and shares are exact to one topic.

The kinds follow TOPA's four prompt conditions (arXiv:2405.13911): HowTo100M titles, WebVid
captions, Ego4D scenes, WordNet objects; plain lines are the fifth.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from textreel.synth.textvid.errors import TopicError

TopicKind = Literal["line", "caption", "title", "object", "scene", "world"]
FILE_KINDS: tuple[TopicKind, ...] = ("line", "caption", "title", "object", "scene")


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """One thing to write a textual video about.

    Attributes:
        key: 16 hexadecimal digits that name it; the textual video's id.
        text: the topic.
        kind: what sort of text it is.
        source: name of the file it came from.
        variant: how often it came before, 0 at first.
    """

    key: str
    text: str
    kind: TopicKind
    source: str
    variant: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicSource:
    """The topics of one file.

    Attributes:
        name: of the file, without folders.
        kind: of its topics.
        texts: distinct, in the file's order.
        weight: share of the draw, against the other sources' weights.
        skipped: lines that are no topics, by reason.
        licence: of the texts, as the user states it; empty where unknown.
        digest: 16 hexadecimal digits that name the texts.
    """

    name: str
    kind: TopicKind
    texts: tuple[str, ...]
    weight: float = 1.0
    skipped: tuple[tuple[str, int], ...] = ()
    licence: str = ""
    digest: str = ""


def make_topic(text: str, *, kind: TopicKind, source: str, variant: int = 0) -> Topic:
    """Return a topic with its key: the sha256 of kind, text and variant."""
    digest = hashlib.sha256(f"{kind}\0{variant}\0{text}".encode("utf-8", "surrogatepass"))
    return Topic(key=digest.hexdigest()[:16], text=text, kind=kind, source=source, variant=variant)


def draw_topics(sources: Sequence[TopicSource], *, count: int, seed: int) -> Iterator[Topic]:
    """Yield `count` topics, no two with one key.

    Raises:
        TopicError: no sources, a weight that is not above 0, or no topics asked for.
    """
    _check(sources, count)
    rounds = [_endless(source, seed=seed, number=i) for i, source in enumerate(sources)]
    total = sum(source.weight for source in sources)
    taken, seen = [0] * len(sources), set[str]()
    done = 0
    while done < count:
        wanted = [source.weight / total * (sum(taken) + 1) for source in sources]
        behind = max(range(len(sources)), key=lambda i: wanted[i] - taken[i])
        taken[behind] += 1
        topic = next(rounds[behind])
        if topic.key not in seen:  # a text that stands in two files of one kind comes once
            seen.add(topic.key)
            done += 1
            yield topic


def world_topics(*, count: int, seed: int) -> Iterator[Topic]:
    """Yield topics for the world's grammar, each a scene's number; they need no files.

    Raises:
        TopicError: no topics asked for.
    """
    if count < 1:
        raise TopicError(f"{count} topics asked for", hint="ask for at least 1")
    for number in range(count):
        yield make_topic(f"scene {number} of seed {seed}", kind="world", source="textreel world")


def parse_source(text: str) -> tuple[TopicKind | None, str, float]:
    """Read `[KIND:]FILE[@WEIGHT]`.

    >>> parse_source("caption:webvid.csv@2")
    ('caption', 'webvid.csv', 2.0)

    Raises:
        TopicError: a weight that is not above 0.
    """
    kind: TopicKind | None = None
    head, colon, rest = text.partition(":")
    if colon and (found := [known for known in FILE_KINDS if known == head]):
        kind, text = found[0], rest
    path, at, tail = text.rpartition("@")
    weight = 1.0
    if at and tail.replace(".", "", 1).isdecimal():
        text, weight = path, float(tail)
    if weight <= 0:
        raise TopicError(
            f"the weight of {text} is {weight:g}", hint="give weights above 0, or leave it out"
        )
    return kind, text, weight


def _endless(source: TopicSource, *, seed: int, number: int) -> Iterator[Topic]:
    order = list(range(len(source.texts)))
    Random(f"{seed}-{number}-{source.name}").shuffle(order)
    variant = 0
    while True:
        for index in order:
            yield make_topic(
                source.texts[index], kind=source.kind, source=source.name, variant=variant
            )
        variant += 1


def _check(sources: Sequence[TopicSource], count: int) -> None:
    if not sources:
        raise TopicError("no topics were given", hint="name at least one file with --topics")
    if count < 1:
        raise TopicError(f"{count} topics asked for", hint="ask for at least 1")
    for source in sources:
        if source.weight <= 0 or not source.texts:
            raise TopicError(
                f"{source.name} has {len(source.texts)} topics and weight {source.weight:g}: "
                "both must be above 0"
            )
