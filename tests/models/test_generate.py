"""Generation: with a cache as without, stops, bans, draws."""

import pytest
import torch

from tests.models.tiny_decoders import FAMILIES, likelihoods, make_batch, make_model, row_of
from textreel.models.errors import BatchError, ModelConfigError
from textreel.models.generate import Sampling, choose

ENDLESS = Sampling(stop_ids=())


def slowly(model, batch, row: int, count: int) -> list[int]:
    """Greedy tokens by full forwards, the whole row anew for every token."""
    tokens: list[int] = []
    for _ in range(count):
        full = row_of(batch, row, more=[*tokens, 3])
        with torch.no_grad():
            prompted = model.prompted(full, bridged=True)
            out = model.decoder(
                inputs_embeds=prompted.embeddings, textreel=prompted.call, use_cache=False
            )
        tokens.append(int(out.logits[0, -2].argmax()))
    return tokens


@pytest.mark.parametrize("adapter", ["none", "gated"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_cache_changes_nothing(family, adapter) -> None:
    model, batch = make_model(family, adapter=adapter), make_batch(targets=False)
    got = model.generate(batch, max_new_tokens=8, sampling=ENDLESS)
    assert got == [slowly(model, batch, row, 8) for row in range(2)]
    assert got[0] != got[1]


def test_a_batch_generates_as_each_row_alone() -> None:
    model, batch = make_model(adapter="gated"), make_batch(targets=False)
    together = model.generate(batch, max_new_tokens=6, sampling=ENDLESS)
    alone = [
        model.generate(row_of(batch, row), max_new_tokens=6, sampling=ENDLESS)[0]
        for row in range(2)
    ]
    assert together == alone


def test_a_stop_ends_its_row_only() -> None:
    model, batch = make_model(), make_batch(targets=False)
    first, second = model.generate(batch, max_new_tokens=6, sampling=ENDLESS)
    stop = next(token for token in first if token not in second)
    got = model.generate(batch, max_new_tokens=6, sampling=Sampling(stop_ids=(stop,)))
    assert got == [first[: first.index(stop)], second]


def test_the_decoders_own_end_of_text_is_the_default() -> None:
    model, batch = make_model(), make_batch(targets=False)
    first, _ = model.generate(batch, max_new_tokens=6, sampling=ENDLESS)
    for end in (first[2], [first[2], 49]):
        model.decoder.generation_config.eos_token_id = end
        assert model.generate(batch, max_new_tokens=6)[0] == first[: first.index(first[2])]
    model.decoder.generation_config.eos_token_id = None
    assert model.generate(batch, max_new_tokens=6)[0] == first


def test_banned_tokens_never_come() -> None:
    model, batch = make_model(), make_batch(targets=False)
    plain = model.generate(batch, max_new_tokens=5, sampling=ENDLESS)
    banned = (plain[0][0], plain[1][0])
    got = model.generate(batch, max_new_tokens=5, sampling=Sampling(stop_ids=(), banned_ids=banned))
    assert not set(banned) & {token for row in got for token in row}
    runner_up = torch.tensor([likelihoods(model, batch, 0, [t]).item() for t in range(50)])
    runner_up[list(banned)] = -torch.inf
    assert got[0][0] == int(runner_up.argmax())


def test_draws_follow_temperature_and_top_p() -> None:
    logits = torch.log(torch.tensor([[0.6, 0.3, 0.1]])).expand(4000, 3)
    generator = torch.Generator().manual_seed(0)
    drawn = choose(logits.clone(), Sampling(temperature=1.0, generator=generator))
    shares = torch.bincount(drawn, minlength=3) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.6, 0.3, 0.1]), atol=0.03, rtol=0)
    top = choose(logits.clone(), Sampling(temperature=1.0, top_p=0.7, generator=generator))
    shares = torch.bincount(top, minlength=3) / 4000
    torch.testing.assert_close(shares, torch.tensor([2 / 3, 1 / 3, 0.0]), atol=0.03, rtol=0)
    cold = choose(logits.clone(), Sampling(temperature=0.05, generator=generator))
    assert (cold == 0).float().mean() > 0.99


def test_a_seed_repeats_what_was_drawn() -> None:
    model, batch = make_model(), make_batch(targets=False)

    def drawn(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        sampling = Sampling(temperature=1.0, stop_ids=(), generator=generator)
        return model.generate(batch, max_new_tokens=8, sampling=sampling)

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ModelConfigError, match=r"temperature=-1\.0 must not be below 0"):
        Sampling(temperature=-1.0)
    with pytest.raises(ModelConfigError, match=r"top_p=0\.0 must lie in \(0, 1\]"):
        Sampling(top_p=0.0)
    with pytest.raises(ModelConfigError, match="drawing tokens needs a generator"):
        Sampling(temperature=1.0)
    with pytest.raises(BatchError, match="12 positions and 120 new tokens make 132, but the deco"):
        make_model().generate(make_batch(targets=False), max_new_tokens=120)


def test_an_answer_begins_with_the_given_tokens_and_goes_on_from_them() -> None:
    model, batch = make_model(), make_batch(targets=False)
    got = model.generate(batch, max_new_tokens=5, sampling=Sampling(stop_ids=(), prefix_ids=(7, 9)))
    assert [row[:2] for row in got] == [[7, 9], [7, 9]]
    for row in range(2):
        full = row_of(batch, row, more=[7, 9, 3])
        with torch.no_grad():
            prompted = model.prompted(full, bridged=True)
            out = model.decoder(
                inputs_embeds=prompted.embeddings, textreel=prompted.call, use_cache=False
            )
        assert got[row][2] == int(out.logits[0, -2].argmax())


def test_a_forced_token_is_no_stop() -> None:
    model, batch = make_model(), make_batch(targets=False)
    sampling = Sampling(stop_ids=(7,), end_ids=(7,), prefix_ids=(7, 7))
    got = model.generate(batch, max_new_tokens=4, sampling=sampling)
    assert all(row[:2] == [7, 7] for row in got) and max(map(len, got)) > 2


def test_an_end_belongs_to_its_answer() -> None:
    model, batch = make_model(), make_batch(targets=False)
    first, second = model.generate(batch, max_new_tokens=6, sampling=ENDLESS)
    end = next(token for token in first if token not in second)
    got = model.generate(batch, max_new_tokens=6, sampling=Sampling(stop_ids=(), end_ids=(end,)))
    assert got == [first[: first.index(end) + 1], second]


def test_a_token_cannot_be_banned_and_come_first() -> None:
    with pytest.raises(ModelConfigError, match=r"tokens \[7\] are banned and must come first"):
        Sampling(banned_ids=(7, 8), prefix_ids=(7,))


def test_words_that_come_first_are_never_cut() -> None:
    model, batch = make_model(), make_batch(targets=False)
    sampling = Sampling(prefix_ids=(7, 9, 7))
    with pytest.raises(BatchError, match="begins with 3 given tokens, but takes 2 at most"):
        model.generate(batch, max_new_tokens=2, sampling=sampling)
    got = model.generate(batch, max_new_tokens=3, sampling=sampling)
    assert got == [[7, 9, 7], [7, 9, 7]]
