from collections import Counter
from dataclasses import replace
from random import Random

import pytest
import torch

from tests.data.tokenizers_by_hand import TEMPLATE, word_tokenizer
from textreel.data.collate import Collator
from textreel.data.prompt import Turn
from textreel.data.textual_video import TextualFrame, TextualQuestion, TextualVideo
from textreel.models.batch import Batch, Features
from textreel.recipes import alignment
from textreel.recipes.alignment import (
    FrameCaptions,
    Sample,
    TaskMix,
    alignment_data,
    caption_data,
    draw_prompts,
)
from textreel.train.buckets import BucketedData
from textreel.train.digest import batch_digest
from textreel.train.errors import TrainConfigError

QUESTIONS = tuple(
    TextualQuestion(
        question=f"where ? {word}",
        options=("red", "blue", "left"),
        answer=i % 3,
        open_answer="the ball" if i == 0 else "",
    )
    for i, word in enumerate(("one", "two", "big", "ball", "red"))
)
VIDEO = TextualVideo(
    id="v", frames=(TextualFrame(caption="red ball"),), caption="one red ball", questions=QUESTIONS
)
PLAIN = TaskMix(choices_share=1.0, summary_share=0.0, noise=0.0)


def asked(prompts: list[list[Turn]]) -> list[str]:
    return [turn.question for turns in prompts for turn in turns]


@pytest.mark.parametrize(
    ("most", "sizes"), [(None, [5]), (1, [1] * 5), (2, [2, 2, 1]), (3, [3, 2]), (9, [5])]
)
def test_every_question_is_dealt_once(most: int | None, sizes: list[int]) -> None:
    prompts = draw_prompts(VIDEO, replace(PLAIN, most_questions=most), Random(1))
    assert sorted(map(len, prompts), reverse=True) == sizes
    assert sorted(asked(prompts)) == sorted(q.question for q in QUESTIONS)


def test_the_order_is_random_and_the_seed_decides_it() -> None:
    orders = [tuple(asked(draw_prompts(VIDEO, PLAIN, Random(seed)))) for seed in range(6)]
    assert len(set(orders)) > 1
    assert orders[3] == tuple(asked(draw_prompts(VIDEO, PLAIN, Random(3))))


def test_a_choice_lists_its_options_with_the_right_one() -> None:
    [turns] = draw_prompts(VIDEO, PLAIN, Random(0))
    by_question = {q.question: q for q in QUESTIONS}
    for turn in turns:
        of = by_question[turn.question]
        assert turn == Turn(
            task="choice", question=of.question, options=of.options, answer=of.answer
        )


def test_an_open_question_is_answered_in_its_own_words_or_the_options() -> None:
    [turns] = draw_prompts(VIDEO, replace(PLAIN, choices_share=0.0), Random(0))
    said = {turn.question: turn.answer_text for turn in turns}
    assert all(turn.task == "open" and turn.options == () for turn in turns)
    assert list(map(said.get, [q.question for q in QUESTIONS])) == [
        "the ball",  # open_answer
        "blue",
        "left",
        "red",
        "blue",
    ]


def test_shares_are_what_they_say() -> None:
    mix = TaskMix(choices_share=0.75, summary_share=0.25)
    rng = Random(5)
    tasks = Counter(
        turn.task for _ in range(400) for turns in draw_prompts(VIDEO, mix, rng) for turn in turns
    )
    assert tasks["choice"] + tasks["open"] == 2000
    assert tasks["choice"] == pytest.approx(1500, abs=80)  # 4 standard deviations
    assert tasks["summary"] == pytest.approx(100, abs=35)


def test_a_summary_ends_the_video_with_its_caption() -> None:
    [turns] = draw_prompts(VIDEO, replace(PLAIN, summary_share=1.0), Random(0))
    assert turns[-1] == Turn(task="summary", answer_text="one red ball")
    assert len(turns) == 6


def test_a_video_without_questions_is_summed_up() -> None:
    prompts = draw_prompts(replace(VIDEO, questions=()), PLAIN, Random(0))
    assert prompts == [[Turn(task="summary", answer_text="one red ball")]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"choices_share": 1.1}, "choices_share=1.1 must be from 0 to 1"),
        ({"summary_share": -0.1}, "summary_share=-0.1 must be from 0 to 1"),
        ({"noise": float("nan")}, "noise=nan must be 0 or more"),
        ({"most_questions": 0}, "most_questions=0 must be at least 1, or None"),
    ],
)
def test_an_impossible_mix_is_refused(values: dict, message: str) -> None:
    with pytest.raises(TrainConfigError, match=f"TaskMix: {message}"):
        TaskMix(**values)


def tracks() -> list[Features]:
    """One frame, and three."""
    generator = torch.Generator().manual_seed(2)
    found = []
    for count in (1, 3):
        values = torch.nn.functional.normalize(
            torch.randn(count, 1, 6, generator=generator), dim=-1
        )
        found.append(
            Features(
                values=values.half(),
                times_s=torch.arange(count, dtype=torch.float64),
                modality="text",
                encoder="e",
                revision="r",
            )
        )
    return found


def collator() -> Collator:
    return Collator(word_tokenizer(), TEMPLATE, lambda num_frames: num_frames)


FRAMES = tuple(TextualFrame(caption=text) for text in ("red ball", "blue ball", "big ball"))
VIDEOS = [VIDEO, replace(VIDEO, id="w", frames=FRAMES, questions=QUESTIONS[:2])]


