"""What can go wrong between a question and its answer, each with its exit code and the way out."""

from typing import ClassVar


class ServeError(ValueError):
    """Something that a user asked for cannot be answered as it stands.

    Attributes:
        hint: the way out.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class RunError(ServeError):
    """The run folder is not there, not whole, or was written by a newer version."""


class EncoderMismatchError(ServeError):
    """The encoder at hand is not the one whose features the run was trained on."""


class QuestionError(ServeError):
    """A question without words, or longer than the decoder can read."""


class OptionsError(ServeError):
    """Options between which nothing can be chosen."""


class StoryError(ServeError):
    """A text that holds no frames, or is no text."""


class NothingToSeeError(ServeError):
    """A file without a single frame for a run that has eyes only."""

    exit_code: ClassVar[int] = 1


class TooManyFramesError(ServeError):
    """A video or a story with more frames than the model has places for."""


class LineError(ServeError):
    """A line of a file of questions that asks nothing."""


class SameFileError(ServeError):
    """An output that would overwrite its input."""
