"""The collator: whole tensors by hand, slots, lengths, choices, and what does not fit together."""

from dataclasses import replace

import pytest
import torch

from tests.data.tokenizers_by_hand import (
    CHATML,
    ID,
    TEMPLATE,
    byte_tokenizer,
    ids,
    word_tokenizer,
)
from textreel.data.collate import Collator
from textreel.data.prompt import PromptError, PromptTooLongError, Turn
from textreel.models.batch import Features

COLOUR = Turn(task="choice", question="what ?", options=("red", "big blue"), answer=1)
WHERE = Turn(task="open", question="where ?", answer_text="left")


def collator(**more) -> Collator:
    return Collator(word_tokenizer(), TEMPLATE, lambda frames: 2 * frames, **more)


def features(frames: int, *, encoder: str = "tiny", revision: str = "1") -> Features:
    values = torch.arange(1, frames + 1).view(-1, 1, 1).expand(-1, 1, 3)
    times_s = torch.arange(frames, dtype=torch.float64) / 2
    return Features(
        values=values.half(), times_s=times_s, modality="text", encoder=encoder, revision=revision
    )


def test_a_batch_by_hand() -> None:
    collate = collator()
    first = collate.encode(collate.write("v1", turns=[WHERE]))
    second = collate.encode(collate.write("v2", turns=[Turn(task="summary", answer_text="red")]))
    batch = collate.collate([(first, features(1)), (second, features(2))])
    left, red, end, no = ID["left"], ID["red"], ID["<eos>"], -100
    slot = ID["<pad>"]
    tail = [slot, *ids("story : red <eos>")]
    assert batch.input_ids.tolist() == [
        [*ids("<bos> video :"), slot, slot, *ids("question : where ? answer : left <eos>")],
        [*ids("<bos> video :"), slot, slot, slot, *tail, slot, slot],
    ]
    assert batch.labels.tolist() == [
        [no] * 11 + [left, end],
        [no] * 9 + [red, end, no, no],
    ]
    assert batch.video_slots.int().tolist() == [
        [0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
    ]
    assert batch.attention_mask.sum(1).tolist() == [13, 11]
    assert batch.ids == ("v1", "v2")
    assert batch.features[:, :, 0, 0].tolist() == [[1, 0], [1, 2]]
    assert batch.features.dtype == torch.float32
    assert batch.feature_mask.tolist() == [[True, False], [True, True]]
    assert batch.times_s.tolist() == [[0, 0], [0, 0.5]]


@pytest.mark.parametrize(
    ("multiple", "length"), [(1, 9), (4, 10), (9, 9), (5, 10), (3, 9), (16, 10)]
)
def test_rows_are_padded_to_a_multiple_but_never_beyond_the_longest_row_allowed(
    multiple: int, length: int
) -> None:
    collate = collator(multiple=multiple, max_tokens=10)
    record = collate.encode(collate.write("v", turns=[WHERE], video=False))
    batch = collate.collate([(record, None)])
    assert batch.input_ids.shape == batch.labels.shape == (1, length)
    assert batch.attention_mask.sum() == 9
    assert not batch.attention_mask[0, 9:].any()
    assert (batch.labels[0, 9:] == -100).all()


def test_a_template_may_put_text_after_every_frame() -> None:
    template = replace(TEMPLATE, frame_tail="left :")
    collate = Collator(word_tokenizer(), template, lambda frames: 2 * frames, max_tokens=19)
    record = collate.encode(collate.write("v", turns=[WHERE]), num_frames=2)
    batch = collate.collate([(record, features(2))])
    frame = [ID["<pad>"], ID["<pad>"], *ids("left :")]
    rest = ids("question : where ? answer : left <eos>")
    assert batch.input_ids.tolist() == [[*ids("<bos> video :"), *frame, *frame, *rest]]
    assert batch.video_slots.int().tolist() == [[0] * 3 + [1, 1, 0, 0] * 2 + [0] * len(rest)]
    assert batch.labels[0, :-2].tolist() == [-100] * 17
    with pytest.raises(PromptTooLongError, match=r"v: 23 tokens \(12 of them for the video\)"):
        collate.encode(collate.write("v", turns=[WHERE]), num_frames=3)
    with pytest.raises(PromptTooLongError, match=r"v: 23 tokens \(12 of them for the video\)"):
        collate.collate([(record, features(3))])


def test_a_batch_without_video_has_no_features() -> None:
    collate = collator()
    record = collate.encode(collate.write("v", turns=[WHERE], video=False))
    batch = collate.collate([(record, None)])
    assert batch.input_ids.tolist() == [ids("<bos> question : where ? answer : left <eos>")]
    assert not batch.video_slots.any()
    assert batch.features is batch.feature_mask is batch.times_s is None


def test_rows_with_and_without_video_go_together() -> None:
    collate = collator()
    blind = collate.encode(collate.write("v1", turns=[WHERE], video=False))
    seeing = collate.encode(collate.write("v2", turns=[WHERE]))
    batch = collate.collate([(blind, None), (seeing, features(2))])
    assert batch.video_slots.sum(1).tolist() == [0, 4]
    assert batch.feature_mask.tolist() == [[False, False], [True, True]]


def test_a_choice_is_encoded_as_in_training() -> None:
    collate = collator()
    prompt = collate.write("v", turns=[COLOUR])
    choice = collate.encode_choice(prompt)
    known = collate.encode(prompt)
    assert choice.options == (tuple(ids("red <eos>")), tuple(ids("big blue <eos>")))
    assert choice.prompt.token_ids.tolist() == known.token_ids.tolist()[:-3]
    assert choice.prompt.answer == 1


def test_stop_ids() -> None:
    collate = collator()
    assert collate.stop_id(collate.write("v", turns=[WHERE])) == ID["<eos>"]
    chat = byte_tokenizer(chat_template=CHATML)
    wrapped = Collator(chat, replace(TEMPLATE, chat=True), lambda frames: frames)
    prompt = wrapped.write("v", turns=[COLOUR])
    assert prompt.text().startswith("<|user|>video : <video>")
    assert wrapped.stop_id(prompt) == chat.convert_tokens_to_ids("<end>")


def test_too_long_is_an_error_with_its_numbers() -> None:
    collate = collator(max_tokens=12)
    prompt = collate.write("v1", turns=[WHERE])
    assert len(collate.encode(prompt).token_ids) == 11
    with pytest.raises(PromptTooLongError, match=r"v1: 13 tokens \(2 of them for the video\), but"):
        collate.encode(prompt, num_frames=1)
    with pytest.raises(PromptTooLongError, match="a row takes 12"):
        collate.collate([(collate.encode(prompt), features(1))])


def test_context_is_dropped_only_where_allowed_and_counted() -> None:
    strict, loose = collator(max_tokens=17), collator(max_tokens=17, drop_context=True)
    prompt = strict.write("v", turns=[WHERE], context=["one", "two", "red"])
    with pytest.raises(PromptTooLongError, match="v: 19 tokens"):
        strict.encode(prompt, num_frames=1)
    record = loose.encode(prompt, num_frames=1)
    assert record.dropped == 1
    words = "<bos> video : one . two . question : where ? answer : left <eos>"
    assert record.token_ids.tolist() == ids(words)
    with pytest.raises(PromptTooLongError, match="v: 27 tokens"):
        loose.encode(prompt, num_frames=8)


def test_all_options_share_the_context_that_the_longest_leaves() -> None:
    collate = collator(max_tokens=24, drop_context=True)
    turn = replace(COLOUR, options=("red", "big big blue"))
    prompt = collate.write("v", turns=[turn], context=["one", "two"], video=False)
    lengths = [len(collate.encode(prompt.with_answer(o)).token_ids) for o in prompt.options]
    assert lengths == [23, 23]  # the second one without "two ."
    choice = collate.encode_choice(prompt)
    assert choice.prompt.dropped == 1
    assert choice.options[1] == tuple(ids("big big blue <eos>"))


def test_what_does_not_fit_together_is_named() -> None:
    collate = collator()
    record = collate.encode(collate.write("v1", turns=[WHERE]))
    blind = collate.encode(collate.write("v2", turns=[WHERE], video=False))
    with pytest.raises(PromptError, match="v1: a prompt has no features for its video"):
        collate.collate([(record, None)])
    with pytest.raises(PromptError, match="v2: a prompt has features but no place for its video"):
        collate.collate([(blind, features(1))])
    with pytest.raises(PromptError, match="a batch needs at least one sample"):
        collate.collate([])
    with pytest.raises(PromptError, match=r"1 of 1 prompts have no options to score \(first: v1\)"):
        collate.encode_choice(collate.write("v1", turns=[WHERE]))


def test_features_of_another_encoder_are_refused() -> None:
    collate = collator()
    record = collate.encode(collate.write("v1", turns=[WHERE]))
    pair = [(record, features(1)), (record, features(1, encoder="clip", revision="2"))]
    with pytest.raises(PromptError, match="features are of encoder 'clip 2', but v1 uses 'tiny 1'"):
        collate.collate(pair)
    bound = collator(encoder=("tiny", "2"))
    with pytest.raises(PromptError, match="of encoder 'tiny 1', but the model uses 'tiny 2'"):
        bound.collate(pair[:1])


def test_tokenizers_that_cannot_do_it_are_refused() -> None:
    class Slow:
        is_fast = False
        name_or_path = "slow/one"

    with pytest.raises(PromptError, match="slow/one is a slow tokenizer"):
        Collator(Slow(), TEMPLATE, lambda frames: frames)
    endless = word_tokenizer(eos_token=None)
    with pytest.raises(PromptError, match="has no end-of-text token to end an answer"):
        Collator(endless, TEMPLATE, lambda frames: frames)
    assert Collator(endless, replace(TEMPLATE, stop=" ."), lambda frames: frames)
