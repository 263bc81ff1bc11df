"""The world as records for an image-LLM: the same for a seed, of the training part, as told."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from textreel.data.record import Record
from textreel.models.image_mllm.loading import ImageLLM
from textreel.recipes.frame_data import open_drawer, open_source
from textreel.recipes.frame_recipe import FrameRecipe, WorldSamples
from textreel.recipes.frame_training import open_learner
from textreel.recipes.frame_world import WorldRecords, world_records
from textreel.recipes.page_reading import read_pages_check, words_in_place
from textreel.recipes.t2vid_tiny import t2vid_tiny_arm, t2vid_tiny_base
from textreel.synth.world.vocabulary import split, words
from textreel.train.frame_records import FrameSource, draw_batch

WORLD = WorldSamples(
    stills=3, pages=30, clips=20, fraction=0.3, documents=4, texts=4, held_out=("final",)
)
RECIPE = replace(t2vid_tiny_base(), world=WORLD)
DRAWER = open_drawer(RECIPE)


@pytest.fixture(scope="module")
def records() -> WorldRecords:
    return world_records(RECIPE, DRAWER)


@pytest.fixture(scope="module")
def made() -> ImageLLM:
    return open_learner(RECIPE)


@pytest.fixture(scope="module")
def source(made: ImageLLM) -> FrameSource:
    return open_source(RECIPE, made)


def of_kind(records: WorldRecords, kind: str) -> list[Record]:
    return [record for record in records if record.id.startswith(kind)]


def said(record: Record) -> str:
    return " ".join(
        part.value
        for message in record.messages
        for part in message.parts
        if part.kind in ("text", "pages")
    )


def test_records_follow_from_seed_and_number(records: WorldRecords) -> None:
    counts = {kind: len(of_kind(records, kind)) for kind in ("still", "page", "clip", "document")}
    assert counts == {"still": 3, "page": 30, "clip": 6, "document": 4}
    assert len(records) == len(records.lengths()) == 47
    again = world_records(RECIPE, DRAWER)
    assert records[5:9] == again[5:9]
    assert records[0] != world_records(replace(RECIPE, seed=1), DRAWER)[0]
    part = of_kind(records, "clip")[0].messages[0].parts[0]
    assert np.array_equal(records.draw(part), again.draw(part))
    assert records.draw(part).shape == (8, 3, 192, 192)
    assert records.draw(records[0].messages[0].parts[0]).shape == (1, 3, 192, 192)


def test_fewer_clips_are_some_of_more(records: WorldRecords) -> None:
    more = world_records(replace(RECIPE, world=replace(WORLD, fraction=0.9)), DRAWER)
    ids = {record.id for record in of_kind(more, "clip")}
    assert {record.id for record in of_kind(records, "clip")} < ids
    assert len(ids) == 18


def test_all_words_are_known_and_the_held_out_type_is_never_asked(records: WorldRecords) -> None:
    known = set(words())
    for record in records:
        assert known.issuperset(split(said(record)))
        if record.id.startswith(("clip", "document", "text")):
            questions = [m.parts[-1].value for m in record.messages if m.role == "user"]
            assert not any("at the end ?" in q and "how many" not in q for q in questions)


def test_pages_to_read_are_single_and_documents_have_more_pages_than_clips_frames(
    records: WorldRecords,
) -> None:
    for record in of_kind(records, "page"):
        text = record.messages[0].parts[0].value
        assert record.messages[1].parts[0].value == text
        assert 1 <= len(text.split()) <= 12
        assert len(DRAWER.typeset(text, id="").pages) == 1
        assert all(len(line.split()) == 2 for line in text.split("\n")[:-1])
    counts = [
        len(DRAWER.typeset(record.messages[0].parts[0].value, id="").pages)
        for record in of_kind(records, "document")
    ]
    assert max(counts) > 8


def test_texts_say_what_documents_show(records: WorldRecords) -> None:
    pairs = zip(of_kind(records, "document"), of_kind(records, "text"), strict=True)
    for document, text in pairs:
        page, question = document.messages[0].parts
        assert text.messages[0].parts[0].value == f"{page.value} . {question.value}"
        assert text.messages[1:] == document.messages[1:]


def test_one_template_asks_every_clip_the_same() -> None:
    one = world_records(replace(RECIPE, world=replace(WORLD, instructions="one")), DRAWER)
    clips = of_kind(one, "clip")
    assert {record.messages[0].parts[1].value for record in clips} == {"what happens ?"}
    assert len({record.messages[1].parts[0].value for record in clips}) > 1


def test_the_tiny_image_llm_is_small_and_keeps_the_decoders_words(made: ImageLLM) -> None:
    assert 1.5e6 < sum(p.numel() for p in made.model.parameters()) < 2e6
    from textreel.models.decoder import load_decoder

    theirs = load_decoder("embedded:tiny/decoder").model.embed_tokens.weight
    ours = made.model.model.model.text_model.embed_tokens.weight
    assert len(ours) == len(theirs) + 3
    assert torch.equal(ours[: len(theirs)], theirs)


def test_a_batch_of_every_kind_is_what_the_model_takes(
    made: ImageLLM, source: FrameSource, records: WorldRecords
) -> None:
    kinds = ("still", "page", "clip", "document", "text")
    chosen = [of_kind(records, kind)[0] for kind in kinds]
    batch = draw_batch(chosen, source)
    image = made.model.family.image_token_id
    pages = len(DRAWER.typeset(chosen[3].messages[0].parts[0].value, id="").pages)
    counts = (batch.input_ids == image).sum(dim=1).tolist()
    assert counts == [16, 16, 8 * 16, pages * 16, 0]
    loss = made.model.loss(batch)
    assert loss.isfinite()
    text = made.tokenizer.decode(batch.input_ids[1][batch.attention_mask[1]])
    assert "<unk>" not in text
    assert text.startswith("video : <fake_token_around_image> <global-img>")


def test_reading_is_the_share_of_words_in_their_place(
    made: ImageLLM, source: FrameSource, monkeypatch
) -> None:
    texts = ["a red circle", "the square moves left"]
    ids = [made.tokenizer(text)["input_ids"] for text in texts]

    def generate(batch, *, max_new_tokens, sampling):
        assert max_new_tokens == 5 and made.tokenizer.eos_token_id in sampling.stop_ids
        return [ids[0], [*ids[1][:1], *ids[1][2:]]]

    monkeypatch.setattr(made.model, "generate", generate)
    assert words_in_place(made, source, texts) == 4 / 7
    monkeypatch.undo()
    assert 0 <= read_pages_check(made, source, count=2)()["page_words"] < 0.2


def test_recipes_of_the_tiny_image_llm() -> None:
    base, arm = t2vid_tiny_base(), t2vid_tiny_arm("here")
    assert isinstance(base, FrameRecipe) and base.template == arm.template == "image-tiny"
    assert arm.model == "here" and arm.world is not None and arm.world.held_out == ("final",)
    assert base.world is not None and base.world.checked_pages > 0
    assert base.eyes is not None and arm.eyes is None
    assert not base.tuning.vision and not arm.tuning.vision
