"""`--fields`: which fields of a row, or columns of a csv, hold what a sample is made of.

    text,question,answer                                     of a long text, in this order
    context=text,question=question,answer=answer             the same, by name
    video=video_name,question=question,answer=answer         of a question about a video
    video=video{video_id},question=question,answer=answer    a video's name made of a field

The name of a video may be put together: `{...}` in it is a field, and the rest stands as it is.
"""

import re
from collections.abc import Mapping

from textreel.data.errors import CorpusError

SHOWN = ("context", "video", "image")
"""What is asked about: a long text, or the path of a video or picture."""
ASKED = ("instruction", "answer")
IN_ORDER = ("context", *ASKED)
_ALIASES = {"question": "instruction"}
_WAY_OUT = "such as text,question,answer, or video=video_name,question=question,answer=answer"
PLACE = re.compile(r"\{([^{}]+)\}")
"""A field in the name of a video or picture."""


def read_field_names(text: str) -> dict[str, str]:
    """Read the names of fields; see the forms above.

    Returns:
        `instruction`, `answer` and one of `SHOWN`, each with the field that holds it.

    Raises:
        CorpusError: something else is named, or something is missing.
    """
    pieces = [piece.strip() for piece in text.split(",")]
    if not any("=" in piece for piece in pieces):
        if len(pieces) != len(IN_ORDER) or not all(pieces):
            raise CorpusError(
                f"fields {text!r}: three names are needed, of context, instruction and answer",
                hint=_WAY_OUT,
            )
        return dict(zip(IN_ORDER, pieces, strict=True))
    fields: dict[str, str] = {}
    for piece in pieces:
        what, _, field = (part.strip() for part in piece.partition("="))
        what = _ALIASES.get(what, what)
        if not field or what in fields:
            raise CorpusError(
                f"fields {text!r}: {piece!r} is "
                + ("named twice" if what in fields else "not of the form WHAT=FIELD"),
                hint=_WAY_OUT,
            )
        fields[what] = field
    check_field_names(fields)
    return fields


def check_field_names(fields: Mapping[str, str]) -> None:
    """Refuse names that make no sample.

    Raises:
        CorpusError: not `instruction`, `answer` and one of `SHOWN`, or a brace without its other.
    """
    shown = [what for what in fields if what in SHOWN]
    if len(shown) != 1 or fields.keys() != {shown[0], *ASKED}:
        raise CorpusError(
            f"fields for {', '.join(sorted(fields)) or 'nothing'}: {', '.join(ASKED)} and one of "
            f"{', '.join(SHOWN)} are needed",
            hint=_WAY_OUT,
        )
    if shown[0] != "context" and re.search(r"[{}]", PLACE.sub("", fields[shown[0]])):
        raise CorpusError(
            f"{shown[0]}={fields[shown[0]]}: a brace without its other",
            hint="such as video=video{video_id}.mp4, with a field's name between braces",
        )
