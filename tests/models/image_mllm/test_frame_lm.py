"""`FrameLM`: loss, words and scores are those of the model's own forward pass, alone or batched."""

from random import Random

import numpy as np
import pytest
import torch

from tests.models.image_mllm.conftest import Make
from tests.models.image_mllm.test_families import families, pictures
from tests.models.image_mllm.tiny_image_llms import KINDS, POSITIONS
from textreel.data.frame_collate import FrameCollator
from textreel.data.prompt import Turn
from textreel.models.batch import IGNORE
from textreel.models.errors import BatchError
from textreel.models.generate import Sampling
from textreel.models.image_mllm.batch import FrameBatch
from textreel.models.image_mllm.frame_row import FrameRow
from textreel.models.thread import Thread

QUESTIONS = ("what is this ?", "which colour, and where ?", "é")


def samples(made, count: int, *, answer: str = "", seed: int = 3) -> tuple[FrameCollator, list]:
    collator = FrameCollator(made.tokenizer, made.model.family)
    random, found = Random(seed), []
    for index in range(count):
        shown = made.reader.read(pictures(random, index % 3 + 1))
        turn = Turn(task="open", question=QUESTIONS[index % 3], answer_text=answer * (index + 1))
        prompt = collator.write(f"row {index}", turns=[turn], pictures=shown)
        found.append((collator.encode(prompt), shown))
    return collator, found


def plain_logits(made, batch: FrameBatch) -> torch.Tensor:
    """The model's own forward over one row, positions and merging its own."""
    inputs = dict(batch.pixels)
    family, model = made.model.family, made.model.model
    kinds = (batch.input_ids == family.image_token_id).long()
    if "qwen" in family.name:
        inputs["mm_token_type_ids"] = kinds
        model.model.rope_deltas = None
    if family.name == "gemma3":
        inputs["token_type_ids"] = kinds
    if family.embed is not None:
        embeddings = family.embed(model.model, batch.input_ids, batch.pixels)
        return model(inputs_embeds=embeddings).logits
    return model(input_ids=batch.input_ids, **inputs).logits


@pytest.mark.parametrize("kind", families(*KINDS, quick=("qwen2_5_vl",)))
def test_the_loss_is_that_of_the_answers_in_any_batch(kind: str, image_llm: Make) -> None:
    made = image_llm(kind)
    collator, rows = samples(made, 3, answer="it moves")
    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            batch = collator.collate([row])
            logits = plain_logits(made, batch)[0].log_softmax(-1)
            targets = (batch.labels[0] != IGNORE).nonzero().flatten().tolist()
            assert len(targets) >= 9  # eight bytes and the end
            total -= sum(float(logits[at - 1, batch.input_ids[0, at]]) for at in targets)
            count += len(targets)
        together = collator.collate(rows)
        losses, index = made.model.token_losses(together)
    assert index.bincount().tolist() == [
        int((collator.collate([row]).labels != IGNORE).sum()) for row in rows
    ]
    assert float(losses.mean()) == pytest.approx(total / count, rel=1e-4)
    assert made.model.loss(together).detach().item() == pytest.approx(total / count, rel=1e-4)


@pytest.mark.parametrize("kind", families(*KINDS, quick=("qwen2_5_vl",)))
def test_words_are_those_of_the_models_own_generation(kind: str, image_llm: Make) -> None:
    made = image_llm(kind)
    collator, rows = samples(made, 3)
    alone = []
    for row in rows:
        batch = collator.collate([row])
        ids, found = batch.input_ids, []
        with torch.no_grad():
            for _ in range(6):
                grown = FrameBatch(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids, dtype=torch.bool),
                    labels=ids,
                    ids=batch.ids,
                    pixels=batch.pixels,
                )
                found.append(int(plain_logits(made, grown)[0, -1].argmax()))
                ids = torch.cat([ids, torch.tensor([found[-1:]])], dim=1)
        alone.append(found)
    never = Sampling(stop_ids=())
    batched = made.model.generate(collator.collate(rows), max_new_tokens=6, sampling=never)
    assert batched == alone
    streamed = [
        list(
            Thread().stream(
                FrameRow(made.model, collator.collate([row])), max_new_tokens=6, sampling=never
            )
        )
        for row in rows
    ]
    assert streamed == alone


@pytest.mark.parametrize("kind", families(*KINDS, quick=("qwen2_5_vl",)))
def test_scores_are_those_of_whole_prompts(kind: str, image_llm: Make) -> None:
    made = image_llm(kind)
    collator, rows = samples(made, 2)
    options = [[[65, 66, 67], [65, 70], [88]], [[65], [70]]]
    wanted = []
    for row, of_row in zip(rows, options, strict=True):
        totals = []
        for option in of_row:
            batch = collator.collate([row])
            ids = torch.cat([batch.input_ids, torch.tensor([option])], dim=1)
            whole = FrameBatch(
                input_ids=ids,
                attention_mask=torch.ones_like(ids, dtype=torch.bool),
                labels=ids,
                ids=batch.ids,
                pixels=batch.pixels,
            )
            with torch.no_grad():
                logits = plain_logits(made, whole)[0].log_softmax(-1)
            start = batch.input_ids.shape[1] - 1
            totals.append(sum(float(logits[start + i, t]) for i, t in enumerate(option)))
        wanted.append(totals)
    batched = made.model.score(collator.collate(rows), options)
    for found, totals, row, of_row in zip(batched, wanted, rows, options, strict=True):
        assert found.total.tolist() == pytest.approx(totals, abs=1e-3)
        alone = Thread().score(FrameRow(made.model, collator.collate([row])), of_row)
        assert alone.total.tolist() == pytest.approx(totals, abs=1e-3)
        assert alone.num_tokens.tolist() == [len(option) for option in of_row]


