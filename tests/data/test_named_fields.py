"""Questions about videos from files with named fields, and from questions and answers apart."""

import csv
import json
import os
import re
from itertools import islice
from pathlib import Path

import pytest

from textreel.data.corpora import CorpusCount, CorpusError, CorpusFile, read_corpus
from textreel.data.corpus_check import check_corpus
from textreel.data.corpus_files import read_csv_rows
from textreel.data.errors import TextualDataError
from textreel.data.mix import Source, make_mix
from textreel.data.named_fields import read_field_names
from textreel.data.quarantine import Quarantine
from textreel.data.record import Record

NAMED = "video=v,question=q,answer=a"
SHARED = Path(os.environ.get("TEXTREEL_SHARED", "../shared")) / "annotations" / "igvlm"


def read(
    path: Path, fields: str = NAMED, *, corpus: str = "fields"
) -> tuple[list[Record], dict[str, int]]:
    """The records of a file, and the reasons of its other rows."""
    names = read_field_names(fields) if corpus == "fields" else None
    file = CorpusFile(path=path, corpus=corpus, fields=names)
    count = CorpusCount()
    records = list(read_corpus(file, quarantine=Quarantine(max_bad=None), count=count))
    assert count.rows == len(records) + count.rejected
    return records, dict(count.reasons)


def triples(records: list[Record]) -> list[tuple[str, str, str]]:
    """(what is shown, question, answer) of records of one turn."""
    for record in records:
        assert [m.role for m in record.messages] == ["user", "assistant"]
        assert [p.kind for p in record.messages[0].parts][1:] == ["text"]
    return [
        (*(p.value for p in record.messages[0].parts), record.messages[1].parts[0].value)
        for record in records
    ]


ROWS = [
    {"v": "a", "q": "Who?", "a": "A cat."},
    {"v": "a", "q": "Where?", "a": " At home. "},
    {"v": 17, "q": "How many?", "a": 3},
    {"v": "", "q": "Who?", "a": "A cat."},
    {"v": "b", "q": " ", "a": "A cat."},
    {"v": "b", "q": "Who?", "a": ""},
    {"v": "b", "q": "Who?"},
    {"v": True, "q": "Who?", "a": "A cat."},
    ["b", "Who?", "A cat."],
]
READ = [("a", "Who?", "A cat."), ("a", "Where?", "At home."), ("17", "How many?", "3")]
REASONS = {"no video": 1, "empty user": 1, "empty assistant": 1, "no a": 1, "no v": 1}


@pytest.mark.parametrize("as_lines", [False, True])
def test_every_question_about_a_video_is_a_record_of_its_own(
    tmp_path: Path, as_lines: bool
) -> None:
    path = tmp_path / "qa.json"
    path.write_text("\n".join(map(json.dumps, ROWS)) if as_lines else json.dumps(ROWS))
    records, reasons = read(path)
    assert triples(records) == READ
    assert reasons == REASONS | {"no object": 1}
    assert len({record.id for record in records}) == 3
    assert records[0].messages[0].parts[0].kind == "video"
    assert records[1].source == f"fields: qa.json line {2 if as_lines else 1}"


def test_a_csv_gives_the_same_records_as_json(tmp_path: Path) -> None:
    path = tmp_path / "QA.CSV"
    path.write_text(
        "\ufeffv,extra,q,a\r\na,1,Who?,A cat.\r\n\r\na,2,Where?, At home. \r\n17,,How many?,3\r\n"
        'c,,"What, then?","Two\r\nlines"\r\nd,,What, then?,no\r\nd,,What?\r\n,,Who?,me\r\n'
    )
    records, reasons = read(path)
    assert triples(records) == [*READ, ("c", "What, then?", "Two\r\nlines")]
    assert reasons == {"columns": 2, "no video": 1}
    names = read_field_names(NAMED)
    report, _ = check_corpus(CorpusFile(path=path, corpus="fields", fields=names))
    assert report.first[0].startswith("line 8: the row has 5 columns, the header 4; put a text")


