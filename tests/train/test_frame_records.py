"""Fine-tuning on pages: batches by hand, exact resume, and a loss that falls."""

import math
import wave
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.media import traps
from tests.models.image_mllm.tiny_image_llms import save_image_llm
from textreel.data.frame_collate import FrameCollator
from textreel.data.long_text import LongText
from textreel.data.prompt import PromptError
from textreel.data.record import Message, Part, Record
from textreel.data.sequence_length import SequenceLengths
from textreel.media.clip import Clip
from textreel.media.sampling import SamplingSpec
from textreel.media.write import write_clip
from textreel.models.adapters import LoraSettings
from textreel.models.batch import IGNORE
from textreel.models.errors import ModelConfigError
from textreel.models.image_mllm.loading import ImageLLM, load_image_llm
from textreel.models.image_mllm.tuning import Tuning, merge_lora, tune
from textreel.synth.pages.drawer import PageDrawer
from textreel.synth.pages.settings import PageSettings
from textreel.train.config import TrainConfig
from textreel.train.errors import TrainConfigError
from textreel.train.frame_records import (
    FrameRecords,
    FrameSource,
    describe_shown,
    draw_batch,
    frames_of,
)
from textreel.train.loop import train

DRAWER = PageDrawer(
    settings=PageSettings(width_px=64, height_px=48, font_px=10, margin_px=2), search=False
)
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_image_llm(tmp_path_factory.mktemp("llm") / "tiny")


def load(folder: Path, tuning: Tuning) -> ImageLLM:
    made = load_image_llm(folder)
    tune(made.model, tuning, generator=torch.Generator().manual_seed(0))
    return made


@cache
def records(count: int) -> list[Record]:
    samples = [
        LongText(
            context=f"The answer {n} is {NUMBERS[n % 8]}. " * 2, instruction="?", answer=f"{n % 8}"
        )
        for n in range(count)
    ]
    return [sample.to_record(source="", licence="") for sample in samples]


def source_of(made: ImageLLM, **more) -> FrameSource:
    collator = FrameCollator(made.tokenizer, made.model.family)
    return FrameSource(drawer=DRAWER, reader=made.reader, collator=collator, **more)


def data_of(made: ImageLLM, *, count: int, batch_size: int) -> FrameRecords:
    source = source_of(made)
    lengths = SequenceLengths(made.reader, source.collator)
    describe = describe_shown(source)
    tokens = [lengths.of(record, describe(record)).tokens for record in records(count)]
    data = FrameRecords(records(count), tokens, source, batch_size=batch_size, seed=0)
    batch = data.batch(0)
    assert max(tokens) >= batch.input_ids.shape[1]
    return data


def test_labels_are_answers_or_all_text(folder: Path) -> None:
    made = load(folder, Tuning())
    answers = draw_batch(records(2), source_of(made))
    text = draw_batch(records(2), source_of(made, loss="all text"))
    assert torch.equal(answers.input_ids, text.input_ids)
    image = made.model.family.image_token_id
    for row in range(2):
        said = answers.labels[row][answers.labels[row] != IGNORE]
        assert made.tokenizer.decode(said) == f"{row}<end_of_utterance>"
        real = answers.input_ids[row][answers.attention_mask[row]]
        learned = text.labels[row][text.labels[row] != IGNORE]
        assert learned.tolist() == [id for id in real.tolist() if id != image]


def test_what_learns_is_what_was_said(folder: Path) -> None:
    whole, blind, lora = (
        {name for name, p in load(folder, tuning).model.named_parameters() if p.requires_grad}
        for tuning in (Tuning(), Tuning(vision=False), Tuning(lora=LoraSettings(rank=2)))
    )
    assert any("vision_model" in name for name in whole)
    assert blind == {name for name in whole if "vision_model" not in name}
    assert lora and all("lora_" in name and "vision_model" not in name for name in lora)


