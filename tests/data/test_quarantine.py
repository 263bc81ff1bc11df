import json
from pathlib import Path

import pytest

from textreel.data.errors import FormatError, TooManyBadError
from textreel.data.quarantine import BadSample, Quarantine


def add(quarantine: Quarantine, *ids: str, code: str = "torn") -> None:
    for number, id in enumerate(ids, start=7):
        quarantine.add(id, source="a.json", line=number, code=code, message=f"{id} is torn")


def test_an_entry_is_one_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "run" / "quarantine.jsonl"
    add(Quarantine(path), "é")
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"id": "é", "source": "a.json", "line": 7, "code": "torn", "message": "é is torn"}
    ]


def test_entries_are_found_again_and_not_counted_twice(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    add(Quarantine(path), "a", "b")
    again = Quarantine(path)
    add(again, "a", "b")
    again.add("c", source="b.json", code="empty", message="nothing in it")
    assert [sample.id for sample in again] == ["a", "b", "c"]
    assert list(Quarantine(path)) == list(again)
    assert list(again)[2] == BadSample(
        id="c", source="b.json", code="empty", message="nothing in it", line=None
    )


def test_the_summary_counts_codes_most_frequent_first() -> None:
    quarantine = Quarantine()
    add(quarantine, "a", code="z")
    add(quarantine, "a", code="b")
    add(quarantine, "c", "d", code="q")
    assert list(quarantine.summary().items()) == [("q", 2), ("b", 1), ("z", 1)]
    assert Quarantine().summary() == {}


@pytest.mark.parametrize(
    ("max_bad", "total", "stops"),
    [
        ("1%", 300, False),
        ("1%", 299, True),
        ("0%", 1000, True),
        ("2.5 %", 120, False),
        (3, 3, False),
        (2, 10_000, True),
        ("2", 10_000, True),
        (None, 3, False),
    ],
)
def test_the_limit_is_a_number_or_a_share(
    max_bad: int | str | None, total: int, stops: bool
) -> None:
    quarantine = Quarantine(max_bad=max_bad)
    add(quarantine, "a", "b", "c")
    if stops:
        with pytest.raises(TooManyBadError, match=f"3 of {total} samples are bad, {max_bad} allow"):
            quarantine.check(total)
    else:
        quarantine.check(total)


def test_too_many_names_counts_first_place_and_file(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", max_bad=1)
    add(quarantine, "a", "b")
    add(quarantine, "c", code="empty")
    with pytest.raises(TooManyBadError) as caught:
        quarantine.check(10)
    assert str(caught.value) == (
        "3 of 10 samples are bad, 1 allowed: 2 torn, 1 empty "
        "(first: 'a' in a.json line 7: a is torn)"
    )
    assert caught.value.exit_code == 3
    assert str(tmp_path / "q.jsonl") in caught.value.hint


def test_nothing_bad_is_never_too_much() -> None:
    Quarantine(max_bad=0).check(0)
    Quarantine(max_bad="0%").check(0)


@pytest.mark.parametrize("max_bad", ["many", "-1", -1, "101%", "%", "1.5", "nan%"])
def test_a_limit_that_is_none_is_refused_at_once(max_bad: int | str) -> None:
    with pytest.raises(ValueError, match=r"is no limit: give a number such as 20"):
        Quarantine(max_bad=max_bad)


def test_a_torn_last_line_is_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "q.jsonl"
    add(Quarantine(path), "a", "b")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert [sample.id for sample in Quarantine(path)] == ["a"]
    assert path.read_bytes() == whole[: whole.index(b"\n") + 1]
    assert "cut a torn last line" in caplog.text


@pytest.mark.parametrize("content", ["my notes\n", '{"id": "a"}\n', "[1]\n"])
def test_another_file_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(content)
    with pytest.raises(FormatError, match=r"q.jsonl line 1 is no quarantine entry"):
        Quarantine(path)
    assert path.read_text() == content


def test_a_run_that_starts_again_forgets_its_own_and_keeps_others_uncounted(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    add(Quarantine(path, max_bad=None), "a", "b", "other")
    again = Quarantine(path, max_bad=0)
    again.start_again({"a", "b"})
    assert len(again) == 0
    again.check(2)
    add(again, "b")
    assert [sample.id for sample in Quarantine(path)] == ["other", "b"]
    with pytest.raises(TooManyBadError, match="1 of 2 samples are bad"):
        again.check(2)


def test_starting_again_with_nothing_changes_no_file(tmp_path: Path) -> None:
    Quarantine(tmp_path / "q.jsonl").start_again({"a"})
    assert list(tmp_path.iterdir()) == []
