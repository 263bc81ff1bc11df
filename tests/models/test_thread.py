"""`Thread` over a `TrackLM`: the same answers as from whole prompts, and only new tokens read."""

from dataclasses import replace

import pytest
import torch

from tests.models.tiny_decoders import FAMILIES, make_batch, make_model, row_of
from textreel.models.generate import Sampling
from textreel.models.thread import Thread
from textreel.models.track_row import TrackRow

NEVER = Sampling(stop_ids=())
OPTIONS = [[5, 6, 7], [5, 8], [9]]


def changed(batch, at: int, token: int):
    ids = batch.input_ids.clone()
    ids[0, at] = token
    return replace(batch, input_ids=ids)


QUICK = {("llama", "gated"), ("gemma3", "none")}


@pytest.mark.parametrize(
    ("family", "adapter"),
    [
        pytest.param(family, adapter, marks=() if (family, adapter) in QUICK else pytest.mark.slow)
        for family in FAMILIES
        for adapter in ("none", "gated", "lora")
    ],
)
def test_a_thread_answers_as_whole_prompts_do(family: str, adapter: str) -> None:
    model = make_model(family, adapter=adapter)
    batch = row_of(make_batch(targets=False), 0)
    other = changed(batch, 8, 3 + int(batch.input_ids[0, 8]) % 40)
    thread, reused = Thread(grows=True), []
    for prompt in (batch, row_of(batch, 0, more=[4, 5, 6]), other, batch):
        row = TrackRow(model, prompt)
        found = list(thread.stream(row, max_new_tokens=5, sampling=NEVER))
        reused.append(thread.reused)
        assert [found] == model.generate(prompt, max_new_tokens=5, sampling=NEVER)
        scores, [wanted] = thread.score(row, OPTIONS), model.score(prompt, [OPTIONS])
        torch.testing.assert_close(scores.total, wanted.total, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(scores.mean, wanted.mean, atol=1e-4, rtol=1e-4)
    assert reused == [0, 12, 8, 8]


def test_what_was_said_is_not_read_again() -> None:
    model = make_model()
    batch = row_of(make_batch(targets=False), 0)
    thread = Thread(grows=True)
    said = list(thread.stream(TrackRow(model, batch), max_new_tokens=4, sampling=NEVER))
    grown = TrackRow(model, row_of(batch, 0, more=[*said, 7, 8]))
    found = list(thread.stream(grown, max_new_tokens=2, sampling=NEVER))
    assert thread.reused == 12 + 3  # the last token that was said had not been read
    assert found == list(Thread().stream(grown, max_new_tokens=2, sampling=NEVER))


def test_an_answer_that_is_broken_off_leaves_the_thread_in_order() -> None:
    model = make_model("qwen3")
    row = TrackRow(model, row_of(make_batch(targets=False), 0))
    thread = Thread()
    stream = thread.stream(row, max_new_tokens=9, sampling=NEVER)
    first = [next(stream), next(stream)]
    stream.close()
    again = list(thread.stream(row, max_new_tokens=9, sampling=NEVER))
    assert again[:2] == first
    assert again == list(Thread().stream(row, max_new_tokens=9, sampling=NEVER))


def test_a_stop_ends_the_stream() -> None:
    model = make_model()
    row = TrackRow(model, row_of(make_batch(targets=False), 0))
    free = list(Thread().stream(row, max_new_tokens=5, sampling=NEVER))
    cut = list(Thread().stream(row, max_new_tokens=5, sampling=Sampling(stop_ids=(free[3],))))
    assert cut == free[: free.index(free[3])]


def test_a_thread_that_does_not_grow_keeps_the_video_and_every_bit() -> None:
    model = make_model(adapter="gated")
    batch = row_of(make_batch(targets=False), 0)
    rows = [TrackRow(model, b) for b in (batch, changed(batch, 8, 17), changed(batch, 11, 4))]
    thread = Thread()
    for row in [*rows, *rows]:
        scores = thread.score(row, OPTIONS)
        assert thread.reused in (0, 6)
        assert torch.equal(scores.total, Thread().score(row, OPTIONS).total)
