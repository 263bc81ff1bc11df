"""Near-duplicates, benchmarks, letters and blind answers."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.synth.check.records import OPTIONS, clean, question
from tests.synth.textvid.fakes import FakeWriter, failure, whole
from textreel.synth.check.blind import ask_blind, blind_prompt, read_letter
from textreel.synth.check.findings import CheckError
from textreel.synth.check.letters import LetterBalance, count_letters, letter_excess
from textreel.synth.check.near import NearDuplicates
from textreel.synth.check.overlap import BenchmarkQuestions
from textreel.synth.check.words import units

LONG_QUESTION = "what does the woman in the blue coat do after she closes the door"


def test_similarity_is_that_of_runs_of_three_words() -> None:
    text = " ".join(f"w{i}" for i in range(100))  # 98 runs
    near = NearDuplicates(similarity=0.8)
    assert near.find_or_add("first", text) == ""
    assert near.find_or_add("again", text) == "first"
    # the last 7 words differ: 91 shared of 105 runs, .87
    assert near.find_or_add("close", text.rsplit(" ", 7)[0] + " x y z u v w q") == "first"
    # the last 30 differ: 68 shared of 128, .53
    other = text.rsplit(" ", 30)[0] + "".join(f" v{i}" for i in range(30))
    assert near.find_or_add("far", other) == ""
    assert near.find_or_add("short", "hm") == "" and near.find_or_add("b", "hm") == "short"
    assert near.find_or_add("none", "") == ""
    assert len(near) == 4


def test_a_benchmarks_question_is_known_whole_or_nearly() -> None:
    known = BenchmarkQuestions()
    known.add(LONG_QUESTION, source="star.json")
    known.add("what is this", source="short.json")
    assert known.copied(LONG_QUESTION.upper() + "?") == "star.json"
    assert known.copied("So " + LONG_QUESTION) == "star.json"
    assert known.copied("what does the woman in the red hat do after she opens a box") == ""
    assert known.copied("what is this") == ""
    assert len(known) == 1


@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("a.txt", f"{LONG_QUESTION}\n\nwhat else ?\n", 2),
        ("a.json", json.dumps({"x": [{"question": LONG_QUESTION}, {"Q": "b"}]}), 2),
        ("a.jsonl", json.dumps({"question": LONG_QUESTION}) + "\n\n", 1),
        ("a.csv", f"video,question\n1,{LONG_QUESTION}\n2,\n", 1),
    ],
)
def test_benchmark_files_are_read(tmp_path: Path, name: str, content: str, count: int) -> None:
    (tmp_path / name).write_text(content)
    known = BenchmarkQuestions()
    assert known.add_file(tmp_path / name) == count
    assert known.copied(LONG_QUESTION) == name


def test_benchmark_files_without_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"the benchmark file .* is not there"):
        BenchmarkQuestions().add_file(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_text("video,answer\n1,2\n")
    with pytest.raises(CheckError, match="no question in the benchmark file"):
        BenchmarkQuestions().add_file(tmp_path / "a.csv")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(CheckError, match="cannot be read: "):
        BenchmarkQuestions().add_file(tmp_path / "a.json")


def test_letters_go_through_all_places_in_blocks() -> None:
    balance = LetterBalance(seed=1)
    asked = [q for n in range(13) for q in balance.place(clean(n)).questions]
    counts = Counter(q.answer for q in asked)
    assert sum(counts.values()) == 65 and set(counts.values()) <= {16, 17}
    again = LetterBalance(seed=1)
    assert [q for n in range(13) for q in again.place(clean(n)).questions] == asked
    for n in range(13):
        for before, after in zip(
            clean(n).questions, balance.place(clean(n)).questions, strict=True
        ):
            assert sorted(before.options) == sorted(after.options)
            assert before.options[before.answer] == after.options[after.answer]


def test_options_that_speak_of_the_others_stay_where_they_are() -> None:
    last = question(options=(*OPTIONS[:3], "All of the above"), answer=3)
    video = replace(clean(0), questions=(last,) * 8)
    assert LetterBalance(seed=0).place(video).questions == video.questions


def test_an_unbalanced_letter_is_seen_and_chance_is_not() -> None:
    many = [question(answer=0)] * 500 + [question(answer=i % 4) for i in range(500)]
    letters = count_letters(many)
    assert letters == {4: {"A": 625, "B": 125, "C": 125, "D": 125}}
    assert letter_excess(letters) == pytest.approx(
        0.625 - 0.25 - 3 * (0.1875 / 1000) ** 0.5, abs=1e-4
    )
    assert letter_excess({4: {"A": 8, "B": 4, "C": 4, "D": 4}}) == 0.0
    assert letter_excess({}) == 0.0


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("B", 1),
        ("(C)", 2),
        ("The answer is D.", 3),
        ("<think>A or B?</think>\nB.", 1),
        ("A man would say C", 2),
        ("A or B", None),
        ("F", None),
        ("none", None),
        ("", None),
    ],
)
def test_a_letter_is_read_and_never_guessed(text: str, index: int | None) -> None:
    assert read_letter(text, 4) == index


def test_blind_answers_are_counted_against_chance(tmp_path: Path) -> None:
    videos = [clean(number) for number in range(8)]

    def say(topic, request):
        assert "video" in request.turns[0].text and request.temperature == 0.0
        return {0: "hm", 1: failure()}.get(len(writer.asked) % 10, whole("A"))

    writer = FakeWriter(say, in_flight=1)
    answers = tmp_path / "blind.jsonl"
    report = ask_blind(videos, writer=writer, name="m", count=40, answers=answers)
    right = sum(q.answer == 0 for video in videos for q in video.questions)
    assert (report.asked, report.unreadable, report.failed, report.chance) == (40, 4, 4, 0.25)
    assert 0 < report.right <= right
    assert report.share == round(report.right / 40, 4)
    assert report.videos == 8 and report.stderr is not None and report.stderr > 0
    again = FakeWriter(lambda topic, request: whole("A"))
    second = ask_blind(videos, writer=again, name="m", count=40, answers=answers)
    assert len(again.asked) == 4  # only those that had failed
    assert second.failed == 0 and second.unreadable == 4


def test_blind_answers_about_one_video_stand_or_fall_together() -> None:
    right = tuple(question(answer=0) for _ in range(4))
    wrong = tuple(question(answer=1) for _ in range(4))
    videos = [replace(clean(n), questions=right if n < 4 else wrong) for n in range(8)]
    writer = FakeWriter(lambda topic, request: whole("A"))
    report = ask_blind(videos, writer=writer, name="m", count=40)
    assert (report.asked, report.videos, report.share) == (32, 8, 0.5)
    assert report.stderr == round((0.25 / 7) ** 0.5, 4)  # of 8 videos; of 32 questions half of it
    alone = FakeWriter(lambda topic, request: whole("A"))
    report = ask_blind(videos[:1], writer=alone, name="m", count=40)
    assert (report.videos, report.stderr) == (1, None)


def test_a_blind_sample_is_the_same_each_time_and_bounded() -> None:
    videos = [clean(number) for number in range(8)]
    writers = [FakeWriter(lambda topic, request: whole("A")) for _ in range(2)]
    reports = [ask_blind(videos, writer=w, name="m", count=7) for w in writers]
    assert reports[0] == reports[1] and reports[0].asked == 7
    assert sorted(writers[0].asked) == sorted(writers[1].asked)
    with pytest.raises(CheckError, match="no question to ask blindly"):
        ask_blind([], writer=FakeWriter(), name="m", count=7)


def test_the_blind_prompt_is_question_and_lettered_options_alone() -> None:
    assert blind_prompt(question()).startswith(
        "Which thing?\nA. the bowl\nB. the rope\nC. the drum\nD. the kite\n\nGuess."
    )


def test_near_duplicates_of_a_script_without_spaces_are_found() -> None:
    frames = [f"一个女人在厨房里拿起第{c}个木碗然后把它放在桌子上。" for c in "甲乙丙丁戊己"]
    near = NearDuplicates(similarity=0.8)
    assert near.find_or_add("first", "\n".join(frames)) == ""
    changed = "\n".join([*frames[:5], frames[5].replace("木碗", "杯子")])
    assert near.find_or_add("again", changed) == "first"
    assert near.find_or_add("other", "两只猫在花园里追逐一只红色的蝴蝶太阳慢慢落下。") == ""


def test_words_of_mixed_scripts_are_told_apart() -> None:
    assert units("Er sägt 木板 2x.") == ["er", "sägt", "木", "板", "2x"]
    assert units("plain words") == ["plain", "words"] and units("안녕 친구") == ["안녕", "친구"]


def test_a_benchmark_file_nested_beyond_reason_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text("[" * 100_000)
    with pytest.raises(CheckError, match="cannot be read"):
        BenchmarkQuestions(share=0.8).add_file(tmp_path / "b.jsonl")
