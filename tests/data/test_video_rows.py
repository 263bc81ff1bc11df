"""The annotation files of the published recipes, and conversations that come back as they were."""

import json
from pathlib import Path

import pytest

from textreel.cli.app import run
from textreel.data.conversation_rows import from_conversations
from textreel.data.corpora import CorpusCount, CorpusFile, read_corpus
from textreel.data.corpus_check import check_corpus
from textreel.data.errors import TextualDataError
from textreel.data.long_text import RowError
from textreel.data.quarantine import Quarantine
from textreel.data.record import Record
from textreel.data.shapes import write_shape
from textreel.data.video_rows import from_captions, from_llava_instruct, from_videochat, from_webvid


def said(record: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    return [(m.role, [(p.kind, p.value) for p in m.parts]) for m in record.messages]


def read(path: Path, corpus: str) -> tuple[list[Record], Quarantine]:
    bad = Quarantine(max_bad=None)
    return list(read_corpus(CorpusFile(path=path, corpus=corpus), quarantine=bad)), bad


def test_webvid_is_a_csv_with_cleaned_captions(tmp_path: Path) -> None:
    path = tmp_path / "webvid.csv"
    path.write_text(
        'videoid,name,page_dir\n17,"A red *ball* (big): rolls!",0001\n18,...,0001\n19,,0002\n'
    )
    records, bad = read(path, "webvid")
    assert said(records[0]) == [
        ("user", [("video", "0001/17.mp4")]),
        ("assistant", [("text", "a red ball big rolls")]),
    ]
    assert [(b.line, b.code) for b in bad] == [(3, "empty caption"), (4, "no name")] or len(
        bad
    ) == 2
    long = from_webvid({"videoid": "1", "name": "word " * 60, "page_dir": "a"})
    assert len(long[1].parts[0].value.split()) == 50


def test_captions_of_pictures_stand_in_a_list_inside_an_object(tmp_path: Path) -> None:
    path = tmp_path / "filter_cap.json"
    rows = '{"image_id": "a1", "caption": "A Dog. "},\n {"image_id": 2, "caption": ""}'
    path.write_text('{"annotations": [\n ' + rows + "]}")
    records, bad = read(path, "captions")
    assert said(records[0]) == [
        ("user", [("image", "image/a1.jpg")]),
        ("assistant", [("text", "A Dog.")]),
    ]
    assert [b.line for b in bad] == [3]
    path.write_text("[" + rows.splitlines()[0].rstrip(",") + "]")
    assert len(read(path, "captions")[0]) == 1
    path.write_text('{"other": []}')
    with pytest.raises(TextualDataError, match="holds no list 'annotations'"):
        read(path, "captions")
    assert from_captions({"image_id": 7, "caption": "x"})[0].parts[0].value == "image/7.jpg"


def test_videochat_and_llava_instruct_are_conversations() -> None:
    asked = [{"q": "What?", "a": "A ball."}, {"q": "Why?", "a": "So."}]
    messages = from_videochat({"video": "a/b.mp4", "QA": asked})
    assert [p.value for p in messages[0].parts] == ["a/b.mp4", "What?"]
    assert [m.role for m in messages] == ["user", "assistant"] * 2
    with pytest.raises(RowError, match="no QA, a list of questions and answers"):
        from_videochat({"video": "a", "QA": []})
    turns = [{"from": "human", "value": "What?\n<image>"}, {"from": "gpt", "value": "A dog."}]
    pictured = from_llava_instruct({"id": "1", "image": "0001.jpg", "conversations": turns})
    assert [(p.kind, p.value) for p in pictured[0].parts] == [
        ("image", "COCO_train2014_0001.jpg"),
        ("text", "What?"),
    ]
    with pytest.raises(RowError, match="the image has no name"):
        from_llava_instruct({"image": "", "conversations": turns})


LLAVA = [
    {
        "id": "a",
        "image": "a.jpg",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is it?"},
            {"from": "gpt", "value": "A dog.\n\nIt runs."},
        ],
    },
    {
        "id": "b",
        "video": ["x.mp4", "y.mp4"],
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "First\n<video>\nthen\n<video>"},
            {"from": "gpt", "value": "Both."},
        ],
    },
]
SHAREGPT = [
    {
        "id": "c",
        "images": ["a.jpg"],
        "conversations": [
            {"from": "human", "value": "<image>\n What ?"},
            {"from": "gpt", "value": " It. "},
        ],
    }
]


