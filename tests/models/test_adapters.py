"""The gated adapter against plain formulas, family by family; LoRA's start; what is refused."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.models.tiny_decoders import FAMILIES, make_batch, make_decoder, make_model, row_of
from textreel.models import attention
from textreel.models.adapters import (
    GatedAdapter,
    GatedConfig,
    LoraSettings,
    add_lora,
    attention_modules,
    prompt_keys_values,
)
from textreel.models.errors import DecoderUnsupportedError, ModelConfigError


def slow_attention(module, query, key, value, gated, *, layer, scaling, softcap=None):
    """One video at positions 3-5, all plain loops: (L, H, E) of one sample."""
    heads, length, width = query.shape
    groups = heads // key.shape[0]
    prompt_key, prompt_value = slow_prompt(module, gated.prompts[layer])
    window = getattr(module, "sliding_window", None)
    out = torch.zeros(length, heads, width)
    for h in range(heads):
        k, v = key[h // groups], value[h // groups]
        for q in range(length):
            logits = []
            for s in range(q + 1):
                if window is not None and q - s >= window:
                    logits.append(torch.tensor(-torch.inf))
                    continue
                logit = query[h, q] @ k[s] * scaling
                if q > 5 and 3 <= s <= 5:
                    logit = logit + gated.video_bias[layer, h]
                logits.append(logit)
            out[q, h] = torch.softmax(torch.stack(logits), 0) @ v[: q + 1]
            extra = torch.softmax(prompt_key[h // groups] @ query[h, q] * scaling, 0)
            gate = torch.tanh(gated.gates[layer, h])
            out[q, h] += gate * (extra @ prompt_value[h // groups])
    return out


def slow_prompt(module, prompt):
    """Keys and values (G, A, E) from the layer's weight matrices alone."""
    heads, width = 4, prompt.shape[1]
    if hasattr(module, "c_attn"):
        fused = prompt @ module.c_attn.weight + module.c_attn.bias
        key, value = fused[:, width : 2 * width], fused[:, 2 * width :]
    elif hasattr(module, "query_key_value"):
        linear = module.query_key_value
        fused = (prompt @ linear.weight.T + linear.bias).view(len(prompt), heads, 3, -1)
        key, value = fused[:, :, 1].flatten(1), fused[:, :, 2].flatten(1)
    else:
        key, value = (
            prompt @ p.weight.T + (0 if p.bias is None else p.bias)
            for p in (module.k_proj, module.v_proj)
        )
    head_width = getattr(module, "head_dim", width // heads)
    key, value = (x.view(len(prompt), -1, head_width) for x in (key, value))
    if hasattr(module, "k_norm"):
        norm = module.k_norm
        plus = 1.0 if "Gemma" in type(norm).__name__ else 0.0
        eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
        size = torch.rsqrt(key.square().mean(-1, keepdim=True) + eps)
        key = key * size * (norm.weight + plus)
    return key.transpose(0, 1), value.transpose(0, 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_computes_the_published_formula(family, monkeypatch) -> None:
    model, calls = make_model(family, adapter="gated"), []

    def spy(module, query, key, value, mask, **kwargs):
        out, _ = attention.attend(module, query, key, value, mask, **kwargs)
        calls.append((module, query[0], key[0], value[0], kwargs, out[0]))
        return out, None

    monkeypatch.setitem(attention.AttentionInterface._global_mapping, attention.NAME, spy)
    with torch.no_grad():
        model.loss(row_of(make_batch(), 0))
        assert [int(call[0].layer_idx) for call in calls] == [0, 1]
        for layer, (module, query, key, value, kwargs, got) in enumerate(calls):
            wanted = slow_attention(
                module, query, key, value, model.adapter, layer=layer, scaling=kwargs["scaling"]
            )
            torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_closed_gates_and_no_bias_are_the_plain_decoder(family, kernel) -> None:
    gated, plain, batch = make_model(family, adapter="gated"), make_model(family), make_batch()
    gated.kernel = kernel
    with torch.no_grad():
        gated.connector.load_state_dict(plain.connector.state_dict())
        gated.adapter.gates.zero_()
        gated.adapter.video_bias.zero_()
        torch.testing.assert_close(gated.loss(batch), plain.loss(batch), atol=1e-5, rtol=1e-5)


def test_the_bias_hides_the_video_when_it_is_very_negative() -> None:
    model, batch = make_model(adapter="gated"), make_batch()
    with torch.no_grad():
        model.adapter.gates.zero_()
        before = model.loss(batch)
        model.adapter.video_bias.fill_(-1e4)
        hidden = model.loss(batch)
        batch.features[:, :2] += 3.0
        torch.testing.assert_close(model.loss(batch), hidden)
        assert (before - hidden).abs() > 1e-3


def test_layers_before_the_last_ones_are_ordinary() -> None:
    decoder = make_decoder(layers=3)
    config = GatedConfig(length=4, num_layers=2)
    adapter = GatedAdapter(config, decoder=decoder, generator=torch.Generator())
    first, second, third = attention_modules(decoder)
    assert adapter(first) is None
    assert torch.equal(adapter(second).key, prompt_keys_values(second, adapter.prompts[0])[0])
    assert torch.equal(adapter(third).value, prompt_keys_values(third, adapter.prompts[1])[1])
    assert adapter(third).key.shape == (2, 4, 8)


def test_the_published_start() -> None:
    adapter = GatedAdapter(
        GatedConfig(), decoder=make_decoder(), generator=torch.Generator().manual_seed(0)
    )
    assert adapter.prompts.shape == (2, 50, 32)
    assert adapter.prompts.std().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(adapter.gates, torch.zeros(2, 4))
    assert torch.equal(adapter.video_bias, torch.full((2, 4), -3.5))


@pytest.mark.slow
def test_lora_starts_as_the_plain_decoder_and_in_float32() -> None:
    decoder = make_decoder().to(torch.bfloat16)
    add_lora(decoder, LoraSettings(rank=2), generator=torch.Generator().manual_seed(0))
    new = {name: p for name, p in decoder.named_parameters() if p.requires_grad}
    assert len(new) == 2 * 2 * 2
    assert all(p.dtype == torch.float32 for p in new.values())
    assert all(p.abs().sum() == 0 for name, p in new.items() if "lora_B" in name)
    started = [p for name, p in new.items() if "lora_A" in name]
    assert all(0.5 * 32**-0.5 < p.abs().max() <= 32**-0.5 for p in started)


def test_all_linear_leaves_out_the_head() -> None:
    decoder = make_decoder()
    settings = LoraSettings(rank=1, targets=("all-linear",))
    add_lora(decoder, settings, generator=torch.Generator().manual_seed(0))
    names = {
        name.split(".lora_")[0].rsplit(".", 1)[-1]
        for name, _ in decoder.named_parameters()
        if "lora_" in name
    }
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ModelConfigError, match="length=0 and num_layers=None must be at least 1"):
        GatedConfig(length=0)
    with pytest.raises(ModelConfigError, match="num_layers=3, but the decoder has 2 layers"):
        GatedAdapter(GatedConfig(num_layers=3), decoder=make_decoder(), generator=torch.Generator())
    with pytest.raises(ModelConfigError, match="rank=0 must be at least 1"):
        LoraSettings(rank=0)
    with pytest.raises(ModelConfigError, match="no linear map named query") as caught:
        add_lora(make_decoder(), LoraSettings(targets=("query",)), generator=torch.Generator())
    assert "down_proj, gate_proj" in caught.value.hint
    with pytest.raises(DecoderUnsupportedError, match="no attention module with known projections"):
        attention_modules(nn.Linear(2, 2))
    with pytest.raises(DecoderUnsupportedError, match="no k_proj and v_proj, c_attn or query_key"):
        prompt_keys_values(SimpleNamespace(layer_idx=0), torch.zeros(2, 4))