@pytest.mark.parametrize("kind", families(*KINDS, quick=("qwen2_5_vl",)))
def test_a_thread_reads_only_what_is_new_and_answers_the_same(kind: str, image_llm: Make) -> None:
    made = image_llm(kind)
    collator = FrameCollator(made.tokenizer, made.model.family)
    shown = made.reader.read(pictures(Random(5), 2))
    first = [Turn(task="open", question="what ?")]
    then = [
        Turn(task="open", question="what ?", answer_text="a"),
        Turn(task="open", question="why so ?"),
    ]
    other = [Turn(task="open", question="where is it ?")]
    thread, never = Thread(grows=True), Sampling(stop_ids=())
    reused = []
    for turns in (first, then, other, first):
        prompt = collator.write("one", turns=turns, pictures=shown)
        row = FrameRow(made.model, collator.collate([(collator.encode(prompt), shown)]))
        found = list(thread.stream(row, max_new_tokens=4, sampling=never))
        reused.append(thread.reused)
        assert found == list(Thread().stream(row, max_new_tokens=4, sampling=never))
        options = [[65, 66], [70]]
        scores = thread.score(row, options).total
        torch.testing.assert_close(scores, Thread().score(row, options).total, rtol=1e-4, atol=1e-4)
        last = row.video_end
    assert reused[0] == 0
    assert all(count >= last for count in reused[1:])  # the pictures are never read again


@pytest.mark.parametrize("kind", families(*KINDS, quick=("qwen2_5_vl",)))
def test_rows_without_pictures_may_share_a_batch(kind: str, image_llm: Make) -> None:
    made = image_llm(kind)
    collator, rows = samples(made, 2, answer="it moves")
    turn = Turn(task="open", question="and without ?", answer_text="nothing")
    blind = (collator.encode(collator.write("blind", turns=[turn], pictures=None)), None)
    with torch.no_grad():
        mixed, index = made.model.token_losses(collator.collate([rows[0], blind, rows[1]]))
        for number, row in enumerate([rows[0], blind, rows[1]]):
            alone, _ = made.model.token_losses(collator.collate([row]))
            torch.testing.assert_close(mixed[index == number], alone, rtol=1e-3, atol=1e-4)


def test_a_stop_ends_an_answer_and_is_left_out(image_llm: Make) -> None:
    made = image_llm("idefics3")
    collator, rows = samples(made, 2)
    batch = collator.collate(rows)
    free = made.model.generate(batch, max_new_tokens=5, sampling=Sampling(stop_ids=()))
    stop = free[0][2]
    cut = made.model.generate(batch, max_new_tokens=5, sampling=Sampling(stop_ids=(stop,)))
    assert cut == [row[: row.index(stop)] if stop in row else row for row in free]


def test_gradients_reach_what_learns_and_nothing_else(image_llm: Make) -> None:
    model = image_llm("idefics3").model
    collator, rows = samples(image_llm("idefics3"), 2, answer="it moves")
    model.requires_grad_(False)
    connector = model.model.model.connector.requires_grad_(True)
    try:
        model.loss(collator.collate(rows)).backward()
        assert {n.split(".")[2] for n in model.trainable_state_dict()} == {"connector"}
        assert all(p.grad is not None for p in connector.parameters())
        assert len(list(model.trainable_parameters())) == len(list(connector.parameters()))
    finally:
        model.requires_grad_(True).zero_grad()


def test_a_batch_moves_with_its_pixels(image_llm: Make) -> None:
    collator, rows = samples(image_llm("idefics3"), 2)
    batch = collator.collate(rows)
    assert batch.num_tokens == sum(len(record.token_ids) for record, _ in rows)
    moved = batch.to("meta")
    assert moved.input_ids.is_meta
    assert all(values.is_meta for values in moved.pixels.values())


def test_what_does_not_fit_is_refused(image_llm: Make) -> None:
    made = image_llm("idefics3")
    collator, rows = samples(made, 1)
    batch = collator.collate(rows)
    with pytest.raises(BatchError, match=r"row 0: a prompt of \d+ positions and 600 new ones"):
        made.model.generate(batch, max_new_tokens=600)
    with pytest.raises(BatchError, match="but the model takes 512"):
        made.model.score(batch, [[[65] * POSITIONS]])
    with pytest.raises(BatchError, match="1 lists of options for 2 prompts"):
        made.model.score(collator.collate(rows * 2), [[[1], [2]]])
    with pytest.raises(BatchError, match=r"no target among 1 prompts \(first: row 0\)"):
        made.model.loss(batch)


def test_it_is_saved_as_the_image_llm_it_is(image_llm: Make, tmp_path) -> None:
    from transformers import AutoModelForImageTextToText

    made = image_llm("idefics3")
    made.model.save_pretrained(tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path)
    for one, other in zip(made.model.model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_pieces_of_many_targets_give_the_same_loss(image_llm: Make, monkeypatch) -> None:
    made = image_llm("idefics3")
    collator, rows = samples(made, 2, answer="it moves")
    batch = collator.collate(rows)
    whole = made.model.loss(batch)
    monkeypatch.setattr("textreel.models.token_losses.CHUNK_LOGITS", 3_000)
    assert made.model.loss(batch).detach().item() == pytest.approx(whole.detach().item(), rel=1e-5)
    assert np.isfinite(whole.detach().item())
