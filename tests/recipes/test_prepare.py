from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.recipes.toy import toy_recipe
from textreel.data.textual_jsonl import write_videos
from textreel.features.errors import FeatureMismatchError
from textreel.models.encoders import DualEncoder
from textreel.recipes import prepare
from textreel.recipes.prepare import build_learner, encode_data, open_encoder, quarter, read_data
from textreel.recipes.recipe import RecipeError
from textreel.train.config import TrainConfig


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return open_encoder(toy_recipe())


def test_the_world_is_written_by_seed() -> None:
    videos = read_data(toy_recipe())
    assert len(videos) == 6
    assert read_data(toy_recipe()) == videos
    assert read_data(toy_recipe(seed=1)) != videos


def test_a_file_of_textual_videos_is_read(tmp_path: Path) -> None:
    videos = read_data(toy_recipe())
    path = tmp_path / "videos.jsonl"
    write_videos(path, videos)
    assert read_data(replace(toy_recipe(), data=str(path))) == videos


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "videos.jsonl"
    write_videos(path, [])
    with pytest.raises(RecipeError, match="no textual videos in it"):
        read_data(replace(toy_recipe(), data=str(path)))


def test_features_come_back_in_the_videos_order(tmp_path: Path, encoder: DualEncoder) -> None:
    recipe = toy_recipe()
    videos = read_data(recipe)
    features = encode_data(recipe, videos, encoder, tmp_path / "store")
    assert [len(f.values) for f in features] == [len(v.frames) for v in videos]
    last = encoder.encode_texts([videos[-1].frames[2].caption])[0]
    torch.testing.assert_close(features[-1].values[2, 0].float(), last, atol=2e-3, rtol=0)


def test_a_filled_store_is_not_filled_again(
    tmp_path: Path, encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = toy_recipe()
    videos = read_data(recipe)
    first = encode_data(recipe, videos, encoder, tmp_path / "store")

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(encoder, "encode_texts", never)
    again = encode_data(recipe, videos, encoder, tmp_path / "store")
    assert all(torch.equal(a.values, b.values) for a, b in zip(first, again, strict=True))


class Killed(BaseException):
    pass


def test_a_killed_store_goes_on(
    tmp_path: Path, encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "ENCODE_WINDOW", 2)
    recipe = toy_recipe()
    videos = read_data(recipe)
    straight = encode_data(recipe, videos, encoder, tmp_path / "straight")
    whole, calls = type(encoder).encode_texts, 0

    def dying(texts: list[str]) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Killed
        return whole(encoder, texts)

    with monkeypatch.context() as patch:
        patch.setattr(encoder, "encode_texts", dying)
        with pytest.raises(Killed):
            encode_data(recipe, videos, encoder, tmp_path / "killed")
    resumed = encode_data(recipe, videos, encoder, tmp_path / "killed")
    assert all(torch.equal(a.values, b.values) for a, b in zip(straight, resumed, strict=True))


def test_a_store_of_other_texts_is_refused(tmp_path: Path, encoder: DualEncoder) -> None:
    recipe = toy_recipe()
    encode_data(recipe, read_data(recipe), encoder, tmp_path / "store")
    other = toy_recipe(seed=1)
    with pytest.raises(FeatureMismatchError):
        encode_data(other, read_data(other), encoder, tmp_path / "store")


def test_a_learner_is_the_recipes(encoder: DualEncoder) -> None:
    recipe = toy_recipe()
    learner = build_learner(recipe, encoder)
    config = learner.model.config
    assert (config.encoder, config.encoder_revision) == (encoder.name, encoder.revision)
    assert config.connector.feature_dim == encoder.dim
    assert config.connector.tokens_per_vector == recipe.connector.tokens_per_vector
    assert learner.model.num_soft_tokens(8) == 8 * recipe.connector.tokens_per_vector
    assert learner.collator.template.name == "tiny"
    trained = {n.split(".")[0] for n, p in learner.model.named_parameters() if p.requires_grad}
    assert "connector" in trained and len(trained) > 1


def test_weights_follow_from_the_seed(encoder: DualEncoder) -> None:
    def weight(seed: int) -> torch.Tensor:
        return build_learner(toy_recipe(seed=seed), encoder).model.connector.project.weight

    first = weight(3)
    torch.randn(5)  # torch's own generator has no say
    assert torch.equal(first, weight(3))
    assert not torch.equal(first, weight(4))


def test_a_reader_has_no_adapter(encoder: DualEncoder) -> None:
    learner = build_learner(toy_recipe(), encoder, adapter="none")
    trained = [n for n, p in learner.model.named_parameters() if p.requires_grad]
    assert trained and all(name.startswith("connector.") for name in trained)


@pytest.mark.parametrize(
    ("steps", "warmup", "wanted"),
    [(400, 20, (100, 5)), (3, 0, (1, 0)), (8, 7, (2, 1)), (4, 3, (1, 0))],
)
def test_a_quarter_of_the_steps(steps: int, warmup: int, wanted: tuple[int, int]) -> None:
    train = TrainConfig(steps=steps, warmup=warmup)
    brief = quarter(replace(toy_recipe(), train=train))
    assert (brief.train.steps, brief.train.warmup) == wanted
    toy = toy_recipe()
    same = replace(brief, train=train, captions=toy.captions, head_start=toy.head_start)
    assert same == replace(toy_recipe(), train=train)
    assert brief.captions.share == 0
