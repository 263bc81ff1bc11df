import pytest

from textreel.synth.pages.errors import LayoutError
from textreel.synth.pages.settings import PageSettings, published, with_font_px


def test_settings_come_back_from_json() -> None:
    settings = PageSettings(font_px=18, words=90, ink=30)
    assert PageSettings.from_json(settings.to_json()) == settings
    assert settings.fingerprint != PageSettings().fingerprint
    assert len(settings.fingerprint) == 16


def test_the_published_settings_are_those_of_the_paper() -> None:
    settings = published()
    assert (settings.words, settings.width_px, settings.font_px, settings.margin_px) == (
        115,
        448,
        20,
        20,
    )


def test_a_budget_pays_for_whole_pages() -> None:
    settings = PageSettings(visual_tokens=400, tokens_per_page=99)
    assert settings.max_pages == 4
    assert with_font_px(settings, 12) == PageSettings(font_px=12)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layout": "fancy"}, "layout 'fancy' is none of fit, published"),
        ({"engine": "x"}, "engine 'x' is none of basic, raqm"),
        ({"missing": "x"}, "missing 'x' is none of refuse, code"),
        ({"font_px": 7}, "letters below 8 px are unreadable"),
        ({"margin_px": 224}, "margins of 224 px leave nothing of a page of 448 x 448 px"),
        ({"ink": 255}, "two different grey levels of 0 to 255"),
        ({"ink": 1.5}, "ink=1.5 must be a whole number"),
        ({"words": True}, "words=True must be a whole number"),
        ({"reflow": "no"}, "reflow='no' must be true or false"),
        ({"line_spacing": float("nan")}, "is not between 0.5 and 4"),
        ({"line_spacing": 0.1}, "is not between 0.5 and 4"),
        ({"words": 0}, "words=0: must be at least 1"),
        ({"characters": -1}, "characters=-1: must be at least 1"),
        ({"visual_tokens": 9}, "visual_tokens and tokens_per_page go together"),
        ({"visual_tokens": 9, "tokens_per_page": 10}, "9 visual tokens pays for no page of 10"),
        ({"engine": "raqm"}, "engine='raqm' has no effect"),
        ({"layout": "published"}, "reflow=True has no effect"),
        ({"layout": "published", "reflow": False}, "the published layout needs words"),
        (
            {"layout": "published", "reflow": False, "words": 115, "line_spacing": 2.0},
            "the published layout has no line_spacing: it would have no effect",
        ),
    ],
)
def test_what_cannot_be_is_refused(values: dict, message: str) -> None:
    with pytest.raises(LayoutError) as caught:
        PageSettings(**values)
    assert message in str(caught.value)


def test_json_of_another_kind_is_refused() -> None:
    with pytest.raises(LayoutError, match="page settings have no field colour"):
        PageSettings.from_json({"colour": 1})
    with pytest.raises(LayoutError, match="page settings of the wrong kind"):
        PageSettings.from_json({"font_px": "20"})
