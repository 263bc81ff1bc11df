"""What can go wrong between a text and its pages."""

from typing import ClassVar

from textreel.data.errors import HintedError


class LayoutError(HintedError, ValueError):
    """Settings of a page that contradict each other, or a page that could hold nothing."""

    exit_code: ClassVar[int] = 2


class FontError(HintedError, OSError):
    """A font file that is missing, unreadable, or not the one that was recorded."""

    exit_code: ClassVar[int] = 2


class TextError(HintedError, ValueError):
    """A text that has no pages: empty, or with characters that cannot be drawn.

    Attributes:
        code: one or two words that name the kind of fault, for counting.
    """

    exit_code: ClassVar[int] = 3
    code: str = "text"


class EmptyTextError(TextError):
    """Nothing to draw: no text, or white space only."""

    code = "empty context"


class MissingGlyphsError(TextError):
    """Characters that no font draws, their scripts named."""

    code = "no font"
