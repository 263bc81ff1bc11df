"""The attention function alone: kernels agree, caches are cut right, what it cannot do."""

from types import SimpleNamespace

import pytest
import torch

from textreel.models.attention import AttentionCall, LayerPrompt, PromptCache, attend
from textreel.models.errors import DecoderUnsupportedError

MODULE = SimpleNamespace(layer_idx=0)


def tensors(*, queries: int = 6, keys: int = 6):
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 4, queries, 8), (2, 2, keys, 8), (2, 2, keys, 8))
    return [torch.randn(shape, generator=generator) for shape in shapes]


def prompt() -> LayerPrompt:
    generator = torch.Generator().manual_seed(1)
    key, value = torch.randn(2, 2, 3, 8, generator=generator)
    return LayerPrompt(
        key=key,
        value=value,
        gate=torch.tensor([0.5, -1.0, 0.0, 2.0]),
        video_bias=torch.tensor([-2.0, 0.5, 1.0, 0.0]),
    )


def call(kernel: str, *, queries: int = 6, keys: int = 6) -> AttentionCall:
    video = torch.zeros(2, keys, dtype=torch.bool)
    video[0, 1:3] = True
    after = (video.cumsum(1) > 0) & ~video
    return AttentionCall(
        kernel=kernel, prompt=lambda module: prompt(), after_video=after[:, -queries:], video=video
    )


@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (1, 6)])
def test_kernels_agree(queries, keys) -> None:
    q, k, v = tensors(queries=queries, keys=keys)
    outs = [
        attend(MODULE, q, k, v, None, textreel=call(kernel, queries=queries, keys=keys))[0]
        for kernel in ("sdpa", "eager")
    ]
    assert outs[0].shape == (2, queries, 4, 8)
    torch.testing.assert_close(outs[0], outs[1], atol=1e-6, rtol=1e-5)


def test_without_a_call_it_is_plain_causal_attention() -> None:
    q, k, v = tensors()
    wanted = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=True, enable_gqa=True
    )
    torch.testing.assert_close(attend(MODULE, q, k, v, None)[0], wanted.transpose(1, 2))


def test_the_last_query_alone_is_the_last_of_all() -> None:
    q, k, v = tensors()
    whole, _ = attend(MODULE, q, k, v, None, textreel=call("sdpa"))
    last, _ = attend(MODULE, q[:, :, -1:], k, v, None, textreel=call("sdpa", queries=1))
    torch.testing.assert_close(last, whole[:, -1:])


def test_a_layer_that_keeps_fewer_keys_sees_the_latest_columns() -> None:
    q, k, v = tensors(queries=1)
    short, _ = attend(MODULE, q, k[:, :, 2:], v[:, :, 2:], None, textreel=call("sdpa", queries=1))
    mask = (torch.arange(6) >= 2).expand(2, 1, 1, 6)
    masked, _ = attend(MODULE, q, k, v, mask, textreel=call("sdpa", queries=1))
    torch.testing.assert_close(short, masked)


def test_soft_caps_come_before_the_bias() -> None:
    q, k, v = (tensor[:1, :1, :2] for tensor in tensors())
    bias = torch.tensor([-2.0])
    one = LayerPrompt(
        key=torch.zeros(1, 1, 8), value=torch.zeros(1, 1, 8), gate=torch.zeros(1), video_bias=bias
    )
    said = AttentionCall(
        prompt=lambda module: one,
        video=torch.tensor([[True, False]]),
        after_video=torch.tensor([[False, True]]),
    )
    got, _ = attend(MODULE, q, k, v, None, textreel=said, softcap=1.5, scaling=0.3)
    logits = 1.5 * torch.tanh(k[0, 0] @ q[0, 0, 1] * 0.3 / 1.5) + torch.tensor([-2.0, 0.0])
    torch.testing.assert_close(got[0, 1, 0], torch.softmax(logits, 0) @ v[0, 0])


def test_dropout_is_applied_by_both_kernels() -> None:
    q, k, v = tensors()
    torch.manual_seed(0)
    for kernel in ("sdpa", "eager"):
        said = AttentionCall(kernel=kernel)
        dropped, _ = attend(MODULE, q, k, v, None, textreel=said, dropout=0.9)
        kept, _ = attend(MODULE, q, k, v, None, textreel=said)
        assert not torch.allclose(dropped, kept)


def test_prompts_are_made_once_while_they_are_cached() -> None:
    made = []
    cache = PromptCache(lambda module: made.append(module) or prompt())
    assert cache(MODULE) is cache(MODULE)
    assert made == [MODULE]


def test_sinks_are_refused() -> None:
    with pytest.raises(DecoderUnsupportedError, match="has attention sinks, which this attention"):
        attend(MODULE, *tensors(), None, s_aux=torch.zeros(4))
