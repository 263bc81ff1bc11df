"""Image-LLMs fine-tuned by a recipe: the run answers, LoRA is merged, what is bad is counted."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from tests.serve.runs import video
from textreel.data.errors import FingerprintError, TooManyBadError
from textreel.data.long_text import LongText
from textreel.data.record import Message, Part, Record
from textreel.models.adapters import LoraSettings
from textreel.models.image_mllm.loading import load_image_llm
from textreel.models.image_mllm.tuning import Tuning
from textreel.recipes.frame_data import open_records, open_source
from textreel.recipes.frame_recipe import FrameRecipe, WorldSamples
from textreel.recipes.frame_training import (
    find_frame_recipe,
    open_learner,
    run_frame_recipe,
    save_frame_run,
)
from textreel.recipes.recipe import RecipeError
from textreel.recipes.recipe_values import read_as, with_settings
from textreel.recipes.t2vid import FRAME_RECIPES, t2vid_idefics3
from textreel.serve.run_files import read_template
from textreel.serve.session import load
from textreel.synth.pages.jitter import Jitter
from textreel.synth.pages.settings import PageSettings
from textreel.train.config import TrainConfig, learning_rate
from textreel.train.frame_records import draw_batch, frames_of

PAGES = PageSettings(width_px=64, height_px=48, font_px=10, margin_px=2)


def asked(id: str, shown: Part, answer: str) -> Record:
    user = Message(role="user", parts=(shown, Part(kind="text", value="which is it?")))
    said = Message(role="assistant", parts=(Part(kind="text", value=answer),))
    return Record(id=id, messages=(user, said))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("t2vid")
    save_image_llm(home / "llm")
    video(home / "one.mp4", seed=1)
    pages = [
        LongText(context=f"The answer {n} is here. " * 3, instruction="which?", answer=str(n))
        for n in range(3)
    ]
    records = [sample.to_record(source="texts", licence="") for sample in pages]
    records += [asked("v", Part(kind="video", value="one.mp4"), "red")]
    write_records(home / "records.jsonl", records)
    return home


def write_records(path: Path, records: list[Record]) -> None:
    path.write_text("".join(json.dumps(record.to_json()) + "\n" for record in records))


def recipe(home: Path, **changes: object) -> FrameRecipe:
    made = FrameRecipe(
        name="toy",
        model=str(home / "llm"),
        data=str(home / "records.jsonl"),
        media=str(home),
        num_frames=3,
        pages=PAGES,
        max_bad=0,
        train=TrainConfig(
            steps=2,
            batch_size=2,
            accumulate=2,
            lr=1e-2,
            threads=1,
            precision="fp32",
            prefetch=0,
            log_every=1,
        ),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(home: Path) -> Path:
    told: list[str] = []
    out = home / "run"
    result = run_frame_recipe(recipe(home), out, show=lambda *step: told.append(str(step)))
    assert (result.steps, result.resumed_at) == (2, None)
    assert any("('measure', 4, 4, '4 records')" in line for line in told)
    return out


def test_a_run_answers_like_any_image_llm(run: Path, home: Path) -> None:
    eyes = load(run)
    answer = eyes.ask(home / "one.mp4", "which is it?", options=["red", "green"])
    assert len(answer.frame_times_s) == 3
    assert read_template(run) is None
    before = load(home / "llm").ask(home / "one.mp4", "which is it?", options=["red", "green"])
    assert answer.probabilities != pytest.approx(before.probabilities, abs=1e-6)


@pytest.mark.slow
def test_its_recipe_repeats_it(run: Path, home: Path) -> None:
    again = find_frame_recipe(str(run / "recipe.json"), settings=["seed=0"])
    assert again == recipe(home)
    assert run_frame_recipe(again, home / "again").weights_sha256 == (
        run_frame_recipe(again, run).weights_sha256
    )
    assert (home / "again" / "model.safetensors").read_bytes() == (
        run / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(
    "tuning",
    [
        Tuning(lora=LoraSettings(rank=2)),
        pytest.param(Tuning(vision=False), marks=pytest.mark.slow),
    ],
)
def test_lora_is_merged_and_frozen_eyes_stay_as_they_were(
    tuning: Tuning, home: Path, tmp_path: Path
) -> None:
    wanted = recipe(home, tuning=replace(tuning, checkpoint_activations=True), loss="all text")
    run_frame_recipe(wanted, tmp_path / "run")
    folders = (home / "llm", tmp_path / "run")
    before, after = (load_image_llm(folder).model.state_dict() for folder in folders)
    assert before.keys() == after.keys()
    changed = {name for name, values in before.items() if not torch.equal(values, after[name])}
    assert changed and not any("vision_model" in name for name in changed)
    if tuning.lora is not None:
        assert all(name.rsplit(".", 2)[1] in ("q_proj", "v_proj") for name in changed)


def test_merged_lora_gives_the_logits_of_the_trained_model(home: Path, tmp_path: Path) -> None:
    wanted = recipe(home, tuning=Tuning(lora=LoraSettings(rank=2)))
    made = open_learner(wanted)
    source = open_source(wanted, made)
    records, _ = open_records(wanted, made, source, tmp_path)
    for name, parameter in made.model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    batch = draw_batch(records[:2], source)
    logits = []
    for step in range(2):
        positions = made.model.positions(batch.input_ids, batch.pixels)
        with torch.no_grad():
            hidden = made.model.read(batch.input_ids, pixels=batch.pixels, positions=positions)
            logits.append(made.model.head(hidden))
        if step == 0:
            save_frame_run(tmp_path / "run", made, wanted, dtype=torch.float32)
            made = load_image_llm(tmp_path / "run")  # type: ignore[assignment]
    torch.testing.assert_close(logits[1], logits[0], atol=1e-4, rtol=0)


def test_records_that_cannot_be_trained_on_are_counted(home: Path, tmp_path: Path) -> None:
    good = [json.loads(line) for line in (home / "records.jsonl").read_text().splitlines()]
    records = [Record.from_json(values) for values in good]
    records += [
        asked("gone", Part(kind="video", value="gone.mp4"), "red"),
        asked("late", Part(kind="video", value="one.mp4", start_s=99.0), "red"),
        asked("sound", Part(kind="audio", value="one.mp4"), "red"),
        asked("rune", Part(kind="pages", value="\ue000 is a glyph of no font"), "a"),
    ]
    write_records(tmp_path / "bad.jsonl", records)
    wanted = recipe(home, data=str(tmp_path / "bad.jsonl"), max_tokens=150)
    made = open_learner(wanted)
    source = open_source(wanted, made)
    with pytest.raises(TooManyBadError, match=r"of 8 samples are bad, 0 allowed"):
        open_records(wanted, made, source, tmp_path)
    allowed = replace(wanted, max_bad=None, max_long=None)
    told: list[str] = []
    kept, lengths = open_records(
        allowed, made, source, tmp_path, show=lambda *step: told.append(step[-1])
    )
    assert "1 no font" in told[-1] and "{" not in told[-1]
    bad = [json.loads(line) for line in (tmp_path / "quarantine.jsonl").read_text().splitlines()]
    assert {line["id"] for line in bad} >= {"gone", "late", "sound", "rune"}
    assert {"no font", "MissingFileError"} <= {line["code"] for line in bad}
    assert any("past the end of a video" in line["message"] for line in bad)
    assert len(kept) == len(lengths) == 8 - len(bad)
    assert max(lengths) <= 150
    for record, length in zip(kept, lengths, strict=True):
        assert draw_batch([record], source).num_tokens == length
    nothing = replace(allowed, max_tokens=3)
    limited = replace(nothing, max_long="1%")
    with pytest.raises(TooManyBadError, match="4 of 8 samples are bad, 1% allowed: 4 too long"):
        open_records(limited, made, open_source(limited, made), tmp_path)
    with pytest.raises(
        RecipeError, match=r"none of 8 records can be trained on; left out: 4 too long, .*jsonl\)"
    ):
        open_records(nothing, made, open_source(nothing, made), tmp_path)
    missing = replace(allowed, data=str(tmp_path / "no-mix"))
    with pytest.raises(RecipeError, match="no such file or folder of records"):
        open_records(missing, made, source, tmp_path)


def test_what_was_measured_is_not_measured_again(home: Path, tmp_path: Path, monkeypatch) -> None:
    wanted = recipe(home)
    made = open_learner(wanted)
    source = open_source(wanted, made)
    told: list[tuple] = []
    first = open_records(wanted, made, source, tmp_path, show=lambda *step: told.append(step))
    assert [step[:3] for step in told[:4]] == [("measure", n, 4) for n in (1, 2, 3, 4)]

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("textreel.train.frame_records._describe", never)
    assert open_records(wanted, made, source, tmp_path) == first
    other = replace(wanted, num_frames=2)
    with pytest.raises(FingerprintError):
        open_records(other, made, source, tmp_path)


def test_pages_of_a_training_differ_by_jitter_and_are_drawn_again(
    home: Path, tmp_path: Path
) -> None:
    settings = ['page_jitter={"font_px": [8, 12], "contrast": 80, "seed": 4}']
    wanted = with_settings(recipe(home), settings)
    assert wanted.page_jitter == Jitter(font_px=(8, 12), contrast=80, seed=4)
    assert (
        with_settings(read_as(FrameRecipe, json.loads(json.dumps(wanted.to_json()))), []) == wanted
    )
    made = open_learner(wanted)
    for case in (wanted, replace(wanted, page_font="DejaVuSans.ttf")):
        first, again = open_source(case, made), open_source(case, made)
        texts = [asked(f"text-{n}", Part(kind="pages", value="The same text."), "") for n in "abcd"]
        drawn = [frames_of(text, text.messages[0].parts[0], first) for text in texts]
        assert len({(pages.min(), pages.max()) for pages in drawn}) == len(texts)
        for text, pages in zip(texts, drawn, strict=True):
            assert np.array_equal(pages, frames_of(text, text.messages[0].parts[0], again))
    open_records(wanted, made, open_source(wanted, made), tmp_path)
    plain = replace(wanted, page_jitter=None)
    with pytest.raises(FingerprintError):
        open_records(plain, made, open_source(plain, made), tmp_path)


def test_texts_alone_stand_beside_pages_and_videos(home: Path) -> None:
    wanted = recipe(home)
    made = open_learner(wanted)
    source = open_source(wanted, made)
    said = Message(role="assistant", parts=(Part(kind="text", value="so"),))
    user = Message(role="user", parts=(Part(kind="text", value="?"),))
    text = Record(id="t", messages=(user, said))
    shown = asked("v", Part(kind="video", value="one.mp4"), "red")
    batch = draw_batch([text, shown], source)
    image = made.model.family.image_token_id
    assert (batch.input_ids == image).sum(dim=1).tolist() == [0, 12]
    assert made.model.loss(batch).isfinite()
    assert draw_batch([text], source).pixels == {}
    assert made.model.loss(draw_batch([text], source)).isfinite()


def test_published_settings_are_those_of_the_script() -> None:
    made = t2vid_idefics3()
    train = made.train
    assert train.batch_size * train.accumulate == 64
    assert (train.steps, train.warmup, train.lr) == (469, 14, 5e-6)
    assert (train.weight_decay, train.betas, train.precision) == (0.01, (0.9, 0.999), "bf16")
    rates = [learning_rate(step, train) for step in (0, 13, 14, 468)]
    assert rates == pytest.approx([5e-6 / 14, 5e-6, 5e-6, 5e-7], rel=1e-3)
    assert (made.loss, made.num_frames, made.tiles) == ("all text", 24, False)
    assert made.max_tokens == 10240
    assert (made.pages.words, made.pages.width_px, made.pages.font_px) == (115, 448, 20)
    assert made.tuning == Tuning(checkpoint_activations=True)
    for name, make in FRAME_RECIPES.items():
        again = find_frame_recipe(name, settings=["seed=3"])
        assert again == replace(make(), seed=3)
        assert json.loads(json.dumps(again.to_json()))["seed"] == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("t2vid_idefics3", "idefics3"),
        ("t2vid_qwen3_vl", "qwen3_vl"),
        ("t2vid_qwen3_vl_lora", "qwen3_vl"),
    ],
)
def test_published_and_current_settings_run_on_small_models_of_their_classes(
    name: str, kind: str, home: Path, tmp_path: Path
) -> None:
    made = FRAME_RECIPES[name]()
    train = replace(made.train, steps=2, warmup=1, accumulate=1, threads=1)
    model = save_image_llm(tmp_path / kind, kind)
    data = {"data": str(home / "records.jsonl"), "media": str(home), "max_bad": 0}
    wanted = replace(made, model=str(model), train=train, num_frames=4, **data)
    run_frame_recipe(wanted, tmp_path / "run")
    answer = load(tmp_path / "run").ask(home / "one.mp4", "which is it?", options=["a", "b"])
    assert answer.chosen is not None and len(answer.frame_times_s) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": "topa"}, "unknown template 'topa' of an image-LLM"),
        ({"num_frames": 0}, "num_frames=0 must be at least 1"),
        ({"data": "world"}, "data='world' and world=none"),
        ({"world": WorldSamples(clips=1)}, "go with data=world, and with nothing else"),
        ({"loss": "some"}, "loss='some' is none of answers, all text"),
        ({"tuning": Tuning(lora=LoraSettings(), vision=False)}, "vision=false has no effect"),
    ],
)
def test_settings_that_mean_nothing(home: Path, changes: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(home, **changes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "samples of the five kinds: none below 0, one above"),
        ({"clips": 4, "texts": -1}, "samples of the five kinds: none below 0"),
        ({"clips": 4, "fraction": 0.0}, r"world.fraction=0.0 must lie in \(0, 1\]"),
        ({"clips": 4, "instructions": "two"}, "world.instructions='two' is none of all, one"),
        ({"pages": 4, "held_out": ("final",)}, "held_out and instructions have no effect: 0 clips"),
    ],
)
def test_samples_of_the_world_that_mean_nothing(values: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        WorldSamples(**values)


def test_what_is_no_recipe_of_an_image_llm(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"decoder": "x"}')
    (tmp_path / "broken.json").write_text("{")
    for name in ("topa_tiny", str(tmp_path / "other.json"), str(tmp_path / "broken.json")):
        assert find_frame_recipe(name) is None
