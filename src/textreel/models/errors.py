"""What can go wrong in this room, each with its exit code and the way out."""

from typing import ClassVar


class ModelError(ValueError):
    """A model, its config or what it was given cannot be used.

    Attributes:
        exit_code: what the command line exits with.
        hint: the way out, one sentence.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ModelConfigError(ModelError):
    """A setting has no meaning here, or contradicts another one."""


class BatchError(ModelError):
    """A batch does not fit the model: counts, lengths or shapes disagree."""

    exit_code: ClassVar[int] = 1


class BridgeError(ModelError):
    """A bridge was given vectors that it must not touch."""

    exit_code: ClassVar[int] = 1


class DecoderUnsupportedError(ModelError):
    """A decoder works in a way that this room does not know."""


class NotAnImageLLMError(ModelError):
    """A folder that holds no image-LLM: no model at all, or one without eyes."""


class CheckpointError(ModelError):
    """A saved model does not fit the model it is read into."""

    exit_code: ClassVar[int] = 1


class DecoderNotFoundError(LookupError):
    """The decoder that a model stands on is not on this machine.

    Attributes:
        exit_code: what the command line exits with.
        hint: the way out, one sentence.
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
