import json
from pathlib import Path

import pytest
from PIL import Image

from textreel.cli.app import run

TEXT = "A text with some words in it. " * 40


@pytest.fixture
def text_file(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("book.txt")
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_a_text_file_becomes_pages(text_file: Path, capsys) -> None:
    assert run(["synth", "pages", "book.txt", "--out", "pages", "--words", "60"]) == 0
    files = sorted(path.name for path in Path("pages/book").iterdir())
    assert files[:2] == ["made_with.json", "page-00000.png"]
    assert capsys.readouterr().out == f"pages: {len(files) - 1} pages of 1 texts\n"
    assert run(["synth", "pages", "book.txt", "--out", "pages", "--words", "60"]) == 0
    assert "(1 texts were there)" in capsys.readouterr().out
    assert run(["synth", "pages", "book.txt", "--out", "pages", "--words", "50"]) == 2


@pytest.mark.parametrize(
    "options",
    [
        ["--layout", "published"],
        ["--layout", "published", "--words", "90"],
        ["--visual-tokens", "300", "--tokens-per-page", "99"],
        ["--format", "webp", "--characters", "200"],
        ["--layout", "published", "--set", "engine=basic", "--set", "ink=60"],
        ["--jitter", "font_px=12:26", "--jitter", "line_spacing=1:1.5", "--jitter", "contrast=90"],
    ],
)
def test_layouts_and_budgets(text_file: Path, capsys, options: list[str]) -> None:
    assert run(["synth", "pages", "book.txt", "--out", "pages.tar", *options, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["files"]["texts"] == 1
    assert Path("pages.tar").stat().st_size > report["files"]["num_bytes"] > 0


def test_settings_without_an_option_of_their_own_are_set(text_file: Path, capsys) -> None:
    text_file.write_text("A line\nof verse.\n" * 30, encoding="utf-8")
    assert run(["synth", "pages", "book.txt", "--out", "plain"]) == 0
    options = ["--set", "line_spacing=2", "--set", "ink=40", "--set", "paper=230"]
    options += ["--set", "reflow=false"]
    assert run(["synth", "pages", "book.txt", "--out", "set", *options]) == 0
    pictures = [sorted(Path(name, "book").glob("*.png")) for name in ("plain", "set")]
    assert len(pictures[1]) > len(pictures[0])
    assert Image.open(pictures[1][0]).getextrema() == (40, 230)
    settings = json.loads(Path("set/book/made_with.json").read_text())["settings"]
    assert (settings["line_spacing"], settings["reflow"]) == (2, False)


def test_texts_that_cannot_be_drawn_are_counted(text_file: Path, capsys) -> None:
    text_file.write_text("private \ue000", encoding="utf-8")
    options = ["synth", "pages", "book.txt", "--out", "pages"]
    assert run(options) == 3
    assert "1 of 1 samples are bad, 1% allowed: 1 no font" in capsys.readouterr().err
    assert run([*options, "--max-bad", "1"]) == 0
    assert "set aside: 1 no font" in capsys.readouterr().out
    assert run([*options, "--max-bad", "1", "--words", "9"]) == 2  # pages of other settings
    assert len(Path("pages.quarantine.jsonl").read_text().splitlines()) == 1
    assert run(["synth", "pages", "book.txt", "--out", "coded", "--draw-codes"]) == 0


def test_a_text_that_can_be_drawn_no_more_loses_its_old_pages(text_file: Path, capsys) -> None:
    options = ["synth", "pages", "book.txt", "--out", "pages", "--max-bad", "1"]
    assert run(options) == 0
    assert Path("pages/book/page-00000.png").is_file()
    text_file.write_text("private \ue000", encoding="utf-8")
    assert run(options) == 0
    assert sorted(path.name for path in Path("pages").glob("b*")) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "448"], "--size '448' is not of the form WIDTHxHEIGHT"),
        (["--jitter", "font_px=12"], "--jitter 'font_px' with 1 numbers is not known"),
        (["--jitter", "colour=1:2"], "--jitter 'colour' with 2 numbers is not known"),
        (["--jitter", "font_px=a:b"], "needs a value of kind span"),
        (["--jitter", "font_px=12.5:20"], "--jitter font_px=12.5:20.0: whole numbers are needed"),
        (["--jitter", "seed=nan"], "--jitter seed=nan: whole numbers are needed"),
        (["--jitter", "margin_px=-4:4"], "margins of -4 px leave nothing of a page"),
        (["--jitter", "seed=1", "--layout", "published"], "the published layout has no jitter"),
        (["--jitter", "font_px=30:20"], "jitter of font_px from 30 to 20: nothing between"),
        (["--set", "colour=1"], "--set colour: no such setting, or one with its own option"),
        (["--set", "font_px=30"], "--set font_px: no such setting, or one with its own option"),
        (["--set", "ink"], "--set 'ink' is not of the form NAME=VALUE"),
        (["--set", "ink=x"], "page settings of the wrong kind"),
        (["--set", "reflow=no"], "reflow='no' must be true or false"),
        (["--set", "line_spacing=9"], "line_spacing=9 is not between 0.5 and 4"),
        (["--layout", "fancy"], "layout 'fancy' is none of fit, published"),
        (["--format", "gif"], "pictures of kind 'gif' are not written"),
        (["--font", "none.ttf"], "font none.ttf cannot be read"),
        (["--visual-tokens", "9"], "visual_tokens and tokens_per_page go together"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    text_file: Path, capsys, options: list[str], message: str
) -> None:
    assert run(["synth", "pages", "book.txt", "--out", "pages", *options]) == 2
    assert message in capsys.readouterr().err


def test_what_is_no_place_for_pages_is_refused(text_file: Path, capsys) -> None:
    assert run(["synth", "pages", "book.txt", "--out", "."]) == 2
    assert ". is not empty and holds no pages.json" in capsys.readouterr().err
    for out in ("book.txt", "book.txt/pages"):
        assert run(["synth", "pages", "book.txt", "--out", out]) == 1
        assert "a file is there, where a folder is needed" in capsys.readouterr().err


def test_a_file_name_with_spaces_names_a_folder(text_file: Path, capsys) -> None:
    text_file.rename("my (old) book.md")
    assert run(["synth", "pages", "my (old) book.md", "--out", "pages"]) == 0
    assert Path("pages/my__old__book/page-00000.png").is_file()


def test_a_text_of_another_encoding_is_named(text_file: Path, capsys) -> None:
    text_file.write_bytes(b"caf\xe9")
    assert run(["synth", "pages", "book.txt", "--out", "pages"]) == 2
    assert "book.txt is no UTF-8 text: unexpected end of data at byte 3" in capsys.readouterr().err