def test_merged_updates_give_the_same_losses(folder: Path) -> None:
    made = load(folder, Tuning(lora=LoraSettings(rank=2)))
    for name, parameter in made.model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    batch = draw_batch(records(3), source_of(made))
    with torch.no_grad():
        hidden = made.model.read(
            batch.input_ids,
            pixels=batch.pixels,
            positions=made.model.positions(batch.input_ids, batch.pixels),
            mask=batch.attention_mask,
        )
        before = made.model.head(hidden), made.model.loss(batch)
        assert merge_lora(made.model) == 4  # two maps of two layers
        hidden = made.model.read(
            batch.input_ids,
            pixels=batch.pixels,
            positions=made.model.positions(batch.input_ids, batch.pixels),
            mask=batch.attention_mask,
        )
        after = made.model.head(hidden), made.model.loss(batch)
    torch.testing.assert_close(after[0], before[0], atol=1e-4, rtol=0)
    assert math.isclose(float(after[1]), float(before[1]), abs_tol=1e-4)
    assert not any("lora_" in name for name, _ in made.model.named_parameters())
    with pytest.raises(ModelConfigError, match="there are no LoRA updates to merge"):
        merge_lora(made.model)


CONFIG = {"batch_size": 4, "warmup": 1, "log_every": 1, "checkpoint_every": 2, "lr": 3e-3}
CONFIG |= {"threads": 1, "precision": "fp32"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "tuning",
    [Tuning(), Tuning(vision=False, checkpoint_activations=True), Tuning(lora=LoraSettings())],
    ids=["full", "frozen vision, checkpointed", "lora"],
)
def test_a_killed_run_ends_where_a_straight_run_ends(
    folder: Path, tmp_path: Path, tuning: Tuning
) -> None:
    def run(name: str, progress=None):
        made = load(folder, tuning)
        data = data_of(made, count=12, batch_size=4)
        config = TrainConfig(steps=5, **CONFIG)
        return train(made.model, data, config, tmp_path / name, progress=progress)

    def die(progress) -> None:
        if progress.step == 3:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        run("killed", die)
    killed = run("killed")
    assert killed.resumed_at == 2
    assert killed == run("straight")


@pytest.mark.slow
def test_the_loss_on_64_records_falls_below_a_fifth(folder: Path, tmp_path: Path) -> None:
    made = load(folder, Tuning())
    data = data_of(made, count=64, batch_size=16)
    losses: list[float] = []
    config = TrainConfig(steps=240, **(CONFIG | {"batch_size": 16, "checkpoint_every": 1000}))
    train(made.model, data, config, tmp_path, progress=lambda p: losses.append(p.loss))
    known = [loss for loss in losses if not math.isnan(loss)]
    assert sum(known[-8:]) / 8 < 0.2 * known[0]


def test_a_video_of_fewer_frames_than_asked_is_measured_exactly(
    folder: Path, tmp_path: Path
) -> None:
    frames = np.zeros((3, 3, 32, 48), dtype=np.uint8)
    clip = Clip(frames=frames, frame_times_s=np.arange(3) / 4, duration_s=0.75, source="black")
    write_clip(tmp_path / "short.mp4", clip, fps=4)
    shown = (Part(kind="video", value="short.mp4"), Part(kind="text", value="?"))
    said = Message(role="assistant", parts=(Part(kind="text", value="0"),))
    record = Record(id="s", messages=(Message(role="user", parts=shown), said))
    made = load(folder, Tuning())
    source = source_of(made, sampling=SamplingSpec(num_frames=8), media=tmp_path)
    described = describe_shown(source)(record)
    assert described[0].count == 3
    lengths = SequenceLengths(made.reader, source.collator)
    assert lengths.of(record, described).tokens == draw_batch([record], source).num_tokens


