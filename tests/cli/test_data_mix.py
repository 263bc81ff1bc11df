import json
import re
from pathlib import Path

import pytest

from tests.source import ROOT
from textreel.cli.app import run
from textreel.cli.errors import OptionError
from textreel.cli.pairs import read_pairs
from textreel.data.corpora import CORPORA

PAPER = "Below is a paper. Memorize the paper and answer my question after the paper.\n The paper "
PAPER += "begins. \n {} \n Now the paper ends. \nWhat is number {} about?"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    papers = [
        {"instruction": PAPER.format(f"The number {n} has properties. " * 30, n), "output": "It."}
        for n in range(6)
    ]
    papers.append({"instruction": "Name three fruits.", "output": "a b c"})
    Path("papers.json").write_text(json.dumps(papers))
    videos = [{"q": f"Who is {n}?", "a": "A cat.", "video_id": f"v{n}"} for n in range(9)]
    Path("videos.json").write_text(json.dumps(videos))
    return tmp_path


SOURCES = ["--source", "longalpaca=papers.json", "--source", "video-chatgpt=videos.json"]


@pytest.mark.slow
def test_a_mix_is_made_drawn_and_exported(folder: Path, capsys) -> None:
    ratio = ["--ratio", "longalpaca=1", "--ratio", "video-chatgpt=2", "--total", "9"]
    assert run(["data", "mix", *SOURCES, *ratio, "--out", "mix"]) == 0
    assert capsys.readouterr().out == (
        "mix: 9 samples, seed 0\n"
        "  longalpaca: 3 of 6 different samples (7 rows, 0 seen before; set aside: 1 no document)\n"
        "  video-chatgpt: 6 of 9 different samples (9 rows, 0 seen before)\n"
    )
    size = ["--size", "200x160", "--font-px", "12", "--margin-px", "8"]
    assert run(["synth", "pages", "mix", "--out", "pages", *size, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["files"]["texts"], made["without_pages"], made["bad"]) == (3, 6, {})
    export = ["data", "export", "mix", "--to", "llava", "--out", "llava.json"]
    assert run([*export, "--pictures", "pages"]) == 0
    pictures = made["files"]["pages"]
    assert capsys.readouterr().out == f"llava.json: 9 records, {pictures} pictures, 6 videos\n"
    rows = json.loads(Path("llava.json").read_text())
    assert sum("video" in row for row in rows) == 6
    assert all(Path(path).is_file() for row in rows for path in row.get("image", []))
    assert run(["data", "diversity", "mix", "--clusters", "4"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "4 clusters by hashed n-grams"
    assert {line.split(":")[0].strip() for line in told[1:]} == {"longalpaca", "video-chatgpt"}


def test_a_mix_in_json_lists_licences(folder: Path, capsys) -> None:
    options = ["--source", "mine=papers.json", "--fields", "mine=instruction,output,output"]
    options += ["--licence", "mine=CC0-1.0", "--take", "mine=6", "--seed", "3", "--out", "mix"]
    assert run(["data", "mix", *options, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["samples"], made["seed"]) == (6, 3)
    assert made["sources"][0]["licences"] == {"CC0-1.0": 6}
    assert made["sources"][0]["corpus"] == "fields"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "say once how many samples to take: --preset, --take or --ratio (given: none)"),
        (["--take", "longalpaca=1", "--preset", "t2vid-30k"], "(given: --preset, --take)"),
        (["--preset", "t2vid"], "there is no preset 't2vid'"),
        (["--take", "longalpaca=1", "--total", "2"], "--total goes with --ratio or --preset"),
        (["--ratio", "longalpaca=1"], "--ratio needs --total"),
        (["--preset", "t2vid-30k"], "but numbers for longalpaca, longqlora, sharegemini, video-"),
        (["--take", "longalpaca"], "--take 'longalpaca' is not of the form NAME=VALUE"),
        (["--take", "longalpaca=many"], "needs a value of kind int"),
        (
            ["--take", "longalpaca=1", "--take", "video-chatgpt=1", "--as", "x=records"],
            "--as for x, which is no --source",
        ),
        (
            ["--take", "longalpaca=1", "--take", "video-chatgpt=1", "--fields", "longalpaca=a,b"],
            "fields 'a,b': three names are needed, of context, instruction and answer",
        ),
        (["--take", "longalpaca=7", "--take", "video-chatgpt=1"], "has 6 different samples"),
    ],
)
def test_options_that_say_nothing_clear_are_refused(
    folder: Path, capsys, options: list[str], message: str
) -> None:
    assert run(["data", "mix", *SOURCES, *options, "--out", "mix"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("mix").exists()


def test_pairs_are_read_in_order() -> None:
    assert list(read_pairs(["b=1", "a=2"], option="--x", kind=int).items()) == [("b", 1), ("a", 2)]
    with pytest.raises(OptionError, match="--x names 'a' twice"):
        read_pairs(["a=1", "a=2"], option="--x", kind=int)


def test_an_export_needs_the_pages(folder: Path, capsys) -> None:
    assert run(["data", "mix", *SOURCES[:2], "--take", "longalpaca=2", "--out", "mix"]) == 0
    assert run(["data", "export", "mix", "--to", "minicpm", "--out", "x.json"]) == 2
    assert "there are no pictures of them in any folder: none was named" in capsys.readouterr().err


def test_a_file_that_holds_no_records_is_named(folder: Path, capsys) -> None:
    assert run(["data", "diversity", "papers.json"]) == 2
    assert "papers.json line 1 is no record: a record has no id" in capsys.readouterr().err


def test_the_list_of_what_is_in_a_mix_is_no_file_of_records(folder: Path, capsys) -> None:
    assert run(["data", "mix", *SOURCES[2:], "--take", "video-chatgpt=2", "--out", "mix"]) == 0
    assert run(["data", "diversity", "mix/mix.json"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "textreel: mix/mix.json says what is in a mix, and holds no records" in said
    assert said[-1].strip() == "name the folder, mix"


def test_a_file_of_any_fields_is_checked(folder: Path, capsys) -> None:
    rows = [{"t": "A long text.", "q": "Why?", "a": "So."}, {"t": "x", "q": "Why?", "a": "So."}]
    Path("rows.json").write_text(json.dumps(rows), encoding="utf-8")
    options = ["--as", "fields", "--fields", "t,q,a", "--max-bad", "1"]
    assert run(["data", "check", "rows.json", *options]) == 0
    said = capsys.readouterr().out
    assert "1 of 2 rows are samples" in said
    assert "set aside: 1 swapped columns" in said
    assert run(["data", "check", "rows.json", "--fields", "t,q,a", "--max-bad", "1"]) == 0
    assert capsys.readouterr().out == said
    assert run(["data", "check", "rows.json", "--media", "."]) == 2
    assert "--media has no effect without --as or --fields" in capsys.readouterr().err


def test_a_csv_of_questions_is_checked_with_its_videos_and_mixed(folder: Path, capsys) -> None:
    Path("qa.csv").write_text("video_id,question,answer\nclip,Who?,me\nclip,Where?,here\nb,Why?,\n")
    Path("clip.mp4").write_bytes(b"x")
    fields = "video=video_id,question=question,answer=answer"
    options = ["--fields", fields, "--media", ".", "--max-bad", "1"]
    assert run(["data", "check", "qa.csv", *options]) == 0
    said = capsys.readouterr().out
    assert "2 of 3 rows are samples, with 4 messages and 2 pictures and videos" in said
    assert "line 4: the assistant says nothing" in said
    options = ["--source", "qa=qa.csv", "--fields", f"qa={fields}", "--out", "mix"]
    assert run(["data", "mix", *options, "--take", "qa=3"]) == 2
    assert "--fields qa=video=F,question=F,answer=F)" in capsys.readouterr().err
    assert run(["data", "mix", *options, "--take", "qa=2"]) == 0
    assert "qa: 2 of 2 different samples (3 rows, 0 seen before" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["mix", "check"])
def test_every_corpus_is_named_in_the_help_and_in_the_guide(command: str, capsys) -> None:
    assert run(["data", command, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    guide = (ROOT / "docs" / "guides" / "fine-tune.md").read_text(encoding="utf-8")
    assert len(CORPORA) > 12
    assert [name for name in CORPORA if not re.search(rf"(?<![\w-]){name}(?![\w-])", said)] == []
    assert [name for name in CORPORA if f"`{name}`" not in guide] == []
