"""Records: the chat shape, there and back, and every fault with its place."""

import pytest

from textreel.data.record import Message, Part, Record, RecordError

VALUES = {
    "id": "a1",
    "source": "someset",
    "licence": "CC-BY-4.0",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "video", "path": "a.mp4", "start_s": 2.0, "end_s": 4.5},
                {"type": "image", "path": "b.png"},
                {"type": "audio", "path": "c.wav"},
                {"type": "textual_video", "id": "t7"},
                {"type": "text", "text": "What happens?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "It moves."}]},
    ],
}


def test_there_and_back() -> None:
    record = Record.from_json(VALUES)
    assert record.to_json() == VALUES
    assert Record.from_json(record.to_json()) == record
    assert record.messages[0].parts[0] == Part(kind="video", value="a.mp4", start_s=2.0, end_s=4.5)


def test_a_plain_string_is_one_text() -> None:
    record = Record.from_json({"id": "a", "messages": [{"role": "user", "content": "Hi"}]})
    assert record.messages == (Message(role="user", parts=(Part(kind="text", value="Hi"),)),)
    assert record.licence == ""


def message(content) -> dict:
    return {"id": "a", "messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"messages": []}, r"a record has no id \(its fields: messages\)"),
        ({"id": "a", "messages": []}, "a: messages must be a list of at least one message"),
        ({"id": "a", "turns": []}, "a: unknown fields turns"),
        ({"id": "a", "messages": [{"role": "user"}]}, "a, message 0: a message has the fields"),
        (
            {"id": "a", "messages": [{"role": "bot", "content": "x"}]},
            "message 0: role 'bot' is none of system, user, assistant",
        ),
        (message([]), "message 0: content must be a text or a list of at least one part"),
        (message(["x"]), "message 0, part 0: type None is none of text, image"),
        (message([{"type": "text"}]), "part 0: a part of type 'text' needs a 'text'"),
        (message([{"type": "image", "path": "x", "w": 1}]), "part 0: unknown fields w"),
        (
            message([{"type": "video", "path": "x", "start_s": "2"}]),
            "part 0: start_s and end_s are seconds, got",
        ),
        (
            message([{"type": "text", "text": "x", "start_s": 1}]),
            "a part of kind 'text' has no seconds",
        ),
        (
            message([{"type": "video", "path": "x", "start_s": 3, "end_s": 3}]),
            r"\[3, 3\) is no interval of seconds",
        ),
        (
            message([{"type": "video", "path": "x", "start_s": float("nan")}]),
            r"\[nan, None\) is no interval of seconds",
        ),
        (
            message([{"type": "audio", "path": "x", "end_s": float("inf")}]),
            r"\[None, inf\) is no interval of seconds",
        ),
    ],
)
def test_faults_are_named_with_their_place(values, text) -> None:
    with pytest.raises(RecordError, match=text) as caught:
        Record.from_json(values)
    assert caught.value.exit_code == 3