@pytest.mark.parametrize(("shape", "rows"), [("llava", LLAVA), ("sharegpt", SHAREGPT)])
def test_conversations_come_back_as_they_were(tmp_path: Path, shape, rows) -> None:
    path = tmp_path / "in.json"
    path.write_text(json.dumps(rows))
    records, bad = read(path, shape)
    assert not len(bad)
    write_shape(records, tmp_path / "out.json", shape=shape)
    assert json.loads((tmp_path / "out.json").read_text()) == rows


def test_a_path_of_no_name_is_kept_as_it_is(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<video>\nWhat?"}, LLAVA[0]["conversations"][1]]
    rows = [
        {"id": str(n), "video": path, "conversations": turns} for n, path in enumerate(("", "/"))
    ]
    (tmp_path / "in.json").write_text(json.dumps(rows))
    records, bad = read(tmp_path / "in.json", "llava")
    assert not len(bad)
    write_shape(records, tmp_path / "out.json", shape="llava", pictures=[tmp_path])
    assert json.loads((tmp_path / "out.json").read_text()) == rows


def told(**changes) -> dict:
    return {**LLAVA[0], **changes}


def turn(value: object, who: str = "human") -> list[dict]:
    return [{"from": who, "value": value}, LLAVA[0]["conversations"][1]]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (told(model="x"), r"would not be written again as it is \(in model\)"),
        (told(conversations=turn("see <image> here")), "more than the turns have marks for"),
        (told(image=["a.jpg"]), r"would not be written again as it is \(in image\)"),
        (told(image=None, conversations=turn("<image>\nx")), "a mark <image> without a path"),
        (told(conversations=[]), "no conversations, a list of turns"),
        (told(id=""), "no id"),
        (told(conversations=turn(3)), "a turn from 'human' with a value of type int"),
        (told(conversations=turn("x", "bot")), "a turn from 'bot' with a value"),
    ],
)
def test_what_would_not_come_back_is_set_aside(row, text) -> None:
    with pytest.raises(RowError, match=text):
        from_conversations(row, "llava", source="s", licence="")


def test_a_file_is_checked_with_lines_and_remedies(tmp_path: Path, capsys) -> None:
    path = tmp_path / "llava.json"
    path.write_text(json.dumps([LLAVA[0], told(model="x"), LLAVA[1]], indent=0))
    (tmp_path / "a.jpg").touch()
    report, _ = check_corpus(CorpusFile(path=path, corpus="llava"), media=tmp_path, max_bad=9)
    assert (report.rows, report.records, report.media, report.missing) == (3, 2, 3, 2)
    assert report.rejected == {"missing file": 2, "not lossless": 1}
    assert any(one.startswith("line 16: it would not be written") for one in report.first)
    assert any("put marks on lines of their own" in one for one in report.first)
    assert any("fetch it, or leave the row out" in one for one in report.first)
    words = ["data", "check", str(path), "--as", "llava"]
    assert run([*words, "--max-bad", "2"]) == 0
    assert "2 of 3 rows are samples, with 5 messages and 3" in capsys.readouterr().out
    assert run([*words, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["message"].startswith("1 of 3 samples are")
    assert run([*words, "--model", "m"]) == 2
    assert "--as and --fields go with --media and --max-bad only" in capsys.readouterr().err
    assert run(["data", "check", str(path), "--media", str(tmp_path)]) == 2
    assert "--media has no effect without --as or --fields" in capsys.readouterr().err


def test_a_damaged_csv_says_its_line(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_bytes(b"videoid,name,page_dir\n1,ok,a\n2,\xff\xfe,a\n")
    with pytest.raises(TextualDataError, match=r"w.csv line \d is no csv"):
        list(read_corpus(CorpusFile(path=path, corpus="webvid"), quarantine=Quarantine()))
    count = CorpusCount()
    path.write_text("videoid,name,page_dir\n1,ok,a\n")
    list(read_corpus(CorpusFile(path=path, corpus="webvid"), quarantine=Quarantine(), count=count))
    assert (count.rows, count.records) == (1, 1)
