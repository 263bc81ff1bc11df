"""A run keeps the fonts it began with: what is installed or removed later changes no page."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from tests.synth.pages.font_files import make_font
from textreel.data.errors import TooManyBadError
from textreel.data.long_text import LongText
from textreel.models.image_mllm.loading import ImageLLM
from textreel.recipes.frame_data import open_records, open_source
from textreel.recipes.frame_fonts import kept_fonts
from textreel.recipes.frame_recipe import FrameRecipe
from textreel.recipes.frame_training import open_learner
from textreel.synth.pages.drawer import PageDrawer
from textreel.synth.pages.errors import FontError
from textreel.synth.pages.fonts import default_font, shipped_font
from textreel.synth.pages.settings import PageSettings
from textreel.train.config import TrainConfig

RUNES = "\ue000\ue001\ue002"
TEXT = f"It is said in runes: {RUNES * 20}."
Install = Callable[..., None]


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_image_llm(tmp_path_factory.mktemp("fonts") / "llm")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make the machine have these fonts, and no others: folders of `tmp_path`."""

    def put(*names: str) -> None:
        folders = [tmp_path / name for name in names]
        monkeypatch.setattr("textreel.synth.pages.fonts.font_folders", lambda: folders)

    make_font(tmp_path / "few" / "Few.ttf", RUNES[:2])
    make_font(tmp_path / "rest" / "Rest.ttf", RUNES[2:])
    make_font(tmp_path / "all" / "All.ttf", RUNES, width=400, ink=200)
    put("few", "rest")
    return put


@pytest.fixture
def wanted(llm: Path, tmp_path: Path) -> FrameRecipe:
    sample = LongText(context=TEXT, instruction="what?", answer="so")
    line = json.dumps(sample.to_record(source="", licence="").to_json()) + "\n"
    (tmp_path / "records.jsonl").write_text(line)
    return FrameRecipe(
        name="toy",
        model=str(llm),
        data=str(tmp_path / "records.jsonl"),
        pages=PageSettings(width_px=64, height_px=48, font_px=10, margin_px=2),
        max_bad=0,
        train=TrainConfig(steps=1, batch_size=1),
    )


@pytest.fixture
def made(wanted: FrameRecipe) -> ImageLLM:
    return open_learner(wanted)


def opened(wanted: FrameRecipe, made: ImageLLM, out: Path) -> tuple[list[int], PageDrawer]:
    source = open_source(wanted, made)
    _, lengths = open_records(wanted, made, source, out)
    return lengths, kept_fonts(source.drawer, out)


def names_in(out: Path, which: str) -> list[str]:
    return [font["name"] for font in json.loads((out / "fonts.json").read_text())[which]]


def test_a_font_installed_later_draws_no_page_of_the_run(
    wanted: FrameRecipe, made: ImageLLM, install: Install, tmp_path: Path
) -> None:
    lengths, drawer = opened(wanted, made, tmp_path / "run")
    assert names_in(tmp_path / "run", "fonts") == ["DejaVuSans.ttf"]
    assert names_in(tmp_path / "run", "found") == ["Few.ttf", "Rest.ttf"]
    pages = drawer.typeset(TEXT, id="a").frames()
    install("all", "few", "rest")
    again, drawer = opened(wanted, made, tmp_path / "run")
    assert again == lengths
    np.testing.assert_array_equal(drawer.typeset(TEXT, id="a").frames(), pages)
    restored = PageDrawer.from_json(json.loads(json.dumps(drawer.to_json())))
    np.testing.assert_array_equal(restored.typeset(TEXT, id="a").frames(), pages)
    fresh, drawer = opened(wanted, made, tmp_path / "new")
    assert names_in(tmp_path / "new", "found") == ["All.ttf"]
    assert fresh < lengths
    assert len(drawer.typeset(TEXT, id="a").pages) < len(pages)


def test_a_length_of_other_fonts_is_measured_again_until_all_are(
    wanted: FrameRecipe, made: ImageLLM, install: Install, tmp_path: Path, monkeypatch
) -> None:
    def killed(*step: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_records(wanted, made, open_source(wanted, made), tmp_path / "run", show=killed)
    assert json.loads((tmp_path / "run" / "fonts.json").read_text())["found"] is None
    install("all", "few", "rest")
    assert opened(wanted, made, tmp_path / "run") == opened(wanted, made, tmp_path / "new")
    assert names_in(tmp_path / "run", "found") == ["All.ttf"]
    monkeypatch.delattr("textreel.train.frame_records._describe")  # not measured a third time
    opened(wanted, made, tmp_path / "run")


def test_a_font_that_was_missing_can_be_installed(
    wanted: FrameRecipe, made: ImageLLM, install: Install, tmp_path: Path
) -> None:
    install("few")
    with pytest.raises(TooManyBadError, match="1 no font"):
        opened(wanted, made, tmp_path / "run")
    install("few", "rest")
    opened(wanted, made, tmp_path / "run")
    assert names_in(tmp_path / "run", "found") == ["Few.ttf", "Rest.ttf"]


def test_a_run_without_one_of_its_fonts_is_refused(
    wanted: FrameRecipe, made: ImageLLM, install: Install, tmp_path: Path, monkeypatch
) -> None:
    opened(wanted, made, tmp_path / "run")
    install("few")
    with pytest.raises(FontError, match=r"run draws its pages with Rest\.ttf, which is gone"):
        opened(wanted, made, tmp_path / "run")
    install("few", "rest")
    other = default_font()
    monkeypatch.setattr("textreel.synth.pages.drawer.default_font", lambda: shipped_font(MONO))
    _, drawer = opened(wanted, made, tmp_path / "run")
    assert drawer.fonts == (other,)  # another default font is no font of the run


MONO = "DejaVuSansMono.ttf"


def test_a_named_font_is_kept_too(
    wanted: FrameRecipe, made: ImageLLM, install: Install, tmp_path: Path
) -> None:
    install()
    plain = replace(wanted, page_font=MONO, pages=replace(wanted.pages, missing="code"))
    lengths, drawer = opened(plain, made, tmp_path / "run")
    assert drawer.fonts == (shipped_font(MONO),)
    assert opened(plain, made, tmp_path / "run") == (lengths, drawer)
    assert names_in(tmp_path / "run", "found") == []
