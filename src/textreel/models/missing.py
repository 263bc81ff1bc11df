"""What to say of a name that no model was found under: a folder's, a Hugging Face id, or neither.

`models/tiny` may be either. Whoever mistyped a path learns nothing from the Hub's answer alone, and
whoever gave an id nothing from the file system's, so both are told.
"""

import os
import re
from pathlib import Path

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WAY_OUT = "give a Hugging Face directory or id; offline, only ids that are in the cache"


def is_like_a_path(name: str) -> bool:
    """Return whether a name is no id, or begins with a folder that is here.

    >>> is_like_a_path("./tiny"), is_like_a_path("runs/a/tiny"), is_like_a_path("openai/clip")
    (True, True, False)
    """
    first, slash, _ = name.replace(os.sep, "/").partition("/")
    return not HUB_ID.fullmatch(name) or (bool(slash) and Path(first).is_dir())


def why_missing(where: str, error: Exception) -> str:
    """Return why nothing could be read at a place, in one line.

    Args:
        where: a folder or id.
        error: what reading it ended with; its first line is told.
    """
    reason = str(error).strip().splitlines()[0]
    if Path(where).expanduser().exists():
        return f"looked at {where}: {reason}"
    if not HUB_ID.fullmatch(where):
        return f"there is no folder {where}, and it is no Hugging Face id"
    return f"there is no folder {where}, and as a Hugging Face id: {reason}"


def way_out(where: str, *, otherwise: str = _WAY_OUT) -> str:
    """Return the hint for a place without a model; a path is to be checked before all else."""
    is_folder = Path(where).expanduser().exists()
    return otherwise if is_folder or not is_like_a_path(where) else f"check the path; {otherwise}"
