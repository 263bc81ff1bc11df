"""Errors of writing textual videos: what a user's files and settings can cause."""

from typing import ClassVar

from textreel.data.errors import HintedError


class TopicError(HintedError, ValueError):
    """Topics that cannot be read, or too few of them."""

    exit_code: ClassVar[int] = 2


class PromptError(HintedError, ValueError):
    """Prompt files that are missing or cannot be filled in."""

    exit_code: ClassVar[int] = 2


class JobError(HintedError, ValueError):
    """Settings of a synthesis that do not go together."""

    exit_code: ClassVar[int] = 2


class FailingError(HintedError, RuntimeError):
    """Topic after topic fails; something is wrong with all of them."""
