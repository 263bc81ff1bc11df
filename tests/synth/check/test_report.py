import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.synth.check.records import OPTIONS, PLANTED, clean
from textreel.data.errors import TextualDataError, TooManyBadError
from textreel.data.textual_jsonl import read_videos, write_video_folder, write_videos
from textreel.data.textvid import write_textvid
from textreel.synth.check.checker import Checker
from textreel.synth.check.report import check_file, read_any


def spoiled(number: int, *names: str):
    video = clean(number)
    for name in names:
        video = PLANTED[name][1](video)
    return video


def test_a_file_is_checked_listed_and_sifted(tmp_path: Path) -> None:
    videos = [clean(0), spoiled(1, "third frame"), spoiled(2, "nothing happens"), clean(3)]
    write_videos(tmp_path / "a.jsonl", videos)
    report, bad = check_file(
        tmp_path / "a.jsonl",
        Checker(),
        list_to=tmp_path / "list.jsonl",
        keep_to=tmp_path / "kept.jsonl",
        max_bad=0,
    )
    assert (report.records, report.passed, report.rejected) == (4, 3, {"static": 1})
    assert report.questions_rejected == {"frame-number": 1}
    listed = [json.loads(line) for line in (tmp_path / "list.jsonl").read_text().splitlines()]
    assert [(one["level"], one["code"]) for one in listed] == [
        ("question", "frame-number"),
        ("record", "static"),
    ]
    assert [len(video.questions) for video in read_videos(tmp_path / "kept.jsonl")] == [5, 4, 5]
    with pytest.raises(TooManyBadError, match="1 of 4 samples are bad, 0 allowed: 1 static"):
        bad.check(report.records)


def test_what_cannot_be_read_is_counted_beside_what_is_rejected(tmp_path: Path) -> None:
    write_textvid(tmp_path / "a.json", [clean(0), clean(1)])
    records = json.loads((tmp_path / "a.json").read_text())
    records[0]["QAs"][1]["answer"] = "Z"
    del records[1]["frames"]
    (tmp_path / "a.json").write_text(json.dumps(records))
    report, bad = check_file(tmp_path / "a.json", Checker())
    assert (report.records, report.passed, report.questions) == (2, 1, 4)
    assert report.unreadable == {"answer": 1, "missing-key": 1}
    assert len(bad) == 1 and len(report.first) == 2


def test_a_letter_that_is_right_too_often_is_a_warning(tmp_path: Path) -> None:
    videos = []
    for number in range(60):
        asked = [
            replace(q, options=(q.options[q.answer] + " in front", *OPTIONS[:3]), answer=0)
            for q in clean(number).questions
        ]
        videos.append(replace(clean(number), questions=tuple(asked)))
    write_videos(tmp_path / "a.jsonl", videos)
    report, _ = check_file(tmp_path / "a.jsonl", Checker())
    assert report.letters == {"4": {"A": 300}}
    assert report.letter_excess == 0.675 and report.longest_is_right == 1.0
    assert len(report.warnings) == 2 and report.warnings[0].startswith("one letter is right 67.5%")


def test_every_form_of_textual_videos_is_read(tmp_path: Path) -> None:
    videos = [clean(0), clean(1)]
    write_videos(tmp_path / "a.jsonl", videos)
    write_textvid(tmp_path / "a.json", videos)
    write_video_folder(tmp_path / "out" / "videos", videos)
    for name in ("a.jsonl", "a.json", "out", "out/videos"):
        assert list(read_any(tmp_path / name)) == videos
    with pytest.raises(TextualDataError, match="is no file"):
        read_any(tmp_path / "none")
