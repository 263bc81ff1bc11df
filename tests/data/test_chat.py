"""Chat templates: spans from sentinels, ends of answers, and templates that meddle."""

from dataclasses import replace

import pytest

from tests.data.tokenizers_by_hand import CHATML, TEMPLATE, byte_tokenizer
from textreel.data.chat import ChatTemplateError, write_chat_prompt
from textreel.data.encoding import encode_prompts
from textreel.data.prompt import PromptError, Turn

CHAT = replace(TEMPLATE, chat=True, choice_lead="It is ", choice_target="({letter})")
TURN = Turn(task="choice", question="what ?", options=("red", "blue"), answer=1)


def write(*turns: Turn, chat_template: str | None = CHATML, **more):
    tokenizer = byte_tokenizer(chat_template=chat_template)
    tokenizer.name_or_path = "some/model"
    prompt = write_chat_prompt("v", turns=turns, template=CHAT, tokenizer=tokenizer, **more)
    return prompt, tokenizer


def test_a_conversation_with_its_spans() -> None:
    last = Turn(task="open", question="where ?", answer_text="left")
    prompt, tokenizer = write(TURN, last, context=["one"])
    assert prompt.text() == (
        "<|user|>video : <video>one . question : what ? choices : a ) red b ) blue<end>\n"
        "<|assistant|>It is (B)\n<|user|>question : where ?<end>\n<|assistant|>answer : left"
    )
    assert (prompt.stop, prompt.bos) == ("<end>", False)
    (record,) = encode_prompts([prompt], tokenizer=tokenizer)
    targets = record.token_ids[record.is_target]
    assert tokenizer.decode(targets) == "(B)<end>left<end>"
    assert tokenizer.decode(record.token_ids) == tokenizer.apply_chat_template(
        [
            {
                "role": "user",
                "content": "video : one . question : what ? choices : a ) red b ) blue",
            },
            {"role": "assistant", "content": "It is (B)"},
            {"role": "user", "content": "question : where ?"},
            {"role": "assistant", "content": "answer : left"},
        ],
        tokenize=False,
    ).removesuffix("\n")


def test_an_unknown_answer_ends_where_the_answer_begins() -> None:
    prompt, _ = write(replace(TURN, answer=None))
    assert prompt.text().endswith("<|assistant|>It is ")
    assert prompt.options == ("(A)", "(B)")
    assert prompt.with_answer("(A)").text().endswith("It is (A)")


def test_a_template_without_an_end_leaves_it_to_end_of_text() -> None:
    prompt, tokenizer = write(
        TURN, chat_template="{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}"
    )
    assert prompt.stop is None
    (record,) = encode_prompts([prompt], tokenizer=tokenizer)
    assert tokenizer.decode(record.token_ids[record.is_target]) == "(B)<eos>"


@pytest.mark.parametrize(
    ("chat_template", "message"),
    [
        (None, "some/model: the tokenizer has no chat template"),
        (
            "{% for m in messages %}{{ m.content | upper }}<end>{% endfor %}",
            "does not write message 0 exactly once and in order",
        ),
        (
            "{% for m in messages %}{{ m.content }}{{ m.content }}<end>{% endfor %}",
            "does not write message 0 exactly once",
        ),
        (
            "{% for m in messages | reverse %}{{ m.content }}<end>{% endfor %}",
            "does not write message",
        ),
        (
            "{% for m in messages %}{{ m.content | replace('red', 'rot') }}<end>{% endfor %}",
            "the chat template changes the texts it is given",
        ),
    ],
)
def test_templates_that_meddle_are_refused_by_name(chat_template, message) -> None:
    with pytest.raises(ChatTemplateError, match=message):
        write(TURN, chat_template=chat_template)


def test_answers_that_end_differently_are_refused() -> None:
    uneven = (
        "{% for m in messages %}{{ m.content }}{% if loop.last %}<end>{% else %};{% endif %}"
        "{% endfor %}"
    )
    with pytest.raises(
        ChatTemplateError, match="ends the last answer with '<end>', but an earlier"
    ):
        write(TURN, TURN, chat_template=uneven)


def test_what_other_prompts_refuse_is_refused_here_too() -> None:
    with pytest.raises(PromptError, match="a prompt needs at least one question"):
        write()
    with pytest.raises(PromptError, match="only the last answer of a prompt may be unknown"):
        write(replace(TURN, answer=None), TURN)
