"""Records that a fine-tuning cannot use end it early, limited by what is wrong with them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from tests.recipes.test_frame_training import PAGES, asked, recipe, write_records
from tests.serve.runs import video
from textreel.data.errors import TooManyBadError
from textreel.data.record import Part, Record
from textreel.recipes.frame_data import open_records, open_source
from textreel.recipes.frame_training import open_learner, run_frame_recipe
from textreel.recipes.recipe import RecipeError
from textreel.recipes.t2vid import t2vid_idefics3
from textreel.train.frame_records import frames_of


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("left-out")
    save_image_llm(home / "llm")
    video(home / "one.mp4", seed=1)
    pages = asked("p", Part(kind="pages", value="The answer is here. " * 3), "1")
    shown = asked("v", Part(kind="video", value="one.mp4"), "red")
    write_records(home / "records.jsonl", [pages, shown])
    return home


def test_missing_videos_end_a_training_before_anything_is_measured(
    home: Path, tmp_path: Path, monkeypatch
) -> None:
    lines = (home / "records.jsonl").read_text().splitlines()
    records = [Record.from_json(json.loads(line)) for line in lines]
    records += [asked("v", Part(kind="video", value="gone"), "red")]  # an id may occur twice
    write_records(tmp_path / "records.jsonl", records)
    wanted = replace(
        t2vid_idefics3(),
        model=str(home / "llm"),
        data=str(tmp_path / "records.jsonl"),
        media=str(home),
        num_frames=3,
        pages=PAGES,
    )
    made = open_learner(wanted)
    source = open_source(wanted, made)
    told: list[tuple] = []
    with pytest.raises(TooManyBadError, match="1 of 3 samples are bad, 1% allowed") as error:
        open_records(wanted, made, source, tmp_path, show=lambda *step: told.append(step))
    assert not told and "--set max_bad=N; all are listed in" in error.value.hint
    allowed = replace(wanted, max_bad=1, max_tokens=40)
    kept, _ = open_records(allowed, made, source, tmp_path, show=lambda *step: told.append(step))
    assert [record.id for record in kept].count("v") == 1
    assert "left out: 1 MissingFileError (" in told[-1][3]

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("textreel.recipes.frame_training.load_image_llm", never)
    for changes, message in (
        ({"data": "nowhere"}, "data='nowhere': no such file or folder of records"),
        ({"media": "nowhere"}, "media='nowhere': no such folder of videos"),
    ):
        with pytest.raises(RecipeError, match=message):
            run_frame_recipe(replace(wanted, **changes), tmp_path / "run")  # type: ignore[arg-type]
    (tmp_path / "empty.jsonl").touch()
    empty = replace(wanted, data=str(tmp_path / "empty.jsonl"))
    with pytest.raises(RecipeError, match=r"empty\.jsonl' holds no record"):
        open_records(empty, made, source, tmp_path)


def test_a_limit_of_length_is_kept_where_it_is_not_the_usual_one(home: Path) -> None:
    assert "max_long" not in recipe(home).to_json()  # recipes of before stay what they were
    assert t2vid_idefics3().to_json()["max_long"] is None
    assert t2vid_idefics3().max_bad == "1%"


def test_a_video_may_be_named_without_its_ending(home: Path, tmp_path: Path) -> None:
    named = [asked(name, Part(kind="video", value=name), "red") for name in ("one", "one.mp4")]
    write_records(tmp_path / "records.jsonl", named)
    wanted = recipe(home, data=str(tmp_path / "records.jsonl"))
    made = open_learner(wanted)
    source = open_source(wanted, made)
    records, lengths = open_records(wanted, made, source, tmp_path)
    assert [record.id for record in records] == ["one", "one.mp4"] and lengths[0] == lengths[1]
    frames = [frames_of(record, record.messages[0].parts[0], source) for record in records]
    assert np.array_equal(*frames)
