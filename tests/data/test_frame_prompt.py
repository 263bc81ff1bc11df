"""Prompts with pictures: what the model reads, word for word, and which tokens are targets."""

from pathlib import Path

import numpy as np
import pytest

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from textreel.data.chat import ChatTemplateError
from textreel.data.frame_collate import FrameCollator
from textreel.data.frame_prompt import FrameMessage
from textreel.data.prompt import VIDEO, Piece, PromptError, PromptTooLongError, Turn
from textreel.models.batch import IGNORE
from textreel.models.image_mllm.loading import ImageLLM, load_image_llm

PICTURE = (
    "<fake_token_around_image><global-img><image><image><image><image><fake_token_around_image>"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ImageLLM:
    return load_image_llm(save_image_llm(tmp_path_factory.mktemp("llm") / "tiny"))


@pytest.fixture
def collator(made: ImageLLM) -> FrameCollator:
    return FrameCollator(made.tokenizer, made.model.family)


def shown(made: ImageLLM, count: int = 2):
    return made.reader.read([np.full((3, 30, 40), i, dtype=np.uint8) for i in range(count)])


def test_a_conversation_is_written_as_the_template_writes_it(made, collator) -> None:
    turns = [
        Turn(task="open", question="What?", answer_text="A dot."),
        Turn(task="choice", question="Which?", options=("red", "blue")),
    ]
    prompt = collator.write("one", turns=turns, pictures=shown(made))
    assert prompt.text() == (
        f"<|im_start|>User:{PICTURE}{PICTURE}What?<end_of_utterance>\n"
        "Assistant: A dot.<end_of_utterance>\n"
        "User: Which?\nAnswer with the letter of the right option.\nA. red\nB. blue"
        "<end_of_utterance>\nAssistant: "
    ).replace("A dot.<end_of_utterance>", "A dot.")  # the end belongs to the target: `stop`
    assert prompt.stop == "<end_of_utterance>"
    assert prompt.options == ("A", "B")


def test_targets_are_the_answers_with_their_ends(made, collator) -> None:
    turns = [
        Turn(task="open", question="What?", answer_text="A dot."),
        Turn(task="open", question="Why?", answer_text="é"),
    ]
    pictures = shown(made, 1)
    record = collator.encode(collator.write("one", turns=turns, pictures=pictures))
    said = made.tokenizer.decode(record.token_ids[record.is_target])
    assert said == " A dot.<end_of_utterance> é<end_of_utterance>".replace(" ", "", 1).replace(
        "> é", ">é"
    )
    batch = collator.collate([(record, pictures)])
    assert (batch.labels != IGNORE).tolist() == [record.is_target.tolist()]
    assert (batch.input_ids == made.model.family.image_token_id).sum() == 4


def test_pictures_stand_where_the_record_puts_them(made, collator) -> None:
    text, say = Piece(kind="text", text="then "), Piece(kind="target", text="yes")
    messages = [
        FrameMessage(role="system", pieces=(Piece(kind="text", text="Be brief."),)),
        FrameMessage(role="user", pieces=(VIDEO, text, VIDEO)),
        FrameMessage(role="assistant", pieces=(say,)),
    ]
    pictures = shown(made, 3)
    prompt = collator.write_messages("one", messages=messages, groups=(1, 2), pictures=pictures)
    assert f"User:{PICTURE}then {PICTURE}{PICTURE}<end_of_utterance>" in prompt.text()


def test_options_share_everything_before_them(made, collator) -> None:
    turn = Turn(task="choice", question="Which?", options=("red", "blue"))
    choice = collator.encode_choice(collator.write("one", turns=[turn], pictures=shown(made)))
    ends = [made.tokenizer.decode(list(option)) for option in choice.options]
    assert ends == ["A<end_of_utterance>", "B<end_of_utterance>"]
    assert choice.prompt.token_ids[-1] == made.tokenizer.convert_tokens_to_ids("Ġ")
    open_one = collator.write("two", turns=[Turn(task="open", question="?")], pictures=None)
    with pytest.raises(PromptError, match="two has no options to score"):
        collator.encode_choice(open_one)


def test_stops_are_the_templates_mark_or_the_end_of_text(made, collator) -> None:
    prompt = collator.write("one", turns=[Turn(task="open", question="?")], pictures=None)
    mark = made.tokenizer.convert_tokens_to_ids("<end_of_utterance>")
    assert collator.stop_ids(prompt) == (mark,)


def test_a_longer_prompt_than_the_model_reads_is_refused(made) -> None:
    collator = FrameCollator(made.tokenizer, made.model.family, max_tokens=20)
    turn = Turn(task="open", question="What is it then?", answer_text="x")
    prompt = collator.write("one", turns=[turn], pictures=shown(made))
    with pytest.raises(PromptTooLongError, match=r"one: \d+ tokens, 8 of them for pictures, but"):
        collator.encode(prompt)


def test_texts_that_pass_for_pictures_are_refused(made, collator) -> None:
    turn = Turn(task="open", question="what is <image> ?")
    with pytest.raises(PromptError, match="a text holds '<image>', which stands for a picture"):
        collator.write("one", turns=[turn], pictures=shown(made))


def test_pictures_of_another_prompt_are_refused(made, collator) -> None:
    turn = Turn(task="open", question="?")
    record = collator.encode(collator.write("one", turns=[turn], pictures=shown(made, 1)))
    with pytest.raises(PromptError, match="one: 4 image tokens for pictures of 8"):
        collator.collate([(record, shown(made, 2))])
    with pytest.raises(PromptError, match="a batch needs at least one sample"):
        collator.collate([])


def test_conversations_that_make_no_sense_are_refused(made, collator) -> None:
    with pytest.raises(PromptError, match="a prompt needs at least one question"):
        collator.write("one", turns=[], pictures=None)
    asked = FrameMessage(role="user", pieces=(Piece(kind="text", text="what?"),))
    with pytest.raises(PromptError, match="ends with what the assistant shall say"):
        collator.write_messages("one", messages=[asked], groups=(), pictures=None)
    said = FrameMessage(role="assistant", pieces=(VIDEO, Piece(kind="target", text="x")))
    with pytest.raises(PromptError, match="1 places for pictures, 2 groups of 2 pictures"):
        collator.write_messages("one", messages=[said], groups=(1, 1), pictures=shown(made, 2))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{{ '<image>' }}", "", "writes 0 pictures where 2 were given"),
        ("p['text']", "p['text'] | upper", "does not write message 0 exactly once"),
        (
            "<end_of_utterance>",
            "{{ '<end_of_utterance>' if loop.last else '</s>' }}",
            "ends the last answer with '<end_of_utterance>', but an earlier one with '</s>",
        ),
    ],
)
def test_templates_that_go_their_own_way_are_refused(
    old: str, new: str, message: str, made, monkeypatch
) -> None:
    text = made.tokenizer.chat_template.replace("<image>", "{{ '<image>' }}")
    assert old in text
    monkeypatch.setattr(made.tokenizer, "chat_template", text.replace(old, new))
    collator = FrameCollator(made.tokenizer, made.model.family)
    turns = [Turn(task="open", question="a", answer_text="b"), Turn(task="open", question="c")]
    with pytest.raises(ChatTemplateError, match=message):
        collator.write("one", turns=turns, pictures=shown(made))


def test_a_begin_of_text_is_added_where_the_tokenizer_would(made, tmp_path: Path) -> None:
    from tokenizers import processors

    core = made.tokenizer.backend_tokenizer
    before = core.post_processor
    begin = made.tokenizer.bos_token_id
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", begin)]
    )
    try:
        collator = FrameCollator(made.tokenizer, made.model.family)
        prompt = collator.write("one", turns=[Turn(task="open", question="?")], pictures=None)
        assert prompt.bos
        assert collator.encode(prompt).token_ids[0] == begin
    finally:
        core.post_processor = before