def test_a_csv_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "qa.csv"
    path.write_text("v,q,v\n")
    with pytest.raises(TextualDataError, match=r"the header names 'v' more than once"):
        read(path)
    path.write_text('v,q,a\n1,"Who?,me\n2,Who?,you\n')
    with pytest.raises(TextualDataError, match=r"qa.csv line 3 is no csv: unexpected end of data"):
        read(path)
    with pytest.raises(CorpusError, match=r"qa.csv is a csv, and the corpus 'records' is JSON"):
        read(path, corpus="records")


def test_a_csv_may_hold_long_texts(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    path = tmp_path / "texts.csv"
    path.write_text(f"t,q,a\n{'word ' * 40_000},Why?,So.\n")
    records, reasons = read(path, "context=t,question=q,answer=a")
    assert not reasons
    assert [p.kind for p in records[0].messages[0].parts] == ["pages", "text"]
    assert len(records[0].messages[0].parts[0].value) == 200_000
    assert [r.id for r in records] == [r.id for r in read(path, "t,q,a")[0]]
    rows = read_csv_rows(path)
    next(rows)
    assert csv.field_size_limit() == limit  # of all other readers, also while this one reads


def test_a_name_is_put_together_of_fields(tmp_path: Path) -> None:
    path = tmp_path / "qa.jsonl"
    rows = [{"id": 7, "part": "x", "q": "Who?", "a": "me"}, {"id": 8, "q": "Who?", "a": "me"}]
    rows.append({"id": 9, "part": " ", "q": "Who?", "a": "me"})
    path.write_text("\n".join(map(json.dumps, rows)))
    records, reasons = read(path, "image=p/{id}-{part}.png,instruction=q,answer=a")
    assert triples(records) == [("p/7-x.png", "Who?", "me")]
    assert records[0].messages[0].parts[0].kind == "image"
    assert reasons == {"no part": 1, "no image": 1}
    bad = Quarantine(max_bad=None)
    names = read_field_names("image=p/{id}-{part}.png,instruction=q,answer=a")
    list(read_corpus(CorpusFile(path=path, corpus="fields", fields=names), quarantine=bad))
    assert "image p/{id}-{part}.png: part is empty" in [b.message.split(";")[0] for b in bad]


def test_names_of_fields_have_two_forms() -> None:
    wanted = {"context": "text", "instruction": "q", "answer": "a"}
    assert read_field_names("text, q,a") == wanted
    assert read_field_names("question=q, answer = a,context=text") == wanted
    assert read_field_names("instruction=q,answer=a,context=text") == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,,b", "fields 'a,,b': three names are needed, of context, instruction and answer"),
        ("video=v,q,answer=a", "'q' is not of the form WHAT=FIELD"),
        ("video=v,question=,answer=a", "'question=' is not of the form WHAT=FIELD"),
        ("video=v,question=q,instruction=r,answer=a", "'instruction=r' is named twice"),
        ("video=v,question=q", "fields for instruction, video: instruction, answer and one of"),
        ("question=q,answer=a", "one of context, video, image are needed"),
        ("video=v,context=c,question=q,answer=a", "fields for answer, context, instruction, video"),
        ("film=v,question=q,answer=a", "fields for answer, film, instruction: instruction, answer"),
        ("video={v,question=q,answer=a", "video={v: a brace without its other"),
        ("video={},question=q,answer=a", "video={}: a brace without its other"),
    ],
)
def test_names_that_make_no_sample_are_refused(text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=re.escape(message)) as caught:
        read_field_names(text)
    assert caught.value.hint.startswith("such as ")


