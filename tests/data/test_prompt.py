"""Prompts: the words, their spans, what may be dropped, and what is refused."""

import pytest

from tests.data.tokenizers_by_hand import TEMPLATE
from textreel.data.prompt import (
    VIDEO,
    Piece,
    Prompt,
    PromptError,
    Turn,
    write_prompt,
)
from textreel.data.templates import TEMPLATES, TOPA, TOPA_DIALOGUE, TOPA_LLAMA3, TOPA_STAR

COLOUR = Turn(task="choice", question="what ?", options=("red", "blue"), answer=1)


def test_a_choice_is_written_with_its_span() -> None:
    prompt = write_prompt("v", turns=[COLOUR], template=TEMPLATE)
    assert prompt.text() == (
        "video : <video>question : what ? choices : a ) red b ) blue answer : blue"
    )
    lead, rest = prompt.segments()
    assert (lead.text, lead.targets, lead.video_before) == ("video : ", (), False)
    assert rest.video_before
    assert [rest.text[start:end] for start, end in rest.targets] == ["blue"]
    assert (prompt.options, prompt.answer) == (("red", "blue"), 1)


def test_a_target_that_also_stands_in_the_question_is_found_at_its_own_place() -> None:
    turn = Turn(task="open", question="answer : red ?", answer_text="red")
    (segment,) = write_prompt("v", turns=[turn], template=TEMPLATE, video=False).segments()
    assert segment.text == "question : answer : red ? answer : red"
    assert segment.targets == ((35, 38),)


def test_several_questions_share_one_video() -> None:
    turns = [
        COLOUR,
        Turn(task="summary", answer_text="one two"),
        Turn(task="open", question="where ?"),
    ]
    prompt = write_prompt("v", turns=turns, template=TEMPLATE, context=["one", "two"])
    assert prompt.text() == (
        "video : <video>one . two . question : what ? choices : a ) red b ) blue answer : blue"
        " story : one two question : where ? answer : "
    )
    segment = prompt.segments()[1]
    assert [segment.text[a:b] for a, b in segment.targets] == ["blue", "one two", ""]
    assert prompt.options == ()


def test_without_video_its_lead_is_left_out() -> None:
    prompt = write_prompt("v", turns=[COLOUR], template=TEMPLATE, video=False)
    assert not prompt.has_video
    assert prompt.text().startswith("question :")


def test_context_is_dropped_from_its_end() -> None:
    prompt = write_prompt("v", turns=[COLOUR], template=TEMPLATE, context=["one", "two", "red"])
    assert prompt.without_context(0) == prompt
    assert "one . question" in prompt.without_context(2).text()
    assert VIDEO in prompt.without_context(3).pieces


def test_another_answer_changes_nothing_else() -> None:
    prompt = write_prompt("v", turns=[COLOUR], template=TEMPLATE)
    other = prompt.with_answer("red")
    assert other.text() == prompt.text().removesuffix("blue") + "red"


CHOICE = Turn(task="choice", question="What is it?", options=("A cat", "A dog"), answer=0)
HEAD = "Instruction: Choose the correct answer based on the video and question.\nVideo:"
DIALOGUE = (
    "Instruction: Predict the answer based on the dialogue, video and question.\nVideo:<V>\n"
    "Dialogue: Hi.\n"
)
OPTIONS = "Question: What is it?\nChoices: \n(A) A cat\n(B) A dog\n"


@pytest.mark.parametrize(
    ("template", "turn", "context", "text", "target"),
    [
        (
            TOPA,
            CHOICE,
            [],
            f"{HEAD}<V>\n{OPTIONS}Answer: The correct choice is (A)",
            "choice is (A)",
        ),
        (TOPA_STAR, CHOICE, [], f"{HEAD}<V>\n{OPTIONS}Answer: The answer is (A)", "is (A)"),
        (
            TOPA_DIALOGUE,
            CHOICE,
            ["Hi."],
            f"{DIALOGUE}{OPTIONS}Answer: The answer is (A)",
            " (A)",
        ),
        (
            TOPA,
            Turn(task="open", question="What is it?", answer_text="A cat."),
            [],
            "Instruction: Predict the answer based on the video and question.\nVideo:<V>\n"
            "Question: What is it?\nAnswer: A cat.\n",
            " A cat.\n",
        ),
        (
            TOPA,
            Turn(task="summary", answer_text="A cat sits."),
            [],
            "Instruction: Generate a summary for the video.\nVideo:<V>\n\n"
            "Description: A cat sits.\n",
            ": A cat sits.\n",
        ),
        (
            TOPA_LLAMA3,
            Turn(task="summary", answer_text="A cat sits."),
            [],
            "Instruction: Generate a dense description for the video.\nVideo:<V>\n\n"
            "Description: A cat sits.\n",
            ": A cat sits.\n",
        ),
    ],
)
def test_the_published_prompts(template, turn, context, text, target) -> None:
    prompt = write_prompt("v", turns=[turn], template=template, context=context)
    assert prompt.text(video="<V>") == text
    segment = prompt.segments()[1]
    ((start, end),) = segment.targets
    assert segment.text[start:end] == target


def test_templates_go_by_their_names() -> None:
    published = {"topa", "topa-llama3", "topa-star", "topa-dialogue"}
    assert published | {"topa-open", "topa-open-nextqa", "tiny"} == TEMPLATES.keys()
    assert all(template.name == name for name, template in TEMPLATES.items())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"options": ("red",)}, "a choice needs 2 to 26 options, got 1"),
        ({"options": ()}, r"got 0 \(question: 'what \?'\)"),
        ({"options": ("red", "blue", "red")}, "option 'red' is given more than once"),
        ({"options": ("red", "blue"), "answer": 2}, "answer 2 is not one of 2 options"),
        ({"task": "open", "options": ("a", "b")}, "question of task 'open' takes no options"),
    ],
)
def test_bad_questions_are_refused(fields, message) -> None:
    with pytest.raises(PromptError, match=message):
        Turn(**{"task": "choice", "question": "what ?", **fields})


def test_a_long_question_is_shortened_in_messages() -> None:
    with pytest.raises(PromptError, match=r"question: '(xx){30}\.\.\.'\)"):
        Turn(task="choice", question="x" * 10_000, options=("one",))


def test_bad_prompts_are_refused() -> None:
    with pytest.raises(PromptError, match="v: a prompt needs at least one question"):
        write_prompt("v", turns=[], template=TEMPLATE)
    with pytest.raises(PromptError, match="only the last answer of a prompt may be unknown"):
        unknown = Turn(task="open", question="where ?")
        write_prompt("v", turns=[unknown, COLOUR], template=TEMPLATE)
    with pytest.raises(PromptError, match="a prompt ends with a target"):
        Prompt(id="v", pieces=(VIDEO,))
    with pytest.raises(PromptError, match="a prompt takes one video"):
        Prompt(id="v", pieces=(VIDEO, VIDEO, Piece(kind="target")))


def test_the_words_before_an_unknown_free_answer_are_given() -> None:
    summary = write_prompt("v", turns=[Turn(task="summary")], template=TOPA)
    assert summary.text().endswith("\n\nDescription:")
    question = Turn(task="open", question="What is it?")
    assert write_prompt("v", turns=[question], template=TOPA).text().endswith("\nAnswer:")
