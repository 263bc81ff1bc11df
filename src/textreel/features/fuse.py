"""From the words of a textual frame to the texts that a tower reads, and back to one vector.

    TextualFrame  --frame_texts-->  caption, object, object, ...      as one mode says
    text          --split_text-->   pieces that fit the text tower    (most texts: one)
    vectors (N, F), owner (N,)  --average-->  (M, F)

A frame's vector is TOPA's: normalise every row, plain mean over the caption and the objects (each
weighs the same), normalise. The same average makes one vector of a text that had to be split.
Nothing is cut: the pieces of a text hold all of its words.

Source: TOPA, arXiv:2405.13911, F_fusion; dhg-wei/TOPA@609c482, dataloader/textvid.py,
`_get_frame_feature`. There an over-long caption was dropped, which moved later frames.
"""

import re
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from textreel.data.errors import HintedError
from textreel.data.textual_video import TextualFrame

FuseMode = Literal["caption", "caption+objects"]
"""Which texts of a frame are fused: its caption alone, or the caption and every object."""

_BOUNDARIES = (
    re.compile(r"(?<=[.!?;\n])\s+|(?<=[。！？；])"),  # noqa: RUF001  sentences
    re.compile(r"(?<=[,:)])\s+|(?<=[，、：])|\s+(?=[(–—])"),  # noqa: RUF001  clauses
    re.compile(r"\s+"),  # words
)


class FusionError(HintedError, ValueError):
    """Texts or vectors that cannot become one vector."""


def frame_texts(frame: TextualFrame, *, mode: FuseMode) -> tuple[str, ...]:
    """Return the texts whose vectors are fused for one frame, the caption first.

    An object is read as `name: description`; without a description, as its name.

    >>> frame_texts(TextualFrame(caption="A man saws.", objects=(("saw", "steel"),)),
    ...             mode="caption+objects")
    ('A man saws.', 'saw: steel')
    """
    if mode == "caption":
        return (frame.caption,)
    objects = (f"{name}: {text}" if text else name for name, text in frame.objects)
    return (frame.caption, *objects)


def split_text(text: str, *, fits: Callable[[str], bool]) -> tuple[str, ...]:
    """Split a text into pieces that fit, in order; a text that fits is left as it is.

    Sentences are kept whole where they fit, then clauses, then words; a single word that does not
    fit is halved. Joined, the pieces hold every character that is not white space.

    Args:
        text: any text.
        fits: whether a piece is short enough.

    Raises:
        FusionError: not even one character fits.
    """
    return (text,) if fits(text) else tuple(_split(text.strip(), fits, level=0))


def average(vectors: Tensor, owner: Tensor, *, count: int) -> Tensor:
    """Return the unit-norm mean of the rows of each owner.

    Args:
        vectors: (N, F), of any length but zero.
        owner: int64 (N,), which of the `count` results each row belongs to; every result has
            at least one.
        count: number of results, M.

    Returns:
        float32 (M, F).

    Raises:
        FusionError: a row is zero, a result has no row, or its rows cancel each other out.
    """
    lengths = vectors.norm(dim=-1)
    if zero := int((lengths == 0).sum()):
        raise FusionError(f"{zero} of {len(vectors)} vectors to fuse are zero (padding?)")
    rows = torch.bincount(owner, minlength=count)
    if empty := int((rows == 0).sum()):
        raise FusionError(f"{empty} of {count} results have no vector to fuse")
    units = normalize(vectors.float(), dim=-1)
    sums = torch.zeros(count, vectors.shape[1]).index_add_(0, owner, units)
    if lost := int((sums.norm(dim=-1) < 1e-6 * rows).sum()):
        raise FusionError(f"the vectors of {lost} of {count} results cancel each other out")
    return normalize(sums, dim=-1)


def _split(text: str, fits: Callable[[str], bool], *, level: int) -> list[str]:
    """Cut at this level's boundaries and put neighbours together again as long as they fit."""
    if level == len(_BOUNDARIES):
        return _halve(text, fits)
    pieces: list[str] = []
    start = end = 0  # text[start:end] fits and may still grow
    for part_start, part_end in _spans(text, _BOUNDARIES[level]):
        if end > start and fits(text[start:part_end]):
            end = part_end
            continue
        if end > start:
            pieces.append(text[start:end])
        start = end = part_start
        if fits(text[part_start:part_end]):
            end = part_end
        else:
            pieces += _split(text[part_start:part_end], fits, level=level + 1)
    return [*pieces, text[start:end]] if end > start else pieces


def _spans(text: str, boundary: re.Pattern[str]) -> list[tuple[int, int]]:
    cuts = [match.span() for match in boundary.finditer(text)]
    starts = [0, *(end for _, end in cuts)]
    ends = [*(start for start, _ in cuts), len(text)]
    return [(start, end) for start, end in zip(starts, ends, strict=True) if end > start]


def _halve(word: str, fits: Callable[[str], bool]) -> list[str]:
    if fits(word):
        return [word]
    if len(word) == 1:
        raise FusionError(
            f"the character {word!r} alone has more tokens than the text tower takes",
            hint="use an encoder that takes longer texts",
        )
    middle = len(word) // 2
    return _halve(word[:middle], fits) + _halve(word[middle:], fits)
