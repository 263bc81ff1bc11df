"""`TrackLM`: loss against a plain computation, invariance, what learns, slots and lengths."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, LlamaConfig

from tests.models.tiny_decoders import FAMILIES, make_batch, make_decoder, make_model, row_of
from textreel.models.batch import IGNORE
from textreel.models.bridges import MeanShift
from textreel.models.config import TrackLMConfig
from textreel.models.connectors import ConnectorConfig
from textreel.models.decoder import prepare
from textreel.models.errors import BatchError, ModelConfigError
from textreel.models.track_lm import TrackLM


@pytest.mark.parametrize("adapter", ["none", "gated", "lora"])
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_is_the_plain_one_with_all_logits(family, adapter) -> None:
    model, batch = make_model(family, adapter=adapter), make_batch()
    total, count = 0.0, 0
    for row in range(2):
        single = row_of(batch, row)
        prompted = model.prompted(single, bridged=False)
        out = model.decoder(
            inputs_embeds=prompted.embeddings, textreel=prompted.call, use_cache=False
        )
        wanted = single.labels[0, 1:]
        total += cross_entropy(out.logits[0, :-1].float(), wanted, reduction="sum")
        count += int((wanted != IGNORE).sum())
    assert count == 5
    torch.testing.assert_close(model.loss(batch), total / count, atol=1e-5, rtol=1e-5)
    assert torch.equal(model(batch), model.loss(batch))


@pytest.mark.parametrize("adapter", ["none", "gated", "lora"])
def test_gradients_reach_exactly_what_learns(adapter) -> None:
    model = make_model(adapter=adapter)
    model.loss(make_batch()).backward()
    named = dict(model.named_parameters())
    learning = {name for name, p in named.items() if p.requires_grad}
    assert learning == {name for name, p in named.items() if p.grad is not None}
    assert all(named[name].grad.abs().sum() > 0 for name in learning)
    assert learning == model.trainable_state_dict().keys()
    assert {id(p) for p in model.trainable_parameters()} == {id(named[n]) for n in learning}
    wanted = {
        "none": set(),
        "gated": {"adapter.prompts", "adapter.gates", "adapter.video_bias"},
        "lora": {name for name in named if "lora_" in name},
    }
    assert learning == wanted[adapter] | {"connector.project.weight", "connector.slots.weight"}


def test_token_losses_say_whose_they_are() -> None:
    model, batch = make_model(), make_batch()
    losses, rows = model.token_losses(batch)
    assert rows.tolist() == [0, 0, 0, 1, 1]
    alone, _ = model.token_losses(row_of(batch, 1))
    torch.testing.assert_close(losses[3:], alone, atol=1e-5, rtol=1e-5)


def test_many_targets_in_pieces_give_the_same_loss_and_gradient(monkeypatch) -> None:
    model, batch = make_model(), make_batch()
    whole = model.loss(batch)
    (wanted,) = torch.autograd.grad(whole, model.connector.project.weight)
    monkeypatch.setattr("textreel.models.token_losses.CHUNK_LOGITS", 100)  # two rows of 50
    pieces = model.loss(batch)
    (got,) = torch.autograd.grad(pieces, model.connector.project.weight)
    torch.testing.assert_close(pieces, whole)
    torch.testing.assert_close(got, wanted)


def test_eager_and_sdpa_are_the_same_numbers() -> None:
    model, batch = make_model(adapter="gated"), make_batch()
    fused = model.loss(batch)
    model.kernel = "eager"
    torch.testing.assert_close(model.loss(batch), fused, atol=1e-5, rtol=1e-5)


def test_a_batch_without_video_takes_no_connector() -> None:
    model, batch = make_model(adapter="gated"), make_batch()
    blind = replace(
        batch,
        video_slots=torch.zeros_like(batch.video_slots),
        features=None,
        feature_mask=None,
        times_s=None,
    )
    model.loss(blind).backward()
    assert model.connector.project.weight.grad is None
    assert model.adapter.prompts.grad is not None


def test_the_bridge_is_for_inference_only() -> None:
    model, batch = make_model(), make_batch()
    before = model.loss(batch)
    model.bridge = MeanShift(picture_mean=torch.zeros(8), text_mean=torch.full((8,), 3.0))
    torch.testing.assert_close(model.loss(batch), before)
    plain = model.prompted(batch, bridged=False).embeddings
    moved = model.prompted(batch, bridged=True).embeddings
    changed = (plain != moved).any(-1)
    assert torch.equal(changed, batch.video_slots)


def test_wrong_slots_are_counted() -> None:
    model, batch = make_model(), make_batch()
    slots = batch.video_slots.clone()
    slots[1, 5] = True
    with pytest.raises(BatchError, match=r"1 of 2 prompts have another .* second, 3 slots, 2 soft"):
        model.loss(replace(batch, video_slots=slots))
    with pytest.raises(BatchError, match="5 video slots in a batch without features"):
        model.loss(replace(batch, features=None, feature_mask=None))


def test_a_batch_without_targets_is_an_error() -> None:
    with pytest.raises(BatchError, match=r"no target among 2 prompts \(first: first\)"):
        make_model().loss(make_batch(targets=False))


def test_a_prompt_longer_than_the_decoder_is_an_error() -> None:
    batch = make_batch()
    long = replace(
        batch,
        input_ids=torch.ones(2, 200, dtype=torch.long),
        attention_mask=torch.ones(2, 200, dtype=torch.bool),
    )
    with pytest.raises(BatchError, match="first: a prompt of 200 positions, but the decoder takes"):
        make_model().loss(long)


def test_training_keeps_the_frozen_decoder_without_dropout() -> None:
    model = make_model("opt", adapter="lora")
    model.decoder.config.dropout = 0.5
    model.train()
    assert model.training and model.connector.training and not model.decoder.training
    dropouts = [m.lora_dropout for m in model.decoder.modules() if hasattr(m, "lora_dropout")]
    assert dropouts and all(module.training for module in dropouts)


def test_the_start_is_the_generators() -> None:
    config = TrackLMConfig(
        decoder="llama", connector=ConnectorConfig(feature_dim=8), adapter="gated"
    )

    def start(seed: int):
        generator = torch.Generator().manual_seed(seed)
        return TrackLM(make_decoder(), config, generator=generator).trainable_state_dict()

    first, again, other = start(1), start(1), start(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["adapter.prompts"], other["adapter.prompts"])
    assert not torch.equal(first["connector.slots.weight"], other["connector.slots.weight"])


def test_an_unknown_adapter_is_an_error() -> None:
    with pytest.raises(ModelConfigError, match="adapter='prefix' is none of"):
        TrackLMConfig(decoder="x", connector=ConnectorConfig(feature_dim=8), adapter="prefix")


def test_trained_parts_of_real_sizes() -> None:
    """TOPA's 7B and 13B: 9,742,336 and 14,226,560 trained parameters, counted on meta tensors."""
    for width, layers, heads, wanted in ((4096, 32, 32, 9_742_336), (5120, 40, 40, 14_226_560)):
        config = LlamaConfig(
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=64,
            vocab_size=8,
        )
        with torch.device("meta"):
            decoder = prepare(AutoModelForCausalLM.from_config(config))
        connector = ConnectorConfig(feature_dim=768)
        model = TrackLM(decoder, TrackLMConfig(decoder="", connector=connector, adapter="gated"))
        assert sum(p.numel() for p in model.trainable_parameters()) == wanted
