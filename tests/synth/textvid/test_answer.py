import json
from random import Random

import pytest

from tests.synth.textvid.fakes import ORIGIN
from textreel.data.textual_video import TextualVideo
from textreel.synth.textvid.answer import ANSWER_SCHEMA, AnswerFault, answer_text, read_answer
from textreel.synth.textvid.topics import make_topic
from textreel.synth.world.scene import draw_scenes
from textreel.synth.world.textual import textual_video

TOPIC = make_topic("a man saws wood", kind="line", source="t.txt")


def answer(**changes) -> dict:
    question = {
        "kind": "cause",
        "question": "Why does he sweat?",
        "options": ["heat", "rain", "fear", "cold"],
        "answer": "A",
        "open_answer": "Because of the heat.",
    }
    whole = {
        "topic": "a man saws wood",
        "frames": [{"caption": "A man saws.", "objects": [{"name": "saw", "description": "new"}]}],
        "caption": "A man saws wood.",
        "questions": [question],
    }
    question |= {k: changes.pop(k) for k in list(changes) if k in question}
    return whole | changes


def read(content: object) -> TextualVideo | AnswerFault:
    text = content if isinstance(content, str) else json.dumps(content)
    return read_answer(text, topic=TOPIC, origin=ORIGIN)


PLAIN = read(answer())


def test_an_answer_becomes_a_textual_video_with_its_origin() -> None:
    assert isinstance(PLAIN, TextualVideo)
    assert (PLAIN.id, PLAIN.source, PLAIN.topic) == (TOPIC.key, "t.txt", "a man saws wood")
    assert (PLAIN.writer, PLAIN.prompt) == ("fake", ORIGIN.prompt)
    assert PLAIN.frames[0].objects == (("saw", "new"),)
    asked = PLAIN.questions[0]
    assert (asked.answer, asked.kind, asked.open_answer) == (0, "cause", "Because of the heat.")


@pytest.mark.parametrize(
    "content",
    [
        "Sure! Here it is:\n```json\n" + json.dumps(answer(), indent=1) + "\n```\nEnjoy.",
        "<think>a {b} c</think>" + json.dumps(answer()),
        json.dumps(answer()).replace("]}", "],}"),
        repr(answer()),
        answer(frames=[{"caption": "A man saws.", "objects": {"saw": "new"}}]),
        answer(options={"A": "heat", "B": "rain", "C": "fear", "D": "cold"}),
        answer(options=["A. heat", "B. rain", "C. fear", "D. cold"]),
        answer(answer="heat"),
        answer(answer="(A)"),
        answer(answer="a) heat"),
        answer(answer="option A"),
        answer(kind="Cause (why something happens)"),
        answer(extra="is ignored"),
        answer(topic="  A man saws wood. "),
    ],
)
def test_what_is_meant_is_understood(content: object) -> None:
    assert read(content) == PLAIN


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        ("I cannot do that.", "no-json", "there is no JSON object"),
        (json.dumps(answer())[:100], "json", "cannot be read"),
        (answer(frames="none"), "schema", "frames: Input should be a valid list"),
        ({"topic": "a man saws wood"}, "schema", "frames: Field required; caption"),
        (answer(frames=[]), "schema", "frames: is empty"),
        (answer(answer="E"), "answer", "'E' is none of its 4 options"),
        (answer(answer=2), "answer", "'2' is none of its 4 options"),
        (answer(answer="both"), "answer", "'both' is none of its 4 options"),
        (answer(topic="a cat sleeps"), "other-topic", "it is about 'a cat sleeps', not about"),
    ],
)
def test_what_is_not_plain_is_a_fault_with_words_for_the_model(content, code, text) -> None:
    fault = read(content)
    assert isinstance(fault, AnswerFault)
    assert fault.code == code and text in fault.message


def test_an_answer_of_no_use_is_asked_for_anew() -> None:
    assert read("no").fresh and read(answer(topic="a cat sleeps")).fresh
    assert not read(answer(answer="E")).fresh


def test_a_topic_in_another_script_is_recognised() -> None:
    topic = make_topic("修理 自行车", kind="line", source="")
    content = json.dumps(answer(topic="修理 自行车"))
    assert isinstance(read_answer(content, topic=topic, origin=ORIGIN), TextualVideo)
    sign = make_topic("!!", kind="line", source="")
    assert isinstance(
        read_answer(json.dumps(answer(topic="!!")), topic=sign, origin=ORIGIN), TextualVideo
    )


def test_a_scene_of_the_world_survives_being_an_answer() -> None:
    scene = next(draw_scenes(3))
    video = textual_video(scene, Random(0))
    back = read_answer(answer_text(video, topic=TOPIC), topic=TOPIC, origin=ORIGIN)
    assert isinstance(back, TextualVideo)
    assert (back.frames, back.caption, back.times_s) == (video.frames, video.caption, video.times_s)
    assert back.questions == video.questions


def test_the_schema_asks_for_every_field_and_no_other() -> None:
    assert ANSWER_SCHEMA["additionalProperties"] is False
    assert ANSWER_SCHEMA["required"] == ["topic", "frames", "caption", "questions"]
    assert set(ANSWER_SCHEMA["$defs"]) == {"_Frame", "_Object", "_Question"}


def test_letters_of_other_alphabets_are_no_answers() -> None:
    for sign in (
        "\N{KELVIN SIGN}",
        "\N{LATIN SMALL LETTER LONG S}",
        "\N{LATIN SMALL LETTER DOTLESS I}",
    ):
        fault = read(answer(answer=sign))
        assert isinstance(fault, AnswerFault) and "is none of its 4 options" in fault.message
    assert read(answer(answer="Option b")).questions[0].answer == 1
    assert read(answer(answer="OPTION (C)")).questions[0].answer == 2


def test_a_time_that_is_no_number_is_a_fault() -> None:
    frame = {"caption": "A man saws.", "time_s": float("inf")}
    fault = read(answer(frames=[frame]))
    assert isinstance(fault, AnswerFault) and fault.message == "times_s: not finite"


def test_a_topic_without_spaces_is_recognised_though_a_letter_differs() -> None:
    topic = make_topic("一个男人在厨房里锯木板", kind="line", source="t.txt")
    said = answer(topic="一个男人在厨房锯木板。")
    assert isinstance(read_answer(json.dumps(said), topic=topic, origin=ORIGIN), TextualVideo)
    other = answer(topic="两只猫坐着")
    fault = read_answer(json.dumps(other), topic=topic, origin=ORIGIN)
    assert isinstance(fault, AnswerFault) and fault.code == "other-topic"
