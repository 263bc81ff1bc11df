"""Token spans: exact ids by hand, tokens that merge across a span, and options in their place."""

from dataclasses import replace

from tests.data.tokenizers_by_hand import TEMPLATE, byte_tokenizer, ids, word_tokenizer
from textreel.data.encoding import encode_prompts, split_choice
from textreel.data.prompt import Piece, Prompt, Turn, write_prompt

COLOUR = Turn(task="choice", question="what ?", options=("red", "blue"), answer=1)
WHERE = Turn(task="open", question="where ?", answer_text="left ball")


def encode(*turns: Turn, tokenizer=None, template=TEMPLATE, **more):
    prompt = write_prompt("v", turns=turns, template=template, **more)
    return encode_prompts([prompt], tokenizer=tokenizer or word_tokenizer())[0]


def test_ids_and_targets_by_hand() -> None:
    record = encode(COLOUR, WHERE)
    words = "<bos> video : question : what ? choices : a ) red b ) blue answer : blue <eos>"
    words += " question : where ? answer : left ball <eos>"
    assert record.token_ids.tolist() == ids(words)
    assert record.video_at == 3
    assert record.is_target.nonzero()[0].tolist() == [17, 18, 25, 26, 27]
    assert repr(record) == "EncodedPrompt('v', 28 ids, 5 targets, video_at=3)"


def test_an_unknown_answer_leaves_the_prompt_of_training() -> None:
    record = encode(COLOUR, replace(WHERE, answer_text=""))
    known = encode(COLOUR, WHERE)
    assert record.token_ids.tolist() == known.token_ids.tolist()[:-3]
    assert record.is_target.sum() == 2  # the first answer


def test_a_space_before_an_answer_is_part_of_its_token() -> None:
    tokenizer = byte_tokenizer("Ġred", "Ġblue")
    turn = replace(COLOUR, answer=None)
    asked = encode(turn, tokenizer=tokenizer)
    answered = encode(COLOUR, tokenizer=tokenizer)
    assert tokenizer.decode(asked.token_ids) == (
        "video : question : what ? choices : a ) red b ) blue answer :"
    )
    added = answered.token_ids[len(asked.token_ids) :]
    assert tokenizer.convert_ids_to_tokens(added) == ["Ġblue", "<eos>"]
    assert answered.is_target.tolist() == [False] * len(asked.token_ids) + [True, True]


def test_a_token_across_a_span_is_a_target() -> None:
    tokenizer = byte_tokenizer("(A")
    pieces = (Piece(kind="text", text="x("), Piece(kind="target", text="A)"))
    record = encode_prompts([Prompt(id="v", pieces=pieces)], tokenizer=tokenizer)[0]
    assert tokenizer.convert_ids_to_tokens(record.token_ids) == ["x", "(A", ")", "<eos>"]
    assert record.is_target.tolist() == [False, True, True, True]


def test_letters_of_several_bytes_are_whole_targets() -> None:
    tokenizer = byte_tokenizer()
    pieces = (Piece(kind="text", text="é"), Piece(kind="target", text="ü"))
    record = encode_prompts([Prompt(id="v", pieces=pieces)], tokenizer=tokenizer)[0]
    assert record.is_target.tolist() == [False, False, True, True, True]


def test_a_stop_of_words_replaces_end_of_text() -> None:
    record = encode(COLOUR, WHERE, template=replace(TEMPLATE, stop=" .", bos=False))
    words = "video : question : what ? choices : a ) red b ) blue answer : blue ."
    words += " question : where ? answer : left ball ."
    assert record.token_ids.tolist() == ids(words)
    assert record.is_target.nonzero()[0].tolist() == [16, 17, 24, 25, 26]


def test_many_prompts_at_once_are_each_alone() -> None:
    prompts = [
        write_prompt(str(i), turns=[turn], template=TEMPLATE, video=i % 2 == 0)
        for i, turn in enumerate([COLOUR, WHERE, WHERE, COLOUR])
    ]
    together = encode_prompts(prompts, tokenizer=word_tokenizer())
    for prompt, record in zip(prompts, together, strict=True):
        (alone,) = encode_prompts([prompt], tokenizer=word_tokenizer())
        assert record.id == prompt.id
        assert record.token_ids.tolist() == alone.token_ids.tolist()
        assert record.is_target.tolist() == alone.is_target.tolist()
        assert record.video_at == alone.video_at


def test_options_share_what_is_before_them() -> None:
    tokenizer = byte_tokenizer("Ġred")
    prompt = write_prompt("v", turns=[COLOUR], template=TEMPLATE)
    filled = [prompt.with_answer(option) for option in prompt.options]
    choice = split_choice(encode_prompts(filled, tokenizer=tokenizer), dropped=1)
    assert choice.prompt.dropped == 1 and choice.prompt.answer == 1
    assert not choice.prompt.is_target.any()
    assert tokenizer.decode(choice.prompt.token_ids).endswith("answer :")
    assert [tokenizer.decode(o) for o in choice.options] == [" red<eos>", " blue<eos>"]
    assert [len(o) for o in choice.options] == [2, 6]


def test_options_that_merge_differently_share_less() -> None:
    tokenizer = byte_tokenizer("(A")
    pieces = (Piece(kind="text", text="x("), Piece(kind="target"))
    prompt = Prompt(id="v", pieces=pieces, options=("A", "B"))
    filled = [prompt.with_answer(option) for option in prompt.options]
    choice = split_choice(encode_prompts(filled, tokenizer=tokenizer), dropped=0)
    assert tokenizer.convert_ids_to_tokens(choice.prompt.token_ids) == ["x"]
    options = [tokenizer.convert_ids_to_tokens(list(o)) for o in choice.options]
    assert options == [["(A", "<eos>"], ["(", "B", "<eos>"]]
