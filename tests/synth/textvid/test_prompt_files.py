from pathlib import Path

import pytest

from tests.synth.textvid.fakes import PROMPTS
from textreel.synth.textvid.errors import PromptError
from textreel.synth.textvid.prompt_files import QUESTION_KINDS, copy_prompts, load_prompts
from textreel.synth.textvid.topics import FILE_KINDS, make_topic

TOPIC = make_topic("a saw", kind="object", source="x")


def test_a_request_holds_topic_language_frames_and_five_kinds() -> None:
    text = PROMPTS.request(TOPIC, language="German")
    assert text.startswith("The topic below is an object.")
    assert 'Topic: "a saw"\n' in text and "in German" in text
    assert sum(worded in text for worded in QUESTION_KINDS.values()) == 5
    assert "$" not in text and "other videos" not in text
    assert text == PROMPTS.request(TOPIC, language="German")


def test_every_kind_of_topic_has_its_own_words_and_frames_vary() -> None:
    texts = {PROMPTS.request(make_topic("a", kind=k, source=""), language="x") for k in FILE_KINDS}
    assert len(texts) == len(FILE_KINDS)
    topics = [make_topic(str(i), kind="line", source="") for i in range(200)]
    asked = [PROMPTS.request(topic, language="English") for topic in topics]
    counts = {int(text.split("exactly ")[1].split()[0]) for text in asked}
    assert counts == set(range(5, 16))


def test_a_variant_asks_for_another_course_of_events() -> None:
    again = make_topic("a saw", kind="object", source="x", variant=2)
    assert "There are 2 other videos about this topic" in PROMPTS.request(again, language="x")


def test_a_dollar_in_a_topic_is_left_alone() -> None:
    topic = make_topic("costs $5 $topic", kind="line", source="x")
    assert '"costs $5 $topic"' in PROMPTS.request(topic, language="x")
    assert "$faults" in PROMPTS.repair(topic, faults="$faults")


def test_copied_prompts_are_the_same_and_a_changed_one_has_another_hash(tmp_path: Path) -> None:
    written = copy_prompts(tmp_path)
    assert len(written) == 9
    assert load_prompts(tmp_path) == PROMPTS
    (tmp_path / "system.txt").write_text("Be brief.")
    changed = load_prompts(tmp_path)
    assert changed.system() == "Be brief." and changed.hash != PROMPTS.hash
    assert copy_prompts(tmp_path) == []
    assert (tmp_path / "system.txt").read_text() == "Be brief."


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("request.txt", "no place for it", "request.txt lacks \\$topic"),
        ("request.txt", "$topic $nothing", "asks for \\$nothing, which nothing fills"),
        ("system.txt", "costs 5 $", "has a \\$ that begins no name"),
        ("system.txt", " \n", "system.txt is empty"),
        ("other.txt", "x", "has prompt files that are not used"),
    ],
)
def test_prompts_that_cannot_be_filled_are_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PromptError, match=message):
        load_prompts(tmp_path)


def test_folders_without_prompts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"the prompt folder .* is not there"):
        load_prompts(tmp_path / "none")
    with pytest.raises(PromptError, match="has prompt files that are not used: none"):
        load_prompts(tmp_path)
    (tmp_path / "system.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(PromptError, match="is not UTF-8 text"):
        load_prompts(tmp_path)
