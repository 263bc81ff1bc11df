"""What can go wrong with a dual encoder: a wrong name or input, or files that are not here."""

from typing import ClassVar

from textreel.models.errors import ModelError


class EncoderError(ModelError):
    """The name, the files or the input do not make sense for this encoder."""


class TextTooLongError(EncoderError):
    """A text has more tokens than the text tower has positions. Nothing is cut."""


class EncoderUnavailableError(EncoderError):
    """The encoder exists, but its files or a package that reads them are missing here."""

    exit_code: ClassVar[int] = 5


class EncoderMemoryError(EncoderError):
    """Not even one item fits into the device's memory."""

    exit_code: ClassVar[int] = 1
