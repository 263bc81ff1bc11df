from dataclasses import replace
from pathlib import Path

import pytest
import torch

from textreel.models.decoder import load_decoder
from textreel.models.tokenizer import load_tokenizer
from textreel.recipes.tiny_decoder import DECODER_TRAINING, DocumentData, Lesson, build_decoder
from textreel.recipes.tiny_models import save_decoder
from textreel.recipes.tiny_run import shipped_recipe
from textreel.recipes.tiny_towers import SOUND_TRAINING, TOWER_TRAINING
from textreel.synth.world.vocabulary import words
from textreel.train.digest import batch_digest

TINY = replace(DECODER_TRAINING, steps=2, warmup=1, precision="fp32", threads=1)


@pytest.fixture(autouse=True)
def short_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textreel.recipes.tiny_decoder.TOKENS_PER_BATCH", 1)  # 8 documents
    monkeypatch.setattr("textreel.recipes.tiny_decoder.LISTS_PER_BATCH", 8)
    monkeypatch.setattr("textreel.recipes.tiny_decoder.MOMENTS_PER_BATCH", 8)


def test_a_batch_depends_on_its_step_only() -> None:
    data = DocumentData(steps=100)
    digests = [batch_digest(data.batch(step)) for step in (0, 1, 4, 0)]
    assert digests[0] == digests[3] == batch_digest(DocumentData(steps=100).batch(0))
    assert len(set(digests)) == 3
    assert digests[2] == batch_digest(DocumentData(steps=100).batch(4))


def test_four_steps_share_documents_sorted_by_length() -> None:
    data = DocumentData(steps=100)
    lengths = [(data.batch(step).input_ids > 0).sum(1).tolist() for step in range(4)]
    flat = [length for step in lengths for length in step]
    assert len(flat) == 32
    assert flat == sorted(flat)


def test_documents_begin_with_bos_and_only_words_after_it_weigh() -> None:
    batch = DocumentData(steps=100).batch(0)
    assert (batch.input_ids[:, 0] == 1).all()
    assert (batch.weights[:, 0] == 0).all()
    assert (batch.weights[batch.input_ids == 0] == 0).all()
    assert set((batch.weights * 20).round().unique().tolist()) <= {0.0, 6.0, 20.0, 60.0}
    assert not (batch.input_ids == 3).any()  # no unknown word
    assert batch.num_tokens == int((batch.weights > 0).sum())


def test_documents_grow_in_training() -> None:
    data = DocumentData(steps=1000)
    early = [int((data.batch(s).input_ids > 0).sum(1).max()) for s in (0, 8)]
    late = [int((data.batch(s).input_ids > 0).sum(1).max()) for s in range(900, 940, 4)]
    assert max(early) < max(late)


def test_packed_positions_hold_several_words_and_are_never_predicted() -> None:
    batch = DocumentData(steps=100, lessons=(Lesson(1.0, packed=1.0),)).batch(0)
    assert batch.packed is not None
    assert batch.packed_ids is not None
    assert batch.packed_weights is not None
    assert int(batch.packed.sum()) == len(batch.packed_ids) == len(batch.packed_weights) > 0
    assert (batch.weights[batch.packed] == 0).all()
    assert ((batch.packed_ids > 0).sum(1) >= 4).all()  # a number, something, two strays
    assert ((batch.packed_weights > 0) <= (batch.packed_ids > 0)).all()
    first = DocumentData(steps=100).batch(0)
    assert first.packed is first.packed_ids is first.packed_weights is None


def test_a_lesson_about_order_asks_one_question_of_a_document() -> None:
    data = DocumentData(steps=100, lessons=(Lesson(1.0, orders=0.5, plain_orders=0.5),))
    packed = []
    for step in range(0, 40, 4):
        batch = data.batch(step)
        answers = (batch.weights == 3.0).sum(1)  # "the circle moves left" and the end, or less
        assert ((answers >= 4) & (answers <= 5)).all()
        packed.append(batch.packed is not None)
    assert any(packed) and not all(packed)


def test_every_embedded_model_is_built_by_one_thread_in_a_named_arithmetic(tmp_path: Path) -> None:
    configs = (TOWER_TRAINING, SOUND_TRAINING, DECODER_TRAINING, shipped_recipe(tmp_path).train)
    for config in configs:
        assert config.threads == 1
        assert config.precision in ("fp32", "bf16")
    assert shipped_recipe(tmp_path).train.attention == "eager"


@pytest.mark.slow
def test_two_steps_and_a_decoder_that_loads(tmp_path: Path) -> None:
    decoder = build_decoder(tmp_path / "work", config=TINY, seed=2)
    again = build_decoder(tmp_path / "work", config=TINY, seed=2)  # reads the finished run
    rebuilt = build_decoder(tmp_path / "other", config=TINY, seed=2)
    for name, value in decoder.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
        assert torch.equal(value, rebuilt.state_dict()[name]), name
    save_decoder(decoder, tmp_path / "decoder")
    loaded, tokenizer = (f(str(tmp_path / "decoder")) for f in (load_decoder, load_tokenizer))
    ids = tokenizer("what colour is the circle ?", return_tensors="pt").input_ids
    with torch.no_grad():
        wanted, got = decoder.eval()(ids).logits, loaded(ids).logits
    torch.testing.assert_close(got, wanted, atol=1e-2, rtol=1e-2)
    assert len(tokenizer) == len(words()) == loaded.config.vocab_size
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert tokenizer.model_max_length == 2048
    assert "knows only textreel's own world" in (tmp_path / "decoder/README.md").read_text()
