"""Bridges against the plain formula in float64, streams against whole, and padding."""

import pytest
import torch
from torch.nn.functional import normalize

from textreel.models import bridges
from textreel.models.bridges import Centre, Identity, MeanShift, Memory, add_noise
from textreel.models.errors import BridgeError, ModelConfigError

MASK = torch.tensor([[True, True, True], [True, True, False]])


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(shape, generator=generator), dim=-1)


def values() -> torch.Tensor:
    out = unit(2, 3, 1, 16)
    out[1, 2] = 0
    return out


def plain(queries: torch.Tensor, memory: torch.Tensor, temperature: float) -> torch.Tensor:
    weights = torch.softmax(queries.double() @ memory.double().T / temperature, dim=-1)
    return normalize(weights @ memory.double(), dim=-1).float()


@pytest.mark.parametrize("temperature", [0.01, 0.1])
@pytest.mark.parametrize("together", [1, 7, 40, 1024])
def test_memory_is_the_plain_formula_however_it_is_read(together, temperature, monkeypatch) -> None:
    monkeypatch.setattr(bridges, "CPU_ROWS", together)
    memory = unit(40, 16, seed=1)
    out = Memory(memory, temperature=temperature)(values(), MASK)
    wanted = plain(values()[MASK].flatten(0, 1), memory, temperature)
    torch.testing.assert_close(out[MASK].flatten(0, 1), wanted, atol=5e-6, rtol=0)


def test_top_k_uses_the_nearest_rows_only(monkeypatch) -> None:
    monkeypatch.setattr(bridges, "CHUNK_ROWS", 7)
    memory = unit(40, 16, seed=1)
    out = Memory(memory, temperature=0.1, top_k=3)(values(), MASK)
    for got, query in zip(out[MASK][:, 0], values()[MASK][:, 0], strict=True):
        near = memory[(memory @ query).topk(3).indices]
        torch.testing.assert_close(got, plain(query[None], near, 0.1)[0], atol=5e-6, rtol=0)
    whole = Memory(memory, temperature=0.1, top_k=40)(values(), MASK)
    torch.testing.assert_close(whole, Memory(memory, temperature=0.1)(values(), MASK))


@pytest.mark.parametrize("top_k", [None, 3])
@pytest.mark.parametrize("together", [7, 1024])
def test_about_the_means_is_the_plain_formula(together, top_k, monkeypatch) -> None:
    monkeypatch.setattr(bridges, "CPU_ROWS", together)
    monkeypatch.setattr(bridges, "CHUNK_ROWS", together)
    memory, picture_mean = normalize(unit(40, 16, seed=1) + 0.4, dim=-1), 0.5 * unit(16, seed=2)
    bridge = Memory(memory, temperature=0.1, top_k=top_k, picture_mean=picture_mean)
    queries = normalize(values()[MASK].flatten(0, 1) - picture_mean, dim=-1)
    text_mean = memory.mean(0)
    spread = (memory - text_mean).norm(dim=-1).mean()
    similar = queries @ memory.T / spread
    if top_k is not None:
        similar[similar < similar.topk(top_k).values[:, -1:]] = -torch.inf
    moved = torch.softmax(similar / 0.1, dim=-1) @ memory - text_mean
    wanted = normalize(text_mean + spread * normalize(moved, dim=-1), dim=-1)
    torch.testing.assert_close(
        bridge(values(), MASK)[MASK].flatten(0, 1), wanted, atol=5e-6, rtol=0
    )


def test_about_the_means_an_offset_of_all_pictures_changes_nothing_and_nothing_shrinks() -> None:
    generator = torch.Generator().manual_seed(0)
    meant = torch.randn(2000, 4, generator=generator)  # four facts, told by both modalities
    texts = normalize(
        torch.cat([meant, torch.full((2000, 1), 3.0), torch.zeros(2000, 1)], 1), dim=1
    )
    pictures = normalize(
        torch.cat([meant, torch.zeros(2000, 1), torch.full((2000, 1), 3.0)], 1), dim=1
    )
    seen, true = pictures[:50, None, None], texts[:50]
    mask = torch.ones(50, 1, dtype=torch.bool)
    memory, mean = texts[50:], pictures.mean(0)
    centred = Memory(memory, temperature=0.1, picture_mean=mean)(seen, mask)[:, 0, 0]
    published = Memory(memory, temperature=0.1)(seen, mask)[:, 0, 0]  # shrinks
    lengths = [(x - memory.mean(0)).norm(dim=-1).mean() for x in (true, centred, published)]
    assert 0.8 < lengths[1] / lengths[0] < 1.25
    assert lengths[2] / lengths[0] < 0.75
    told = [
        torch.cosine_similarity(x, true - memory.mean(0), dim=-1).mean()
        for x in (centred - memory.mean(0), pictures[:50] - memory.mean(0))
    ]
    assert told[0] > 0.95
    assert told[1] < 0.5


def test_a_remembered_vector_stays_where_it_is() -> None:
    memory = torch.eye(16)
    out = Memory(memory, temperature=1e-3)(memory[None, :3, None], MASK[:1])
    torch.testing.assert_close(out, memory[None, :3, None])


def test_bfloat16_memory_gives_nearly_the_same() -> None:
    memory = unit(40, 16, seed=1)
    rough = Memory(memory.bfloat16(), temperature=0.1)(values(), MASK)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(
        rough, Memory(memory, temperature=0.1)(values(), MASK), atol=0.03, rtol=0
    )


