"""One record of the released TextVid JSON: what it means, and everything that is wrong with it.

    {"idx": "v17",                                       TextualVideo.id
     "frames": [{"caption": "...", "hammer": "..."}],    a frame: its caption, then named objects
     "global_video_caption": "...",                      TextualVideo.caption
     "QAs": [{"question": "...", "options": ["..."],     options without letters
              "answer": "B",                             a letter
              "answer_open_ended": "..."}]}              optional

The keys are those TOPA's loader reads (dhg-wei/TOPA, dataloader/textvid.py; arXiv:2405.13911). The
loader treats all keys of a frame alike, so the format itself does not mark the caption: **it is the
key called `caption` or `frame caption` (any case, spaces or underscores), else the first key.**

What the format cannot hold is written beside it, where that loader does not look: `kind` in a
question, and `textreel` in a record with `times_s`, `source`, `topic`, `writer`, `prompt`, and
`object_names` (the names of a frame's objects, where two are alike or one is called "caption" and
the keys had to differ). An empty `open_answer` is not written, and comes back as the right option's
text.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from math import isfinite
from string import ascii_uppercase

from textreel.data.files import Json
from textreel.data.textual_video import TextualFrame, TextualQuestion, TextualVideo
from textreel.data.textvid_problems import ParsedRecord, kind, short

_FRAMES_EXPECTED = range(5, 16)  # "5-15 textual frames", arXiv:2405.13911
_OPTIONS_OF_LOADER = 5  # TOPA's loader knows the letters A to E
_RECORD_KEYS = {"idx", "frames", "global_video_caption", "QAs", "textreel"}
_QUESTION_KEYS = {"question", "options", "answer", "answer_open_ended", "kind"}
_ORIGIN_KEYS = ("source", "topic", "writer", "prompt")
_EXTRA_KEYS = {"times_s", "object_names", *_ORIGIN_KEYS}


def parse_record(raw: Json, *, record: int, line: int) -> ParsedRecord:
    """Read one element of a TextVid list; never raises, whatever `raw` is."""
    found = ParsedRecord(record=record, line=line)
    if not isinstance(raw, dict):
        found.note(
            "", "wrong-type", f"is {kind(raw)}, not an object", remedy="remove it from the list"
        )
        return found
    found.id = _id(found, raw)
    found.check_keys(raw, "", known=_RECORD_KEYS)
    caption = found.text_at(raw, "global_video_caption", "global_video_caption")
    extras = _extras(found, raw)
    frames = _frames(found, raw, _names(found, extras))
    times_s = _times_s(found, extras, num_frames=len(frames))
    questions = _questions(found, raw)
    if any(not problem.question for problem in found.errors):
        return found
    found.video = TextualVideo(
        id=found.id,
        frames=frames,
        caption=caption,
        questions=questions,
        times_s=times_s,
        **{key: extras.get(key, "") for key in _ORIGIN_KEYS},
    )
    return found


def caption_key(frame: Mapping[str, Json]) -> str:
    """Return which key of a frame (not empty) holds the caption of the whole frame."""
    for key in frame:
        if re.sub(r"[\s_]", "", key).lower() in ("caption", "framecaption"):
            return key
    return next(iter(frame))


def _id(found: ParsedRecord, raw: Mapping[str, Json]) -> str:
    value = raw.get("idx")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return found.text_at(raw, "idx", "idx")


def _frames(
    found: ParsedRecord, raw: Mapping[str, Json], names: Mapping[str, list[str]]
) -> tuple[TextualFrame, ...]:
    frames = found.list_at(raw, "frames", "frames")
    if "frames" in raw and isinstance(raw["frames"], list) and not frames:
        found.note("frames", "no-frames", "is empty", remedy="remove the record or write frames")
    elif frames and len(frames) not in _FRAMES_EXPECTED:
        found.note(
            "frames",
            "frame-count",
            f"has {len(frames)} frames; textual videos have 5 to 15",
            remedy="harmless for training; check how the record was made",
            level="warning",
        )
    for unused in names.keys() - {str(index) for index in range(len(frames))}:
        found.note(
            f"textreel.object_names.{unused}",
            "object-names",
            f"there is no frame {unused!r}",
            remedy="remove the entry",
        )
    return tuple(_frame(found, frame, index, names) for index, frame in enumerate(frames))


def _frame(
    found: ParsedRecord, raw: Json, index: int, names: Mapping[str, list[str]]
) -> TextualFrame:
    where = f"frames[{index}]"
    if not isinstance(raw, dict) or not raw:
        what = "an empty object" if isinstance(raw, dict) else kind(raw)
        found.note(
            where,
            "wrong-type",
            f"is {what}, not an object of texts",
            remedy='write {"caption": "...", "name of an object": "..."}',
        )
        return TextualFrame(caption="")
    found.check_repeated(raw, where)
    texts = {key: found.text_at(raw, key, f"{where}.{key}") for key in raw}
    caption = texts.pop(caption_key(raw))
    own_names = names.get(str(index), list(texts))
    for number, name in enumerate(own_names):
        found.text(name, f"{where} name of object {number}")
    if len(own_names) != len(texts):
        found.note(
            f"textreel.object_names.{index}",
            "object-names",
            f"names {len(own_names)} objects, {where} has {len(texts)}",
            remedy="name every object of the frame, or remove the entry",
        )
    return TextualFrame(
        caption=caption, objects=tuple(zip(own_names, texts.values(), strict=False))
    )


def _questions(found: ParsedRecord, raw: Mapping[str, Json]) -> tuple[TextualQuestion, ...]:
    questions = []
    listed = found.list_at(raw, "QAs", "QAs")
    if isinstance(raw.get("QAs"), list) and not listed:
        found.note(
            "QAs",
            "no-questions",
            "is empty",
            remedy="the video can be summarised, not asked about; write questions if it shall be",
            level="warning",
        )
    for index, item in enumerate(listed):
        before = len(found.errors)
        question = _question(found, item, f"QAs[{index}]")
        if question is not None and len(found.errors) == before:
            questions.append(question)
    return tuple(questions)


def _question(found: ParsedRecord, raw: Json, where: str) -> TextualQuestion | None:
    if not isinstance(raw, dict):
        found.note(
            where, "wrong-type", f"is {kind(raw)}, not an object", remedy="remove the question"
        )
        return None
    found.check_keys(raw, f"{where}.", known=_QUESTION_KEYS)
    question = found.text_at(raw, "question", f"{where}.question")
    options = _options(found, raw, where)
    answer = _answer(found, raw, where, num_options=len(options))
    question_kind = found.text_at(raw, "kind", f"{where}.kind") if raw.get("kind", "") != "" else ""
    if answer is None or not options:
        return None
    open_answer = ""
    if raw.get("answer_open_ended", "") != "":
        open_answer = found.text_at(raw, "answer_open_ended", f"{where}.answer_open_ended")
    return TextualQuestion(
        question=question,
        options=options,
        answer=answer,
        open_answer=open_answer or options[answer],
        kind=question_kind,
    )


def _options(found: ParsedRecord, raw: Mapping[str, Json], where: str) -> tuple[str, ...]:
    place = f"{where}.options"
    items = found.list_at(raw, "options", place)
    options = tuple(found.text(item, f"{place}[{i}]") for i, item in enumerate(items))
    if isinstance(raw.get("options"), list) and len(options) < 2:
        found.note(place, "option-count", f"has {len(options)} options", remedy="give at least two")
    if len(options) > len(ascii_uppercase):
        found.note(
            place,
            "option-count",
            f"has {len(options)} options, there are 26 letters",
            remedy="leave some out",
        )
    elif len(options) > _OPTIONS_OF_LOADER:
        found.note(
            place,
            "option-count",
            f"has {len(options)} options; TOPA's own loader knows the letters A to E",
            remedy="fine for textreel; leave some out if TOPA's code shall read the file",
            level="warning",
        )
    first: dict[str, int] = {}
    for index, option in enumerate(options):
        earlier = first.setdefault(option.strip().casefold(), index)
        if earlier != index and option.strip():
            found.note(
                f"{place}[{index}]",
                "duplicate-option",
                f"says the same as options[{earlier}]: {short(option)}",
                remedy="write another wrong answer",
            )
    _check_letters(found, options, place)
    return options


def _check_letters(found: ParsedRecord, options: tuple[str, ...], place: str) -> None:
    lettered = [
        re.match(rf"\s*\(?{letter}[).:]", option) is not None
        for letter, option in zip(ascii_uppercase, options, strict=False)
    ]
    if lettered and all(lettered):
        found.note(
            place,
            "lettered-options",
            f"options carry their letters already, such as {short(options[0])}",
            remedy="remove the letters; the prompt adds them",
            level="warning",
        )


def _answer(
    found: ParsedRecord, raw: Mapping[str, Json], where: str, *, num_options: int
) -> int | None:
    text = found.text_at(raw, "answer", f"{where}.answer")
    letter = re.fullmatch(r"\(?([A-Za-z])\)?[.:]?", text.strip())
    last = ascii_uppercase[min(max(num_options, 1), 26) - 1]
    remedy = f"give the letter of the right option, A to {last}"
    if text and letter is None:
        found.note(f"{where}.answer", "answer", f"is {short(text)}, not one letter", remedy=remedy)
    if letter is None:
        return None
    index = ascii_uppercase.index(letter[1].upper())
    if index < num_options:
        return index
    if num_options:
        found.note(
            f"{where}.answer",
            "answer",
            f"is {letter[1].upper()}, but the {num_options} options end with {last}",
            remedy=remedy,
        )
    return None


def _extras(found: ParsedRecord, raw: Mapping[str, Json]) -> Mapping[str, Json]:
    extras = raw.get("textreel", {})
    if not isinstance(extras, dict):
        found.note(
            "textreel", "wrong-type", f"is {kind(extras)}, not an object", remedy="remove it"
        )
        return {}
    found.check_keys(extras, "textreel.", known=_EXTRA_KEYS)
    for key in _ORIGIN_KEYS:
        if key in extras:
            found.text_at(extras, key, f"textreel.{key}")
    return extras


def _names(found: ParsedRecord, extras: Mapping[str, Json]) -> dict[str, list[str]]:
    raw = extras.get("object_names", {})
    fine = isinstance(raw, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in raw.values()
    )
    if not fine:
        found.note(
            "textreel.object_names",
            "wrong-type",
            "is not an object of lists of texts",
            remedy='write {"0": ["ball", "ball"]}, the key being the frame, or remove it',
        )
    return raw if fine else {}


def _times_s(
    found: ParsedRecord, extras: Mapping[str, Json], *, num_frames: int
) -> tuple[float, ...]:
    raw = extras.get("times_s", [])
    numbers = isinstance(raw, list) and all(type(t) in (int, float) for t in raw)
    times_s = tuple(float(t) for t in raw) if numbers else ()
    ascending = all(map(isfinite, times_s)) and all(a <= b for a, b in pairwise(times_s))
    if not numbers or len(times_s) not in (0, num_frames) or not ascending:
        found.note(
            "textreel.times_s",
            "times",
            f"is not an ascending list of {num_frames} numbers, one per frame",
            remedy="give each frame its time in seconds, or remove it",
        )
    return times_s
