"""textreel: teach a language model to watch and listen, mostly from text.

Importing the package does no work: the public names load what they need when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textreel.media.clip import Clip
    from textreel.media.sampling import SamplingSpec
    from textreel.models.answer import Answer
    from textreel.models.image_mllm.pictures import PictureSettings
    from textreel.serve.conversation import Conversation
    from textreel.serve.session import Question, Session, load

    __version__: str

__all__ = [
    "Answer",
    "Clip",
    "Conversation",
    "PictureSettings",
    "Question",
    "SamplingSpec",
    "Session",
    "__version__",
    "load",
]

_HOMES = {
    "Answer": "textreel.models.answer",
    "Clip": "textreel.media.clip",
    "Conversation": "textreel.serve.conversation",
    "PictureSettings": "textreel.models.image_mllm.pictures",
    "Question": "textreel.serve.session",
    "SamplingSpec": "textreel.media.sampling",
    "Session": "textreel.serve.session",
    "load": "textreel.serve.session",
}


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `import textreel` costs nothing."""
    if name == "__version__":
        return import_module("importlib.metadata").version("textreel")
    if name not in _HOMES:
        raise AttributeError(f"module 'textreel' has no attribute {name!r}; public: {__all__}")
    return getattr(import_module(_HOMES[name]), name)
