import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.synth.pages.font_files import make_font
from textreel.synth.pages.export import ExportError, encode_page, export_folder, export_tar
from textreel.synth.pages.fonts import default_font
from textreel.synth.pages.settings import PageSettings
from textreel.synth.pages.typeset import Typeset, typeset

SMALL = PageSettings(width_px=120, height_px=80, font_px=12, margin_px=4)


@pytest.fixture
def documents() -> list[tuple[str, Typeset]]:
    return [
        (name, typeset(text * 12, SMALL, search=False))
        for name, text in (("one", "Some words. "), ("two", "Other words! "))
    ]


@pytest.mark.parametrize("format", ["png", "webp"])
def test_files_hold_the_pages_exactly(documents, tmp_path: Path, format) -> None:
    report = export_folder(documents, tmp_path / "out", format=format)
    assert (report.texts, report.kept) == (2, 0)
    assert report.pages == sum(len(document.pages) for _, document in documents)
    document = documents[1][1]
    for number in range(len(document.pages)):
        file = tmp_path / "out" / "two" / f"page-{number:05d}.{format}"
        picture = np.array(Image.open(file).convert("L"))
        np.testing.assert_array_equal(picture, document.draw(number))


def test_an_export_goes_on_and_never_mixes(documents, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_folder(documents[:1], out, made_with=SMALL.to_json())
    report = export_folder(documents, out, made_with=SMALL.to_json())
    assert (report.texts, report.kept) == (2, 1)
    with pytest.raises(ExportError, match="holds pages made with other settings"):
        export_folder(documents, out, made_with={"font_px": 9})
    changed = typeset("One word. ", SMALL, search=False)
    assert len(changed.pages) < len(documents[0][1].pages)
    assert export_folder([("one", changed)], out, made_with=SMALL.to_json()).kept == 0
    files = sorted(path.name for path in (out / "one").iterdir())
    assert files == ["made_with.json", "page-00000.png"]
    made_with = json.loads((out / "one" / "made_with.json").read_text())
    assert Typeset.from_json("One word. ", made_with).pages == changed.pages
    assert made_with["fonts"] == [{"name": "DejaVuSans.ttf", "sha256": default_font().sha256}]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ExportError, match=r"is not empty and holds no pages.json"):
        export_folder(documents, tmp_path / "other")


def test_an_export_after_a_font_was_installed_is_like_one_at_once(
    tmp_path: Path, monkeypatch
) -> None:
    for name, characters in (("few", "中"), ("rest", "文"), ("all", "中文")):
        make_font(tmp_path / name / f"{name}.ttf", characters)
    folders = [tmp_path / "few", tmp_path / "rest"]
    monkeypatch.setattr("textreel.synth.pages.fonts.font_folders", lambda: folders)
    texts = {"one": "中文", "two": "words"}
    before = [(id, typeset(text, SMALL)) for id, text in texts.items()]
    export_folder(before, tmp_path / "out")
    folders = [*folders, tmp_path / "all"]
    after = [(id, typeset(text, SMALL)) for id, text in texts.items()]
    assert export_folder(after, tmp_path / "out").kept == 1
    export_folder(after, tmp_path / "new")
    for path in (tmp_path / "new").rglob("*.*"):
        assert (tmp_path / "out" / path.relative_to(tmp_path / "new")).read_bytes() == (
            path.read_bytes()
        )


def test_a_tar_is_the_same_bytes_each_time(documents, tmp_path: Path) -> None:
    report = export_tar(documents, tmp_path / "a.tar")
    export_tar(documents, tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        names = tar.getnames()
        content = tar.extractfile("one/page-00000.png")
        assert content is not None
        picture = np.array(Image.open(io.BytesIO(content.read())))
    assert len(names) == report.pages + report.texts
    np.testing.assert_array_equal(picture, documents[0][1].draw(0))


@pytest.mark.parametrize("id", ["..", "a/b", "", "c:d", "a" * 201, "漢" * 80])
def test_an_id_that_is_no_name_is_refused(documents, tmp_path: Path, id: str) -> None:
    with pytest.raises(ExportError, match="is no name for a folder"):
        export_folder([(id, documents[0][1])], tmp_path / "out")


@pytest.mark.parametrize("id", ["pages.json", "Pages.json"])
def test_an_id_that_the_export_needs_itself_is_refused(documents, tmp_path: Path, id: str) -> None:
    with pytest.raises(ExportError, match=r"ages.json' is the name of a file of the export itself"):
        export_folder([(id, documents[0][1])], tmp_path / "out")
    assert export_tar([(id, documents[0][1])], tmp_path / "out.tar").texts == 1


def test_two_texts_of_one_id_and_unknown_kinds_are_refused(documents, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="two texts have the id 'one'"):
        export_tar([documents[0], documents[0]], tmp_path / "a.tar")
    assert not (tmp_path / "a.tar").exists()
    with pytest.raises(ExportError, match="pictures of kind 'gif' are not written: png, webp"):
        encode_page(documents[0][1].draw(0), format="gif")
