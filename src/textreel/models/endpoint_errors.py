"""What can go wrong with a language model behind HTTP: for one request, or for all of them."""

from typing import ClassVar

from textreel.models.errors import ModelError


class EndpointConfigError(ModelError):
    """An address, a key or a setting that no endpoint can be asked with."""


class EndpointKeyError(ModelError):
    """The endpoint does not accept the key."""


class EndpointModelError(ModelError):
    """The endpoint has no such model, or no such address."""


class EndpointDownError(ModelError):
    """No endpoint has answered for too long; nothing that was received is lost."""

    exit_code: ClassVar[int] = 1


class EndpointQuotaError(ModelError):
    """The account behind the key has nothing left to spend."""

    exit_code: ClassVar[int] = 4


class RequestError(ModelError):
    """One request has no answer, and asking again will not help.

    Attributes:
        code: one or two words that name the kind of failure, for counting.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class CompletionError(ModelError):
    """A body that came with status 200 and holds no answer.

    Attributes:
        code: as for `RequestError`.
        final: whether the same request would end the same way, as a refusal does.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, code: str, final: bool = False) -> None:
        super().__init__(message, hint="ask again")
        self.code, self.final = code, final