def test_mean_shift_by_hand() -> None:
    bridge = MeanShift(picture_mean=torch.tensor([1.0, 0.0]), text_mean=torch.tensor([0.0, 1.0]))
    out = bridge(torch.tensor([[[[0.6, 0.8]], [[0.0, 0.0]]]]), torch.tensor([[True, False]]))
    wanted = normalize(torch.tensor([-0.4, 1.8]), dim=0)
    torch.testing.assert_close(out[0, 0, 0], wanted)
    assert out[0, 1, 0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "bridge",
    [
        Identity(),
        Memory(unit(40, 16, seed=1)),
        Memory(unit(40, 16, seed=1), top_k=2),
        Memory(unit(40, 16, seed=1), temperature=0.1, picture_mean=torch.full((16,), 0.1)),
        MeanShift(picture_mean=torch.zeros(16), text_mean=torch.full((16,), 0.1)),
    ],
)
def test_padding_stays_zero_and_vectors_unit(bridge) -> None:
    out = bridge(values(), MASK)
    assert out.shape == (2, 3, 1, 16)
    assert out[1, 2].abs().sum() == 0
    torch.testing.assert_close(out[MASK].norm(dim=-1), torch.ones(5, 1))
    assert not list(bridge.state_dict())


def test_noise_blurs_real_frames_and_can_be_repeated() -> None:
    def noisy(std: float) -> torch.Tensor:
        generator = torch.Generator().manual_seed(3)
        return add_noise(values(), MASK, std=std, generator=generator)

    assert torch.equal(noisy(0.1), noisy(0.1))
    assert noisy(0.1)[1, 2].abs().sum() == 0
    torch.testing.assert_close(noisy(0.1)[MASK].norm(dim=-1), torch.ones(5, 1))
    torch.testing.assert_close(noisy(0.0), values())
    cosine = (noisy(0.1) * values()).sum(-1)[MASK]  # 1 / sqrt(1 + .01 * 16) on average
    assert cosine.mean().item() == pytest.approx(0.93, abs=0.04)


def test_what_must_not_pass_is_refused() -> None:
    everything = torch.ones_like(MASK)
    with pytest.raises(BridgeError, match="1 of 6 real frame vectors are zero"):
        Memory(unit(4, 16))(values(), everything)
    with pytest.raises(BridgeError, match=r"do not agree on \(B, T\)"):
        Memory(unit(4, 16))(values(), MASK[:, :2])
    with pytest.raises(BridgeError, match="2 of 4 memory rows are not of unit length"):
        Memory(unit(4, 16) * torch.tensor([[1.0], [2.0], [1.0], [0.5]]))
    with pytest.raises(ModelConfigError, match="temperature=0 must be above 0"):
        Memory(unit(4, 16), temperature=0)
    with pytest.raises(ModelConfigError, match=r"top_k=5 must lie in 1\.\.4"):
        Memory(unit(4, 16), top_k=5)
    with pytest.raises(ModelConfigError, match=r"the mean picture must be \(16,\) as the rows are"):
        Memory(unit(4, 16), picture_mean=torch.zeros(4))
    with pytest.raises(BridgeError, match="1 rows of the memory are all the same"):
        Memory(unit(1, 16), picture_mean=torch.zeros(16))
    with pytest.raises(ModelConfigError, match=r"means must be \(F,\) each, got"):
        MeanShift(picture_mean=torch.zeros(2), text_mean=torch.zeros(3))


def test_centring_takes_away_the_modalitys_own_mean() -> None:
    values = torch.nn.functional.normalize(torch.randn(2, 3, 1, 4), dim=-1)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    mean = values[mask].mean((0, 1))
    moved = Centre(mean)(values, mask)
    wanted = torch.nn.functional.normalize(values - mean, dim=-1) * mask[:, :, None, None]
    torch.testing.assert_close(moved, wanted)
    with pytest.raises(ModelConfigError, match=r"the mean must be \(F,\)"):
        Centre(torch.zeros(2, 4))


@pytest.mark.parametrize("top_k", [None, 5])
def test_a_memory_in_bfloat16_stays_near(top_k: int | None) -> None:
    rows, frames = unit(64, 16), unit(1, 3, 1, 16, seed=1)
    mask = torch.ones(1, 3, dtype=torch.bool)
    whole = Memory(rows, temperature=0.1, top_k=top_k)(frames, mask)
    half = Memory(rows.bfloat16(), temperature=0.1, top_k=top_k)(frames, mask)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, whole, atol=0.01, rtol=0)


def test_the_nearest_rows_of_a_memory_in_bfloat16_are_found_by_all_bits() -> None:
    shared = unit(1, 256)
    rows = normalize(shared + 0.02 * unit(64, 256, seed=1), dim=-1).bfloat16()
    frames = normalize(shared + 0.02 * unit(4, 256, seed=2), dim=-1)
    out = Memory(rows, temperature=1e-5, top_k=1)(frames[None, :, None], torch.ones(1, 4).bool())
    cosines = frames.double() @ rows.double().T  # less than a step of bfloat16 between them
    assert (cosines.amax(1) - cosines.amin(1)).max() < 2**-9
    nearest = normalize(rows.float()[cosines.argmax(1)], dim=-1)
    torch.testing.assert_close(out[0, :, 0], nearest, atol=1e-6, rtol=0)


def test_cosines_keep_their_bits_under_autocast() -> None:
    memory = unit(40, 16, seed=1)
    whole = Memory(memory)(values(), MASK)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(Memory(memory)(values(), MASK), whole)