def make_data(*, noise: float, blind: bool = False, seed: int = 0) -> BucketedData[Sample]:
    return alignment_data(
        VIDEOS,
        None if blind else tracks(),
        collator(),
        mix=replace(PLAIN, noise=noise),
        batch_size=2,
        seed=seed,
    )


def shown(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    assert batch.features is not None and batch.feature_mask is not None
    order = [batch.ids.index(id) for id in ("v", "w")]
    return batch.features[order], batch.feature_mask[order]


def test_every_prompt_meets_the_features_of_its_video() -> None:
    values, mask = shown(make_data(noise=0.0).batch(0))
    assert mask.tolist() == [[True, False, False], [True, True, True]]
    one, three = tracks()
    torch.testing.assert_close(values[0, :1], one.values.float())
    torch.testing.assert_close(values[1], three.values.float())


def test_noise_keeps_unit_length_and_leaves_padding_zero() -> None:
    plain, mask = shown(make_data(noise=0.0).batch(0))
    noisy, _ = shown(make_data(noise=0.5).batch(0))
    assert (noisy[~mask] == 0).all()
    torch.testing.assert_close(noisy[mask].norm(dim=-1), torch.ones(4, 1))
    assert ((noisy - plain)[mask].norm(dim=-1) > 0.1).all()


def test_small_noise_is_as_large_as_it_says() -> None:
    plain, mask = shown(make_data(noise=0.0).batch(0))
    rows = [shown(make_data(noise=0.01).batch(step))[0] - plain for step in range(100)]
    spread = torch.stack(rows)[:, mask].std()
    # the part along the vector is taken back by the normalisation: 5 of 6 dimensions stay
    assert spread.item() == pytest.approx(0.01 * (5 / 6) ** 0.5, rel=0.1)


def test_a_batch_depends_on_seed_and_step_only() -> None:
    data = make_data(noise=0.5)
    digests = [batch_digest(data.batch(step)) for step in (0, 1, 0)]
    assert digests[0] == digests[2] != digests[1]
    assert digests[1] == batch_digest(make_data(noise=0.5).batch(1))
    assert digests[0] != batch_digest(make_data(noise=0.5, seed=1).batch(0))


def test_a_blind_model_gets_no_video_and_no_place_for_one() -> None:
    batch = make_data(noise=0.5, blind=True).batch(0)
    assert batch.features is None
    assert not batch.video_slots.any()
    seeing = make_data(noise=0.5).batch(0)
    assert seeing.video_slots.sum() == 4  # one soft token for each frame


def test_frames_are_captioned_one_by_one_from_their_own_features() -> None:
    data = caption_data(
        VIDEOS,
        tracks(),
        collator(),
        captions=FrameCaptions(batch_size=5, per_video=2),
        noise=0.0,
        seed=0,
    )
    assert len(data) == 1 + 2  # the first video has a single frame
    batch = data.batch(0)
    words = {token: word for word, token in word_tokenizer().get_vocab().items()}
    assert batch.features is not None
    assert batch.features.shape == (3, 1, 1, 6)
    shown = {}
    for row, id in enumerate(batch.ids):
        said = " ".join(words[t] for t in batch.labels[row].tolist() if t != -100)
        shown[id, said] = batch.features[row, 0]
    of_three = {said: values for (id, said), values in shown.items() if id == "w"}
    assert ("v", "red ball <eos>") in shown
    assert len(of_three) == 2
    for said, values in of_three.items():
        frame = ("red ball <eos>", "blue ball <eos>", "big ball <eos>").index(said)
        torch.testing.assert_close(values, tracks()[1].values[frame].float())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": -0.1}, "share=-0.1 must be 0 or more and less than 1"),
        ({"share": 1.0}, "share=1.0 must be 0 or more and less than 1"),
        ({"batch_size": 0}, "batch_size=0 must be 1 or more"),
        ({"per_video": 0}, "per_video=0 must be 1 or more"),
    ],
)
def test_an_impossible_caption_stage_is_refused(values: dict, message: str) -> None:
    with pytest.raises(TrainConfigError, match=f"FrameCaptions: {message}"):
        FrameCaptions(**values)


def test_letters_are_balanced_where_the_mix_says_so(monkeypatch) -> None:
    biased = replace(QUESTIONS[0], answer=1)
    meta = replace(biased, options=("red", "blue", "none of the above"))
    videos = [replace(VIDEO, id=str(i), questions=(biased,)) for i in range(9)]
    videos.append(replace(VIDEO, id="meta", questions=(meta,)))
    turns: list[Turn] = []

    def kept(video, mix, rng):
        drawn = draw_prompts(video, mix, rng)
        turns.extend(drawn[0])
        return drawn

    monkeypatch.setattr(alignment, "draw_prompts", kept)

    def answers(mix: TaskMix) -> list[int]:
        turns.clear()
        alignment_data(videos, None, collator(), mix=mix, batch_size=2, seed=3)
        assert all(turn.options[turn.answer] == "blue" for turn in turns)
        assert turns[-1].options == meta.options
        return [turn.answer for turn in turns[:-1]]

    assert answers(PLAIN) == [1] * 9
    placed = answers(replace(PLAIN, balanced=True))
    assert Counter(placed) == {0: 3, 1: 3, 2: 3}
    assert placed == answers(replace(PLAIN, balanced=True))