QUESTIONS = [
    {"video_name": "okC18bPTils", "question": "is it red", "question_id": "v_okC18bPTils_1"},
    {"video_name": "okC18bPTils", "question": "who is it", "question_id": "v_okC18bPTils_2"},
    {"video_name": "v_okC18bPTils", "question": "is it big", "question_id": 3},
    {"video_name": "v_UmAH95xls", "question": "is it wet", "question_id": 4},
    {"video_name": "x", "question": "has it none", "question_id": 5},
    {"video_name": "x", "question": "has it two", "question_id": 6},
    {"video_name": "x", "question": "is it", "answer": "its own"},
    {"video_name": "", "question": "is it", "question_id": 4},
    "no row",
]
ANSWERS = [("v_okC18bPTils_2", "me"), ("v_okC18bPTils_1", "no"), (3, "no"), (4, "yes"), (3, "no")]
ANSWERS += [(6, "one"), (6, "two"), (99, "of another video")]


def write_two_files(folder: Path) -> Path:
    rows = [{"answer": answer, "type": 3, "question_id": id} for id, answer in ANSWERS]
    (folder / "val_a.json").write_text(json.dumps(rows))
    path = folder / "val_q.json"
    path.write_text(json.dumps(QUESTIONS))
    return path


def test_questions_and_answers_of_activitynet_are_joined(tmp_path: Path) -> None:
    records, reasons = read(write_two_files(tmp_path), corpus="activitynet-qa")
    assert triples(records) == [
        ("v_okC18bPTils", "is it red", "no"),
        ("v_okC18bPTils", "who is it", "me"),
        ("v_okC18bPTils", "is it big", "no"),
        ("v_v_UmAH95xls", "is it wet", "yes"),
    ]
    assert reasons == {"no answer": 2, "several answers": 1, "no video": 1, "no object": 1}
    bad = Quarantine(max_bad=None)
    file = CorpusFile(path=tmp_path / "val_q.json", corpus="activitynet-qa")
    list(read_corpus(file, quarantine=bad))
    said = [one.message.split(";")[0] for one in bad]
    assert "question_id 5 has none as answers, one wanted" in said
    assert "question_id 6 has 'one', 'two' as answers, one wanted" in said


def test_a_mix_names_the_hash_of_the_answers_too(tmp_path: Path) -> None:
    file = CorpusFile(path=write_two_files(tmp_path), corpus="activitynet-qa")
    made = make_mix([Source(name="qa", file=file, count=4)], tmp_path / "mix")
    (source,) = made.sources
    assert list(source.beside) == ["val_a.json"] and len(source.beside["val_a.json"]) == 64
    assert source.rows == sum(source.rejected.values()) + source.duplicates + source.unique == 9


def test_answers_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = write_two_files(tmp_path)
    answers = tmp_path / "val_a.json"
    with pytest.raises(CorpusError, match=r"the file of questions has a name that ends in _q"):
        read(answers, corpus="activitynet-qa")
    answers.write_text('[{"question_id": 1, "answer": "a"},\n{"question_id": 2}]')
    with pytest.raises(TextualDataError, match=r"val_a.json line 2 is no answer: it needs a quest"):
        read(path, corpus="activitynet-qa")
    answers.unlink()
    with pytest.raises(CorpusError, match=r"there is no file .*val_a.json, which should hold"):
        read(path, corpus="activitynet-qa")


@pytest.mark.skipif(not SHARED.is_dir(), reason="no annotations in TEXTREEL_SHARED")
@pytest.mark.parametrize("name", ["MSVD_QA", "MSRVTT_QA", "ActivityNet_QA", "TGIF_FrameQA"])
def test_published_files_of_questions_are_read(name: str) -> None:
    names = read_field_names("video=video_name,question=question,answer=answer")
    file = CorpusFile(path=SHARED / f"{name}.csv", corpus="fields", fields=names)
    count = CorpusCount()
    records = list(islice(read_corpus(file, quarantine=Quarantine(), count=count), 1000))
    assert (len(records), count.rows, count.rejected) == (1000, 1000, 0)
    assert all(all(triple) for triple in triples(records))
