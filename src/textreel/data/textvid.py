"""The released TextVid JSON: read it, write it, and say everything that is wrong with it.

What a record looks like, and what is written beside it because the format cannot hold it, stands in
`textvid_record`. Files are read record by record; one record is in memory at a time.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import ascii_uppercase

from textreel.data.errors import TextualDataError
from textreel.data.files import Json, atomic_file
from textreel.data.json_stream import read_json_list
from textreel.data.quarantine import Quarantine
from textreel.data.textual_video import TextualQuestion, TextualVideo
from textreel.data.textvid_problems import ParsedRecord, Problem
from textreel.data.textvid_record import parse_record

__all__ = ["Problem", "check_textvid", "read_textvid", "write_textvid"]

_log = logging.getLogger("textreel.data")


def read_textvid(
    path: Path | str, *, quarantine: Quarantine | None = None
) -> Iterator[TextualVideo]:
    """Yield the videos of a TextVid file, in order.

    An unusable record is set aside as a whole; an unusable question is set aside alone (as
    `ID QAs[2]`) and its video keeps the others. So the total for `quarantine.check` counts videos
    and questions. Warnings of `check_textvid` keep nothing from being read; their numbers are
    logged.

    Args:
        path: the JSON file.
        quarantine: takes what is unusable; without one, the first of it is an error.

    Raises:
        TextualDataError: no such file; it is no JSON list (raised where the fault is, after the
            records before it); or something is unusable and there is no quarantine.
    """
    return _read(_existing(path), quarantine)


def check_textvid(path: Path | str) -> list[Problem]:
    """Return every problem of a TextVid file, in order; an empty list means that all is well.

    Where the file itself breaks off, or stops being JSON, the last problem says so.

    Raises:
        TextualDataError: no such file.
    """
    path, problems, number = _existing(path), [], 0
    try:
        for parsed in _parsed(path):
            problems += parsed.problems
            number = parsed.record + 1
    except TextualDataError as error:
        broken = ParsedRecord(record=number, line=error.line)
        broken.note("", "not-json", str(error), remedy=error.hint)
        problems += broken.problems
    return problems


def write_textvid(path: Path | str, videos: Iterable[TextualVideo]) -> int:
    """Write videos as a TextVid file, whole or not at all, one record a line.

    `read_textvid` gives the same videos back (an empty `open_answer` as the right option's text).

    Returns:
        The number of videos.

    Raises:
        TextualDataError: a video that could not be read back, such as one with an answer out of
            range or an id used before; the message names every fault of it.
    """
    seen: set[str] = set()
    with atomic_file(path) as file:
        for video in videos:
            parsed = parse_record(record := to_record(video), record=len(seen), line=0)
            _check_id(parsed, seen)
            if parsed.errors:
                faults = "; ".join(f"{fault.field} {fault.message}" for fault in parsed.errors)
                raise TextualDataError(
                    f"textual video {video.id!r} (number {len(seen)}) cannot be written to "
                    f"{path}: {faults}",
                    hint="mend it or leave it out; nothing was written",
                )
            file.write(b",\n" if seen else b"[\n")
            file.write(json.dumps(record, ensure_ascii=False).encode())
            seen.add(video.id)
        file.write(b"\n]\n" if seen else b"[]\n")
    return len(seen)


def to_record(video: TextualVideo) -> dict[str, Json]:
    """Return the TextVid record of a video."""
    frames, names = [], {}
    for index, frame in enumerate(video.frames):
        texts = {"caption": frame.caption}
        for name, text in frame.objects:
            texts[_free_key(name, texts)] = text
        frames.append(texts)
        if list(texts)[1:] != [name for name, _ in frame.objects]:
            names[str(index)] = [name for name, _ in frame.objects]
    record: dict[str, Json] = {
        "idx": video.id,
        "frames": frames,
        "global_video_caption": video.caption,
        "QAs": [_question_record(question) for question in video.questions],
    }
    extras = {"times_s": list(video.times_s), "object_names": names}
    extras |= {key: getattr(video, key) for key in ("source", "topic", "writer", "prompt")}
    if extras := {key: value for key, value in extras.items() if value}:
        record["textreel"] = extras
    return record


def _read(path: Path, quarantine: Quarantine | None) -> Iterator[TextualVideo]:
    warnings: Counter[str] = Counter()
    for parsed in _parsed(path):
        warnings.update(p.code for p in parsed.problems if p.level == "warning")
        _set_aside(parsed, path, quarantine)
        if parsed.video is not None:
            yield parsed.video
    if warnings:
        counts = ", ".join(f"{count} {code}" for code, count in warnings.most_common())
        _log.info("%s: read with warnings: %s", path, counts)


def _set_aside(parsed: ParsedRecord, path: Path, quarantine: Quarantine | None) -> None:
    """Quarantine the record, or each of its unusable questions, once."""
    groups: dict[str, list[Problem]] = {}
    for problem in parsed.errors:
        groups.setdefault(problem.question if parsed.video else "", []).append(problem)
    for question, faults in groups.items():
        if quarantine is None:
            raise TextualDataError(
                f"{path} {faults[0]}",
                hint=f"{faults[0].remedy}; or give a quarantine, which sets it aside and goes on",
            )
        quarantine.add(
            " ".join(filter(None, (parsed.id.strip() or f"record {parsed.record}", question))),
            source=str(path),
            line=parsed.line,
            code=faults[0].code,
            message="; ".join(f"{fault.field} {fault.message}" for fault in faults),
        )


def _parsed(path: Path) -> Iterator[ParsedRecord]:
    seen: set[str] = set()
    for index, (line, raw) in enumerate(read_json_list(path)):
        parsed = parse_record(raw, record=index, line=line)
        _check_id(parsed, seen)
        seen.add(parsed.id)
        yield parsed


def _check_id(parsed: ParsedRecord, seen: set[str]) -> None:
    if parsed.id and parsed.id in seen:
        parsed.note(
            "idx",
            "duplicate-id",
            f"{parsed.id!r} is the name of an earlier record",
            remedy="give every record a name of its own",
        )
        parsed.video = None


def _existing(path: Path | str) -> Path:
    if not Path(path).is_file():
        raise TextualDataError(f"{path} is no file", hint="check the path")
    return Path(path)


def _free_key(name: str, taken: Mapping[str, str]) -> str:
    key, number = name, 1
    while key in taken:
        number += 1
        key = f"{name} ({number})"
    return key


def _question_record(question: TextualQuestion) -> dict[str, Json]:
    lettered = 0 <= question.answer < len(ascii_uppercase)
    record: dict[str, Json] = {
        "question": question.question,
        "options": list(question.options),
        "answer": ascii_uppercase[question.answer] if lettered else str(question.answer),
    }
    if question.open_answer:
        record["answer_open_ended"] = question.open_answer
    if question.kind:
        record["kind"] = question.kind
    return record
