"""Checks of one textual video: its frames, captions and objects."""

import re
from collections.abc import Callable, Iterator, Sequence

from textreel.data.textual_jsonl import faults
from textreel.data.textual_video import TextualFrame, TextualVideo
from textreel.synth.check.findings import CheckLimits, Finding
from textreel.synth.check.words import content_words, stem, words

CountTokens = Callable[[str], int]
_WORDY = re.compile(r"\w")
_PLACEHOLDER = re.compile(
    r"\.\.\.$|lorem ipsum|\bas an ai\b|language model|\[[^\]]*\]|<[^>]+>|\{[^}]*\}"
    r"|\b(?:caption|description|question|option|text|name) (?:here|goes here|\d+|[a-e])\b"
    r"|\bobject \d+\b|\bto be (?:written|filled)|\bTODO\b|\bN/A\b",
    re.I,
)
_HINTS = tuple(
    "[|<|{|...|lorem|language model|an ai| here|goes|to be|todo|n/a|caption|description|question|"
    "option|text|name|object".split("|")
)
"""Every placeholder holds one of these; looking for them first spares the expression."""
COLOURS = frozenset(
    "black white grey gray red orange yellow green blue purple violet pink brown golden silver "
    "beige turquoise".split()
)


def check_record(
    video: TextualVideo, *, limits: CheckLimits, count_tokens: CountTokens
) -> Iterator[Finding]:
    """Yield what is wrong with everything but the questions."""
    for fault in faults(video):
        where, _, message = fault.partition(": ")
        if not where.startswith("questions.") and not where.startswith("frames"):
            yield Finding(code="unusable", where=where, message=message)
    count = len(video.frames)
    if not limits.fewest_frames <= count <= limits.most_frames:
        told = f"{count} frames; {limits.fewest_frames} to {limits.most_frames} are wanted"
        yield Finding(code="frame-count", where="frames", message=told)
    yield from _texts(video)
    yield from _lengths(video, limits, count_tokens)
    captions = {" ".join(words(frame.caption)) for frame in video.frames}
    if count > 1 and len(captions) == 1:
        told = "all frames have the same caption: nothing happens"
        yield Finding(code="static", where="frames", message=told)
    yield from _agreement(video, limits)
    for index, frame in enumerate(video.frames):
        yield from _conflicts(frame, index)


def placeholders(texts: Sequence[str]) -> list[int]:
    """Return which texts stand for ones that were never written, or hold no word at all."""
    whole = "\n".join(texts).casefold()
    hints = [hint for hint in _HINTS if hint in whole]
    return [
        index
        for index, text in enumerate(texts)
        if not _WORDY.search(text)
        or (hints and _holds_one(text.casefold(), hints) and _PLACEHOLDER.search(text))
    ]


def _holds_one(text: str, hints: Sequence[str]) -> bool:
    return any(hint in text for hint in hints)


def _texts(video: TextualVideo) -> Iterator[Finding]:
    places = [("caption", video.caption)]
    for index, frame in enumerate(video.frames):
        places.append((f"frames.{index}.caption", frame.caption))
        for number, (name, text) in enumerate(frame.objects):
            places.append((f"frames.{index}.objects.{number}", name))
            if text:
                places.append((f"frames.{index}.objects.{number}", text))
    for index in placeholders([text for _, text in places]):
        where, text = places[index]
        if not text.strip():
            yield Finding(code="empty-text", where=where, message="is empty")
        else:
            told = f"stands for a text that was not written: {text[:60]!r}"
            yield Finding(code="placeholder", where=where, message=told)


def _lengths(
    video: TextualVideo, limits: CheckLimits, count_tokens: CountTokens
) -> Iterator[Finding]:
    most = limits.caption_tokens
    for index, frame in enumerate(video.frames):
        texts = {"caption": frame.caption}
        texts |= {f"objects.{i}": f"{n}: {t}" for i, (n, t) in enumerate(frame.objects)}
        for place, text in texts.items():
            # A token holds a letter at least; most texts need no counting.
            if len(text) + 2 > most and (count := count_tokens(text)) > most:
                told = f"has {count} tokens; the encoder reads {most}"
                where = f"frames.{index}.{place}"
                yield Finding(code="caption-length", where=where, message=told)


def _agreement(video: TextualVideo, limits: CheckLimits) -> Iterator[Finding]:
    """Objects must be among what their frame's caption (or the whole video's) speaks of."""
    whole = video.caption.casefold()
    missing, total = [], 0
    for index, frame in enumerate(video.frames):
        seen = f"{frame.caption.casefold()} {whole}"
        for name, text in frame.objects:
            total += 1
            if not _mentions(seen, name, at_least=1) and not _mentions(seen, text, at_least=2):
                missing.append(f"{name!r} in frame {index}")
    if total and 1 - len(missing) / total < limits.object_agreement:
        told = f"{len(missing)} of {total} objects are in no caption (first: {missing[0]})"
        yield Finding(code="object-caption", where="frames", message=told)


def _mentions(caption: str, text: str, *, at_least: int) -> bool:
    """Return whether so many different content words of a text stand in a caption."""
    found: set[str] = set()
    for word in content_words(text):
        if stem(word) in caption:
            found.add(word)
            if len(found) >= at_least:
                return True
    return False


def _conflicts(frame: TextualFrame, index: int) -> Iterator[Finding]:
    """An object whose caption gives it one colour and whose description gives it another."""
    said: list[str] | None = None
    for number, (name, text) in enumerate(frame.objects):
        if not (named := words(name)) or COLOURS.isdisjoint(described := words(text)):
            continue
        said = words(frame.caption) if said is None else said
        in_caption = _colours_of(named[-1], said)
        in_text = _colours_of(named[-1], described)
        if in_caption and in_text and in_caption.isdisjoint(in_text):
            told = f"the caption shows {name!r} {'/'.join(sorted(in_caption))}, its description "
            told += "/".join(sorted(in_text))
            where = f"frames.{index}.objects.{number}"
            yield Finding(code="object-conflict", where=where, message=told)


def _colours_of(noun: str, text: list[str]) -> set[str]:
    """Return the colours that stand before a noun, up to two words away."""
    found: set[str] = set()
    for position, word in enumerate(text):
        if word == noun:
            found |= COLOURS.intersection(text[max(0, position - 2) : position])
    return found
