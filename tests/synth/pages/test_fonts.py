from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from tests.synth.pages.font_files import make_font
from textreel.synth.pages import fonts
from textreel.synth.pages.errors import FontError, MissingGlyphsError
from textreel.synth.pages.fonts import (
    default_font,
    font_by_hash,
    machine_fonts,
    open_font,
    shipped_font,
)
from textreel.synth.pages.glyphs import GlyphBook, codes_of


def test_the_default_font_draws_european_scripts() -> None:
    font = default_font()
    assert font.name == "DejaVuSans.ttf"
    assert font.characters.issuperset(map(ord, "aéßŁΩжЯ"))
    assert font.has_kerning


def test_a_font_is_its_content_not_its_place(tmp_path: Path) -> None:
    one = open_font(make_font(tmp_path / "a" / "One.ttf", "ab"))
    copy = tmp_path / "Two.ttf"
    copy.write_bytes(one.path.read_bytes())
    assert open_font(copy) == one
    assert one.characters == {97, 98}
    assert not one.has_kerning


def test_what_is_no_font_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FontError, match=r"font .*none.ttf cannot be read: No such file"):
        open_font(tmp_path / "none.ttf")
    bad = tmp_path / "bad.ttf"
    bad.write_bytes(b"\0" * 200)
    with pytest.raises(FontError, match=r"bad.ttf is no font file"):
        open_font(bad)
    cut = tmp_path / "cut.ttf"
    cut.write_bytes(default_font().path.read_bytes()[:5000])
    with pytest.raises(FontError, match=r"cut.ttf is no font file"):
        open_font(cut)
    empty = make_font(tmp_path / "empty.ttf", "")
    with pytest.raises(FontError, match="has no outlines for any character"):
        open_font(empty)


def test_a_font_that_cannot_draw_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FontError, match="cannot be read: Is a directory"):
        open_font(tmp_path)
    path = make_font(tmp_path / "Box.ttf", "ab")
    with TTFont(path) as font:
        del font["hmtx"]
        font.save(tmp_path / "flat.ttf")
        glyphs = font.reader.tables["glyf"]
    with pytest.raises(FontError, match=r"flat.ttf is no font file: horizontal metrics"):
        open_font(tmp_path / "flat.ttf")
    content = bytearray(path.read_bytes())
    content[glyphs.offset : glyphs.offset + glyphs.length] = b"\x7f" * glyphs.length
    path.write_bytes(content)
    book = GlyphBook((open_font(path),), size_px=20, width_px=99)
    with pytest.raises(FontError, match=r"Box.ttf is damaged: its glyph for U\+0061 cannot be"):
        book.ids(codes_of("a"))


def test_an_empty_glyph_of_a_letter_is_no_glyph(tmp_path: Path) -> None:
    font = open_font(make_font(tmp_path / "Colour.ttf", "\U0001f600\u2800 ", ink=0))
    book = GlyphBook((font,), size_px=20, width_px=99)
    assert book.boxes(book.ids(codes_of("\u2800 ")))[0].tolist() == [0, 0]
    with pytest.raises(
        MissingGlyphsError, match=r"draws nothing for U\+1F600 \(emoji\): its glyph"
    ):
        book.ids(codes_of("\U0001f600"))


def test_without_matplotlib_the_way_out_is_named(monkeypatch) -> None:
    monkeypatch.setattr(fonts, "find_spec", lambda name: None)
    with pytest.raises(FontError, match=r"there is no DejaVuSans.ttf: it comes with matplotlib"):
        shipped_font.__wrapped__("DejaVuSans.ttf")


def test_fonts_that_come_with_matplotlib_are_found_by_name() -> None:
    assert shipped_font("DejaVuSans.ttf") == default_font() != shipped_font("DejaVuSansMono.ttf")
    with pytest.raises(FontError, match="matplotlib ships no font file 'None'"):
        shipped_font("None")


def test_fonts_of_the_machine_are_plain_ones_first(tmp_path: Path) -> None:
    for name in ("B-Bold.ttf", "sub/A.ttf", "C.ttf", "LastResort.ttf"):
        make_font(tmp_path / name, name[0])
    (tmp_path / "notes.txt").write_text("no font")
    assert [font.name for font in machine_fonts([tmp_path])] == ["A.ttf", "C.ttf", "B-Bold.ttf"]


def test_a_font_is_found_by_its_hash(tmp_path: Path) -> None:
    font = open_font(make_font(tmp_path / "A.ttf", "xyz"))
    assert font_by_hash(font.sha256, folders=[tmp_path]) == font
    assert font_by_hash(default_font().sha256, folders=[]) == default_font()
    with pytest.raises(FontError, match="no font on this machine has sha256 0000"):
        font_by_hash("0" * 64, folders=[tmp_path])


def test_folders_of_fonts_exist() -> None:
    assert all(folder.is_dir() for folder in fonts.font_folders())


def test_a_book_begins_anew_when_it_is_full(monkeypatch) -> None:
    book = GlyphBook((default_font(),), size_px=20, width_px=448)
    first = book.ids(codes_of("abc")).tolist()
    monkeypatch.setattr("textreel.synth.pages.glyphs.MAX_PIXELS", 10)
    assert first == [0, 1, 2]
    assert book.ids(codes_of("c")).tolist() == [0]


def test_a_book_refuses_what_its_fonts_lack() -> None:
    book = GlyphBook((default_font(),), size_px=20, width_px=448)
    with pytest.raises(MissingGlyphsError, match=r"no glyph for U\+6F22 in DejaVuSans.ttf"):
        book.ids(codes_of("漢"))
