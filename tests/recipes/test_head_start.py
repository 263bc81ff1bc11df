from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.recipes.toy import toy_recipe
from textreel.recipes.alignment import FrameCaptions, align
from textreel.recipes.head_start import HeadStart, columns, object_words
from textreel.recipes.prepare import (
    build_data,
    build_learner,
    encode_data,
    open_encoder,
    quarter,
    read_data,
    started,
)
from textreel.train.config import TrainConfig
from textreel.train.errors import TrainConfigError
from textreel.train.staged import StagedData, StartedData

SHAPES = ("circle", "cross", "square", "triangle")


@pytest.fixture(scope="module")
def recipe():
    recipe = replace(toy_recipe(), data="world:6", head_start=HeadStart())
    connector = replace(recipe.connector, tokens_per_vector=4, norm="none")
    return replace(recipe, connector=connector)


def test_a_column_for_each_of_the_commonest_nouns(recipe) -> None:
    videos = read_data(recipe)
    assert columns(videos, 4) == SHAPES
    assert len(columns(videos, 2)) == 2
    with pytest.raises(TrainConfigError, match=r"5 soft tokens a vector needs 5 nouns.* have 4"):
        columns(videos, 5)


def test_columns_hold_the_words_of_their_objects_lines(recipe) -> None:
    videos, encoder = read_data(recipe), open_encoder(recipe)
    learner = build_learner(recipe, encoder)
    found = object_words(videos, learner.collator.tokenizer, learner.model, absent="nothing")
    assert found.shape[:2] == (sum(len(v.frames) for v in videos), 4)
    table = learner.model.decoder.get_input_embeddings().weight.float()
    frame, row = videos[3].frames[2], found[sum(len(v.frames) for v in videos[:3]) + 2]
    lines = {name.split()[-1]: line for name, line in frame.objects}
    assert 0 < len(lines) < 4
    for shape, words in zip(SHAPES, row, strict=True):
        ids = learner.collator.tokenizer(lines.get(shape, "nothing"), add_special_tokens=False)
        torch.testing.assert_close(words, table[ids.input_ids].sum(0))


@pytest.mark.slow
def test_step_0_is_measured_before_the_head_start_and_a_repeat_is_the_same(
    recipe, tmp_path: Path
) -> None:
    videos, encoder = read_data(recipe), open_encoder(recipe)
    features = encode_data(recipe, videos, encoder, tmp_path / "features")
    config = TrainConfig(steps=1, batch_size=4, lr=1e-6, precision="fp32", threads=1)
    weights, hashes = [], []
    for run in ("one", "two"):
        learner = build_learner(recipe, encoder)
        first = learner.model.connector.project.weight.detach().clone()

        def look(learner=learner) -> dict[str, float]:
            weights.append(learner.model.connector.project.weight.detach().clone())
            return {"validation": 0.0}

        data = build_data(recipe, videos, features, learner.collator)
        data = started(recipe, data, learner, videos, features)
        assert len(data) > 0
        hashes.append(
            align(learner.model, data, config, tmp_path / run, evaluate=look).weights_sha256
        )
        assert torch.equal(weights[-2], first)
        assert not torch.allclose(weights[-1], first, atol=1e-2)
    assert hashes[0] == hashes[1]


def test_no_head_start_leaves_the_data_alone(recipe) -> None:
    plain = replace(recipe, head_start=None)
    data = object()
    assert started(plain, data, None, [], []) is data  # type: ignore[arg-type]
    assert quarter(recipe).head_start is None


def test_a_negative_ridge_is_refused() -> None:
    with pytest.raises(TrainConfigError, match="ridge=-1 must be 0 or more"):
        HeadStart(ridge=-1)


def test_frames_that_are_not_read_are_not_fitted_to(recipe, tmp_path: Path) -> None:
    few = replace(recipe, num_frames=3)
    videos, encoder = read_data(few), open_encoder(few)
    features = encode_data(few, videos, encoder, tmp_path / "features")
    learner = build_learner(few, encoder)
    data = build_data(few, videos, features, learner.collator)
    data = started(few, data, learner, videos, features)
    assert isinstance(data, StartedData)
    data.start()
    read = [replace(v, frames=tuple(v.frames[i] for i in (0, 2, 5))) for v in videos]
    words = object_words(read, learner.collator.tokenizer, learner.model, absent="nothing")
    vectors = torch.cat([f.values[:, 0].float() for f in features])
    fitted = learner.model.connector.project(vectors).detach().view_as(words)
    other = object_words(read[::-1], learner.collator.tokenizer, learner.model, absent="nothing")
    assert (fitted - words).square().mean() < 0.5 * (fitted - other).square().mean()


def test_captions_are_of_the_frames_that_are_read(recipe, tmp_path: Path) -> None:
    few = replace(recipe, num_frames=3, captions=FrameCaptions(share=0.5, per_video=8))
    videos, encoder = read_data(few), open_encoder(few)
    features = encode_data(few, videos, encoder, tmp_path / "features")
    learner = build_learner(few, encoder)
    data = build_data(few, videos, features, learner.collator)
    assert isinstance(data, StagedData)
    assert len(data.first) == 3 * len(videos)
    batch = data.first.batch(0)
    assert batch.features is not None and batch.features.shape[1] == 1