@pytest.mark.parametrize("make", [traps.cut, traps.variable_rate, traps.late_start])
def test_a_video_of_fewer_frames_than_promised_is_measured_exactly(
    folder: Path, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    shown = (Part(kind="video", value=make(tmp_path).name), Part(kind="text", value="?"))
    said = Message(role="assistant", parts=(Part(kind="text", value="0"),))
    record = Record(id="s", messages=(Message(role="user", parts=shown), said))
    made = load(folder, Tuning())
    source = source_of(made, sampling=SamplingSpec(num_frames=10), media=tmp_path)
    (described,) = describe_shown(source)(record)
    assert described.count < 10
    length = SequenceLengths(made.reader, source.collator).of(record, [described])
    assert length.tokens == draw_batch([record], source).num_tokens


def test_a_picture_that_moves_is_one_picture(folder: Path, tmp_path: Path) -> None:
    shown = (Part(kind="image", value=traps.animated_gif(tmp_path).name),)
    said = Message(role="assistant", parts=(Part(kind="text", value="0"),))
    record = Record(id="s", messages=(Message(role="user", parts=shown), said))
    made = load(folder, Tuning())
    source = source_of(made, sampling=SamplingSpec(num_frames=3), media=tmp_path)
    (described,) = describe_shown(source)(record)
    assert described.count == len(frames_of(record, shown[0], source)) == 1
    length = SequenceLengths(made.reader, source.collator).of(record, [described])
    assert length.tokens == draw_batch([record], source).num_tokens


def test_videos_and_pages_stand_in_one_batch(folder: Path, tmp_path: Path) -> None:
    frames = np.zeros((8, 3, 32, 48), dtype=np.uint8)
    clip = Clip(frames=frames, frame_times_s=np.arange(8) / 4, duration_s=2.0, source="black")
    write_clip(tmp_path / "v.mp4", clip, fps=4)
    video = Record(
        id="v",
        messages=(
            Message(
                role="user",
                parts=(Part(kind="video", value="v.mp4"), Part(kind="text", value="?")),
            ),
            Message(role="assistant", parts=(Part(kind="text", value="0"),)),
        ),
    )
    made = load(folder, Tuning())
    source = source_of(made, sampling=SamplingSpec(num_frames=3), media=tmp_path)
    batch = draw_batch([video, records(1)[0]], source)
    image = made.model.family.image_token_id
    per_row = (batch.input_ids == image).sum(dim=1).tolist()
    pages = DRAWER.typeset(records(1)[0].messages[0].parts[0].value, id="").pages
    assert per_row == [3 * 4, len(pages) * 4]
    assert math.isfinite(made.model.loss(batch).item())
    (shown,) = describe_shown(source)(video)
    assert (shown.count, shown.height_px, shown.width_px) == (3, 32, 48)
    drawn = replace(source, draw=lambda part: frames[:2])
    assert draw_batch([video], drawn).pixels["pixel_values"].shape[:2] == (1, 2)
    assert describe_shown(drawn)(video)[0].count == 2
    with wave.open(str(tmp_path / "v.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(b"\0\0" * 8000)
    heard = Record(
        id="h", messages=(Message(role="user", parts=(Part(kind="video", value="v.wav"),)),)
    )
    with pytest.raises(PromptError, match=r"record h: v\.wav has sound but no picture"):
        describe_shown(source)(heard)


def test_parts_that_are_not_known_are_refused(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("textreel.models.image_mllm.tuning.LANGUAGE_PARTS", ("brain",))
    with pytest.raises(ModelConfigError, match="no part is called brain"):
        load(folder, Tuning(lora=LoraSettings()))
    monkeypatch.setattr("textreel.models.image_mllm.tuning.VISION_PARTS", ("eye",))
    with pytest.raises(ModelConfigError, match="none of its parts is called eye"):
        load(folder, Tuning())


def test_what_makes_no_batches_is_refused(folder: Path) -> None:
    made = load(folder, Tuning())
    with pytest.raises(TrainConfigError, match="loss 'x' is none of answers, all text"):
        source_of(made, loss="x")
    with pytest.raises(TrainConfigError, match="1 lengths for 2 records"):
        FrameRecords(records(2), [5], source_of(made), batch_size=2, seed=0)
