import pytest
import torch

from tests.models.tiny_decoders import make_decoder
from textreel.models.adapters import GatedConfig
from textreel.models.batch import Batch
from textreel.models.bridges import Memory
from textreel.models.config import TrackLMConfig
from textreel.models.connectors import ConnectorConfig
from textreel.models.decoder import run_body
from textreel.models.errors import BatchError, DecoderUnsupportedError, ModelConfigError
from textreel.models.published import (
    Published,
    alter_decoder,
    pad_frames,
    published_question,
)
from textreel.models.scoring import OptionScores
from textreel.models.track_lm import TrackLM


def published_model(*, layers: int = 3, run: int | None = 2, **faults) -> TrackLM:
    config = TrackLMConfig(
        decoder="llama",
        connector=ConnectorConfig(feature_dim=8, max_frames=4),
        adapter="gated",
        gated=GatedConfig(length=3, num_layers=run),
        published=Published(**faults),
    )
    return TrackLM(make_decoder(layers=layers), config)


def test_nothing_published_is_on_by_default() -> None:
    config = TrackLMConfig(decoder="d", connector=ConnectorConfig(feature_dim=8))
    assert config.published is None


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("what does John do ", "What does john do?"),
        ("Why? ", "Why?"),
        ("  how MANY", "how many?"),  # the first character is a space, so no letter is raised
    ],
)
def test_questions_as_the_published_loaders_write_them(given: str, wanted: str) -> None:
    assert published_question(given) == wanted


def test_layers_before_the_adapter_are_not_run() -> None:
    model = published_model()
    body = model.decoder.base_model
    assert len(body.layers) == 2
    assert [layer.self_attn.layer_idx for layer in body.layers] == [0, 1]
    whole = make_decoder(layers=3)
    embeddings = whole.get_input_embeddings()(torch.tensor([[1, 5, 7]]))
    with torch.no_grad():
        x = embeddings
        angles = whole.model.rotary_emb(x, torch.arange(3)[None])
        for layer in whole.model.layers[1:]:
            x = layer(x, position_embeddings=angles, attention_mask=None)
        wanted = whole.model.norm(x)
        found = run_body(model.decoder, embeddings, use_cache=False).last_hidden_state
    torch.testing.assert_close(found, wanted)


def test_altering_twice_changes_nothing_more() -> None:
    model = published_model(rope_theta=500.0)
    first = list(model.decoder.base_model.layers)
    alter_decoder(model.decoder, model.config.published, num_layers=2)
    assert list(model.decoder.base_model.layers) == first


def test_another_rope_theta_is_another_decoder() -> None:
    ids = torch.tensor([[1, 5, 7, 9]])
    own, other = make_decoder(), make_decoder()
    alter_decoder(other, Published(rope_theta=50.0), num_layers=None)
    hidden = [d.base_model(ids).last_hidden_state for d in (own, other)]
    assert not torch.allclose(*hidden, atol=1e-3)
    torch.testing.assert_close(hidden[0][:, 0], hidden[1][:, 0])  # position 0 is not turned
    frequency = other.base_model.rotary_emb.inv_freq
    torch.testing.assert_close(frequency, 50.0 ** (-torch.arange(0, 8, 2) / 8.0))


def test_a_bad_theta_and_other_families_are_refused() -> None:
    with pytest.raises(ModelConfigError, match="rope_theta=0 must be above 0"):
        Published(rope_theta=0)
    with pytest.raises(DecoderUnsupportedError, match="no list of layers to repeat"):
        alter_decoder(make_decoder("gpt2"), Published(), num_layers=1)
    with pytest.raises(DecoderUnsupportedError, match="no rotary positions with one base"):
        body = make_decoder()
        body.base_model.config.rope_parameters = None
        alter_decoder(body, Published(rope_theta=10.0), num_layers=None)


def test_frames_are_filled_up_with_zeros_that_count() -> None:
    values = torch.ones(2, 2, 1, 3)
    mask = torch.tensor([[True, True], [True, False]])
    padded, counted = pad_frames(values, mask, num_frames=3)
    assert padded[:, :, 0, 0].tolist() == [[1, 1, 0], [1, 0, 0]]
    assert counted.tolist() == [[True] * 3] * 2
    with pytest.raises(BatchError, match="2 frames, 1 more than the published model's 1"):
        pad_frames(values, mask, num_frames=1)


def test_every_video_takes_all_places() -> None:
    model = published_model()
    assert [model.num_soft_tokens(n) for n in (1, 3, 4)] == [4, 4, 4]
    assert published_model(padded_frames=False).num_soft_tokens(1) == 1


def test_an_empty_frame_becomes_the_memorys_mean() -> None:
    rows = torch.eye(4)
    mask = torch.ones(1, 1, dtype=torch.bool)
    moved = Memory(rows)(torch.zeros(1, 1, 1, 4), mask, empty_frames=True)
    torch.testing.assert_close(moved, torch.full((1, 1, 1, 4), 0.5))


def one_row(label: int) -> Batch:
    labels = torch.tensor([[-100, -100, -100, -100, -100, 7, label]])
    slots = torch.tensor([[False, True, True, True, True, False, False]])
    return Batch(
        input_ids=torch.tensor([[1, 0, 0, 0, 0, 3, 4]]),
        attention_mask=torch.ones(1, 7, dtype=torch.bool),
        video_slots=slots,
        labels=labels,
        features=torch.ones(1, 2, 1, 8),
        feature_mask=torch.ones(1, 2, dtype=torch.bool),
        ids=("a",),
    )


def test_targets_of_the_ignored_id_do_not_count() -> None:
    assert len(published_model().token_losses(one_row(0))[0]) == 1
    assert len(published_model(ignored_id=None).token_losses(one_row(0))[0]) == 2
    assert len(published_model().token_losses(one_row(5))[0]) == 2


def scored(options, **faults) -> OptionScores:
    model = published_model(**faults)
    batch = one_row(5)
    return model.score(batch, [options])[0]


def test_options_compare_by_the_mean_of_losses_that_are_not_zero() -> None:
    scores = scored([[5, 6, 7], [8]])
    assert scores.by_mean
    torch.testing.assert_close(scores.mean, scores.total / torch.tensor([3.0, 1.0]))
    assert scores.best == int(scores.mean.argmax())
    assert not scored([[5, 6, 7], [8]], nonzero_mean=False).by_mean


def test_an_ignored_token_is_not_scored() -> None:
    with_zero, without = scored([[5, 0], [8, 9]]), scored([[5], [8, 9]])
    torch.testing.assert_close(with_zero.total[0], without.total[0])
    assert with_zero.num_tokens.tolist() == [1, 2]
    nothing = scored([[0], [8]])
    assert nothing.num_tokens.tolist() == [0, 1] and nothing.best == 0  # 0 / 0 wins, as published
