"""What the decoder learns from is what prompts will look like, id for id."""

from itertools import pairwise
from random import Random

import pytest
from transformers import PreTrainedTokenizerFast

from textreel.data.encoding import encode_prompts
from textreel.data.prompt import Turn, write_prompt
from textreel.data.templates import TINY
from textreel.synth.world import documents
from textreel.synth.world.documents import CAPTION_WEIGHT, draw_document, frame_times
from textreel.synth.world.scene import Scene, draw_scene
from textreel.synth.world.tokens import world_tokenizer

END = " <eos>"


def parse(pieces: list[tuple[str, float]]) -> tuple[list[str], list[Turn]]:
    """Take a document apart: its captions, and its questions with their answers."""
    texts = [text for text, _ in pieces]
    assert texts[0] == "video :"
    first = next(i for i, text in enumerate(texts) if text.startswith(("question", "summary")))
    captions, dots = texts[1:first:2], texts[2:first:2]
    assert len(captions) == len(dots)
    assert set(dots) == {"."}
    return captions, [
        turn(a, b) for a, b in zip(texts[first::2], texts[first + 1 :: 2], strict=True)
    ]


def turn(lead: str, answer: str) -> Turn:
    assert answer.endswith(END)
    answer = answer.removesuffix(END)
    if lead == "summary :":
        return Turn(task="summary", answer_text=answer)
    question = lead.removeprefix("question : ").removesuffix(" answer :")
    if " choices : " not in question:
        return Turn(task="open", question=question, answer_text=answer)
    question, choices = question.split(" choices : ")
    options = tuple(choices.removesuffix(" ;").split(" ; "))
    return Turn(task="choice", question=question, options=options, answer=options.index(answer))


def test_documents_are_prompts_of_the_tiny_template_id_for_id() -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=world_tokenizer(),
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
    )
    tasks = set()
    for seed in range(60):
        pieces = draw_document(Random(seed), num_frames=1 + seed % 8)
        captions, turns = parse(pieces)
        tasks |= {one.task for one in turns}
        prompt = write_prompt("p", turns=turns, template=TINY, video=False, context=captions)
        words = "".join(
            piece.text + (END if piece.kind == "target" else "") for piece in prompt.pieces
        )
        assert words.split() == " ".join(text for text, _ in pieces).split()
        (record,) = encode_prompts([prompt], tokenizer=tokenizer)
        ids, weights = [1], [0.0]
        for text, weight in pieces:
            more = tokenizer(text, add_special_tokens=False).input_ids
            ids += more
            weights += [weight] * len(more)
        assert record.token_ids.tolist() == ids
        assert record.is_target.tolist() == [weight >= 1.0 for weight in weights]
    assert tasks == {"choice", "open", "summary"}


def test_answers_weigh_most_and_leads_nothing() -> None:
    weights: dict[str, set[float]] = {"lead": set(), "caption": set(), "answer": set()}
    for seed in range(30):
        for text, weight in draw_document(Random(seed), num_frames=8):
            lead = text.endswith(" :")
            weights["lead" if lead else "answer" if text.endswith(END) else "caption"].add(weight)
    assert weights == {"lead": {0.0}, "caption": {CAPTION_WEIGHT}, "answer": {3.0, 1.0}}
    assert 0 < CAPTION_WEIGHT < 1


def test_a_fifth_of_the_documents_says_what_is_heard() -> None:
    heard = ["is heard" in str(draw_document(Random(i), num_frames=8)) for i in range(300)]
    assert 0.11 < sum(heard) / 300 < 0.25  # .2 draw sound, a tenth of their scenes is silent


def test_documents_are_about_training_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Scene] = []

    def record(rng: Random, *, seconds: float) -> Scene:
        drawn.append(draw_scene(rng, seconds=seconds))
        return drawn[-1]

    monkeypatch.setattr(documents, "draw_scene", record)
    rng = Random(1)
    for _ in range(40):
        draw_document(rng, num_frames=2)
        assert drawn[-1].part == "training"
    assert any(scene.part != "training" for scene in drawn)


@pytest.mark.parametrize("num_frames", range(1, 9))
def test_no_event_goes_unseen_however_few_frames(num_frames: int) -> None:
    rng = Random(num_frames)
    for _ in range(150):
        facts = draw_scene(rng)
        times = frame_times(facts, num_frames, rng)
        assert all(a < b for a, b in pairwise(times))
        assert set(times) <= {0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5}
        states = {sum(event.time_s <= t for event in facts.events) for t in times}
        assert states == set(range(len(facts.events) + 1))
        fewest = 1 if num_frames == 1 and not facts.events else 2
        assert max(fewest, num_frames) <= len(times) <= max(3, num_frames)
