"""Packed option scoring equals one full forward pass per option."""

from dataclasses import replace

import pytest
import torch

from tests.models.tiny_decoders import (
    FAMILIES,
    likelihoods,
    make_batch,
    make_decoder,
    make_model,
    row_of,
)
from textreel.models import scoring
from textreel.models.errors import BatchError, DecoderUnsupportedError

OPTIONS = {
    "of many lengths": [[[5, 6, 7, 8, 9, 10, 11, 3], [5, 6, 9], [12]], [[4, 5], [6]]],
    "with a common beginning": [[[5, 6, 7, 2], [5, 6, 8, 9, 2]], [[7, 7, 7], [7, 7, 7, 7]]],
    "of one token": [[[5], [6], [7], [8], [9]], [[5], [6]]],
    "that are one alone": [[[5, 6, 7]], [[8]]],
    "that are equal": [[[5, 6], [5, 6]], [[9], [9]]],
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("adapter", ["none", "gated"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_full_forwards(family, adapter, options) -> None:
    model, batch = make_model(family, adapter=adapter), make_batch(targets=False)
    scores = model.score(batch, options)
    assert [len(score.total) for score in scores] == [len(row) for row in options]
    for row, score in enumerate(scores):
        for index, option in enumerate(options[row]):
            wanted = likelihoods(model, batch, row, option)
            torch.testing.assert_close(score.total[index], wanted.sum(), atol=1e-4, rtol=0)
            torch.testing.assert_close(score.mean[index], wanted.mean(), atol=1e-4, rtol=0)
            assert score.num_tokens[index] == len(option)


def test_a_batch_scores_as_each_row_alone() -> None:
    model, batch = make_model(adapter="gated"), make_batch(targets=False)
    options = OPTIONS["of many lengths"]
    together = model.score(batch, options)
    for row in range(2):
        (alone,) = model.score(row_of(batch, row), [options[row]])
        torch.testing.assert_close(alone.total, together[row].total, atol=1e-5, rtol=1e-5)


def test_padding_at_the_end_of_a_batch_changes_nothing() -> None:
    model, batch = make_model("gpt2", adapter="gated"), make_batch(targets=False)
    options = OPTIONS["with a common beginning"]

    def wider(x: torch.Tensor, value: int) -> torch.Tensor:
        return torch.nn.functional.pad(x, (0, 5), value=value)

    padded = replace(
        batch,
        input_ids=wider(batch.input_ids, 3),
        attention_mask=wider(batch.attention_mask, 0),
        video_slots=wider(batch.video_slots, 0),
        labels=wider(batch.labels, -100),
    )
    pairs = zip(model.score(batch, options), model.score(padded, options), strict=True)
    for plain, other in pairs:
        torch.testing.assert_close(plain.total, other.total, atol=1e-5, rtol=1e-5)


def test_one_forward_pass_reads_every_token_once(monkeypatch) -> None:
    model, batch, read = make_model(), make_batch(targets=False), []
    run = scoring.decoders.run_body

    def counted(decoder, embeddings, **kwargs):
        read.append(tuple(embeddings.shape[:2]))
        return run(decoder, embeddings, **kwargs)

    monkeypatch.setattr(scoring.decoders, "run_body", counted)
    model.score(batch, OPTIONS["of one token"])
    model.score(batch, [[[5, 6, 7, 2], [5, 6, 8, 9, 2]], [[4], [5]]])
    assert read == [(2, 12), (2, 12 + 2 + 1 + 2)]  # 5 6, 7, 8 9


def test_logits_in_pieces_are_the_same(monkeypatch) -> None:
    model, batch = make_model(), make_batch(targets=False)
    options = OPTIONS["of many lengths"]
    whole = model.score(batch, options)
    monkeypatch.setattr(scoring, "CHUNK_LOGITS", 150)  # three rows of 50
    for got, wanted in zip(model.score(batch, options), whole, strict=True):
        torch.testing.assert_close(got.total, wanted.total)


def test_the_chosen_option_is_the_most_probable() -> None:
    score = scoring.OptionScores(
        total=torch.tensor([-2.0, -3.0]),
        mean=torch.tensor([-2.0, -1.0]),
        num_tokens=torch.tensor([1, 3]),
    )
    assert score.best == 0
    wanted = torch.tensor([0.7311, 0.2689])  # 1 / (1 + 1/e)
    torch.testing.assert_close(score.probabilities(), wanted, atol=1e-4, rtol=0)


def test_what_cannot_be_scored_is_named() -> None:
    model, batch = make_model(), make_batch(targets=False)
    with pytest.raises(BatchError, match="1 lists of options for 2 prompts"):
        model.score(batch, [[[5]]])
    with pytest.raises(BatchError, match="prompt 1: 2 options, of which 1 are empty; each needs"):
        model.score(batch, [[[5]], [[5], []]])
    with pytest.raises(BatchError, match="prompt 0: 0 options"):
        model.score(batch, [[], [[5]]])
    with pytest.raises(BatchError, match="its longest option has 141 positions, but the decoder"):
        model.score(batch, [[[5] * 130, [6]], [[5], [6]]])


def test_layers_that_a_mask_does_not_describe_are_refused() -> None:
    model, batch = make_model("qwen3"), make_batch(targets=False)
    model.decoder.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(DecoderUnsupportedError, match="packed for layers of kind linear_attention"):
        model.score(batch, OPTIONS["of many lengths"])


def test_one_window_for_all_layers() -> None:
    from transformers import AutoModelForCausalLM, MistralConfig

    from textreel.models.decoder import prepare

    model = make_model()
    config = MistralConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        sliding_window=5,
    )
    decoder = AutoModelForCausalLM.from_config(config)
    decoder.load_state_dict(make_decoder().state_dict())
    model.decoder = prepare(decoder)
    batch, options = make_batch(targets=False), OPTIONS["of many lengths"]
    for row, score in enumerate(model.score(batch, options)):
        wanted = [likelihoods(model, batch, row, option).sum() for option in options[row]]
        torch.testing.assert_close(score.total, torch.stack(wanted), atol=1e-4, rtol=0)
