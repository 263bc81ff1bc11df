"""textreel: teach a language model to watch and listen, mostly from text.

Importing the package does no work: the public names load what they need when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textreel.serve.session import Session, load

    __version__: str

__all__ = ["Session", "__version__", "load"]

_HOMES = {"load": "textreel.serve.session", "Session": "textreel.serve.session"}


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `import textreel` costs nothing."""
    if name == "__version__":
        return import_module("importlib.metadata").version("textreel")
    if name not in _HOMES:
        raise AttributeError(f"module 'textreel' has no attribute {name!r}; public: {__all__}")
    return getattr(import_module(_HOMES[name]), name)
