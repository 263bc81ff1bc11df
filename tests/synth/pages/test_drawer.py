import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.synth.pages.font_files import make_font
from textreel.data.long_text import LongText
from textreel.data.record import Message, Part, Record
from textreel.synth.pages.drawer import PageDrawer
from textreel.synth.pages.errors import EmptyTextError, LayoutError
from textreel.synth.pages.fonts import default_font, open_font
from textreel.synth.pages.jitter import Jitter, jitter_fonts, jitter_settings
from textreel.synth.pages.settings import PageSettings, published

TEXT = "A page is drawn when it is wanted, and forgotten when it was read. " * 20
RECORD = LongText(context=TEXT, instruction="When?", answer="When wanted.").to_record(
    source="", licence=""
)
JITTER = Jitter(font_px=(12, 26), line_spacing=(0.9, 1.4), margin_px=(4, 40), contrast=100, seed=7)


def test_a_worker_draws_the_same_pages() -> None:
    drawer = PageDrawer(settings=PageSettings(font_px=18), jitter=JITTER)
    clip = drawer.clip(RECORD)
    for again in (pickle.loads(pickle.dumps(drawer)), PageDrawer.from_json(drawer.to_json())):
        assert again.fingerprint == drawer.fingerprint
        np.testing.assert_array_equal(again.clip(RECORD).frames, clip.frames)
    assert clip.source == RECORD.id


def test_fonts_are_kept_by_hash(tmp_path: Path) -> None:
    font = open_font(make_font(tmp_path / "Box.ttf", TEXT))
    drawer = PageDrawer.of_fonts(PageSettings(), (font,), search=False)
    assert drawer.font_hashes == (font.sha256,)
    assert drawer.typeset(TEXT, id="a").fonts == (font,)
    default = PageDrawer(font_hashes=(default_font().sha256,))
    assert default.fonts == PageDrawer().fonts == (default_font(),)


def test_jitter_differs_by_text_and_stays_in_its_bounds() -> None:
    drawn = [jitter_settings(PageSettings(), JITTER, id=str(n)) for n in range(60)]
    assert drawn == [jitter_settings(PageSettings(), JITTER, id=str(n)) for n in range(60)]
    sizes = {settings.font_px for settings in drawn}
    assert len(sizes) > 8 and min(sizes) >= 12 and max(sizes) <= 26
    assert all(0.9 <= s.line_spacing <= 1.4 and 4 <= s.margin_px <= 40 for s in drawn)
    contrasts = [s.paper - s.ink for s in drawn]
    assert min(contrasts) >= 100 and max(contrasts) > 200 and min(contrasts) < 150
    assert jitter_settings(PageSettings(), Jitter(), id="a") == PageSettings()


def test_the_first_font_is_drawn_too(tmp_path: Path) -> None:
    fonts = tuple(open_font(make_font(tmp_path / f"{n}.ttf", f"a{n}")) for n in range(3))
    firsts = {jitter_fonts(fonts, Jitter(), id=str(n))[0] for n in range(30)}
    assert firsts == set(fonts)
    assert all(set(jitter_fonts(fonts, Jitter(), id=str(n))) == set(fonts) for n in range(5))
    assert jitter_fonts(fonts[:1], Jitter(), id="a") == fonts[:1]


def test_jitter_without_room_is_refused() -> None:
    with pytest.raises(LayoutError, match="jitter of font_px from 20 to 12: nothing between"):
        Jitter(font_px=(20, 12))
    with pytest.raises(LayoutError, match="jitter of font_px: below 8 px is unreadable"):
        Jitter(font_px=(4, 12))
    with pytest.raises(LayoutError, match="jitter to a contrast of 0: 1 to 255 grey levels"):
        Jitter(contrast=0)
    with pytest.raises(LayoutError, match="the published layout has no jitter"):
        PageDrawer(settings=published(), jitter=JITTER)
    with pytest.raises(LayoutError, match="margins of 224 px leave nothing of a page"):
        PageDrawer(jitter=Jitter(margin_px=(0, 224)))
    with pytest.raises(LayoutError, match=r"line_spacing=0.1 is not between 0.5 and 4"):
        PageDrawer(jitter=Jitter(line_spacing=(0.1, 1)))


def test_a_record_without_pages_is_refused() -> None:
    said = Record(id="r", messages=(Message(role="user", parts=(Part(kind="text", value="a"),)),))
    with pytest.raises(EmptyTextError, match="record r has 0 texts for pages, one is wanted"):
        PageDrawer().clip(said)
