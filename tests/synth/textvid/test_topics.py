from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from tests.synth.textvid.fakes import source_of
from textreel.synth.textvid.errors import TopicError
from textreel.synth.textvid.topic_files import LONGEST_LINE_BYTES, read_topics
from textreel.synth.textvid.topics import (
    TopicSource,
    draw_topics,
    make_topic,
    parse_source,
    world_topics,
)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_sources_are_mixed_by_weight_exactly() -> None:
    sources = [source_of(50, name="a", weight=3), source_of(50, name="b", weight=1)]
    drawn = list(draw_topics(sources, count=40, seed=1))
    assert Counter(topic.source for topic in drawn) == {"a": 30, "b": 10}
    for n in range(1, 41):
        share = sum(topic.source == "a" for topic in drawn[:n])
        assert abs(share - 0.75 * n) <= 1


def test_a_draw_is_repeatable_and_a_longer_one_begins_with_the_shorter() -> None:
    sources = [source_of(20, name="a"), source_of(9, name="b", weight=2)]
    short = list(draw_topics(sources, count=10, seed=4))
    assert list(draw_topics(sources, count=25, seed=4))[:10] == short
    assert list(draw_topics(sources, count=10, seed=5)) != short


def test_a_used_up_source_comes_again_as_variants() -> None:
    drawn = list(draw_topics([source_of(3)], count=7, seed=0))
    assert [topic.variant for topic in drawn] == [0, 0, 0, 1, 1, 1, 2]
    assert len({topic.key for topic in drawn}) == 7
    assert len({topic.text for topic in drawn}) == 3


def test_a_text_in_two_files_comes_once() -> None:
    one = TopicSource(name="a", kind="line", texts=("x", "y"))
    two = TopicSource(name="b", kind="line", texts=("x", "z"))
    drawn = list(draw_topics([one, two], count=3, seed=0))
    assert sorted(topic.text for topic in drawn) == ["x", "y", "z"]


def test_a_key_follows_from_kind_text_and_variant_alone() -> None:
    topic = make_topic("saw", kind="object", source="a.txt")
    assert topic.key == make_topic("saw", kind="object", source="b.txt").key
    assert topic.key != make_topic("saw", kind="title", source="a.txt").key
    assert len(topic.key) == 16


def test_the_world_has_topics_without_files() -> None:
    topics = list(world_topics(count=3, seed=2))
    assert [topic.text for topic in topics] == [f"scene {i} of seed 2" for i in range(3)]
    with pytest.raises(TopicError, match="0 topics asked for"):
        next(world_topics(count=0, seed=0))


@pytest.mark.parametrize(
    ("sources", "count", "text"),
    [
        ([], 1, "no topics were given"),
        ([source_of(1)], 0, "0 topics asked for"),
        ([source_of(1, weight=0)], 1, "has 1 topics and weight 0"),
    ],
)
def test_draws_of_nothing_are_refused(sources, count: int, text: str) -> None:
    with pytest.raises(TopicError, match=text):
        list(islice(draw_topics(sources, count=count, seed=0), 3))


def test_a_source_is_named_with_kind_and_weight() -> None:
    assert parse_source("topics.txt") == (None, "topics.txt", 1.0)
    assert parse_source("title:a/b.csv@0.5") == ("title", "a/b.csv", 0.5)
    assert parse_source("me@home.txt") == (None, "me@home.txt", 1.0)
    assert parse_source("c:x.txt") == (None, "c:x.txt", 1.0)
    with pytest.raises(TopicError, match=r"the weight of a\.txt is 0"):
        parse_source("a.txt@0")


def test_lines_are_topics_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    long = "x" * 2001
    path = write(tmp_path / "t.txt", f"\ufeffone\n\n two  words \none\n{long}\n")
    found = read_topics(path, weight=2.0, licence="CC0")
    assert found.texts == ("one", "two words")
    assert dict(found.skipped) == {"blank": 1, "repeated": 1, "too-long": 1}
    assert (found.kind, found.weight, found.licence, found.name) == ("line", 2.0, "CC0", "t.txt")


def test_webvid_columns_are_known(tmp_path: Path) -> None:
    rows = 'videoid,contentUrl,duration,page_dir,name\n1,u,PT1S,p,"A man, sawing"\n2,u,PT,p,Sea\n'
    found = read_topics(write(tmp_path / "webvid.csv", rows))
    assert (found.kind, found.texts) == ("caption", ("A man, sawing", "Sea"))


def test_a_column_may_be_named_in_tables_and_json_lines(tmp_path: Path) -> None:
    table = write(tmp_path / "a.tsv", "caption\tother\nx\ty\n")
    assert read_topics(table, column="other").texts == ("y",)
    lines = write(
        tmp_path / "a.jsonl", '{"Caption": "x", "z": "w"}\n\n{"Caption": "y", "z": "v"}\n'
    )
    assert read_topics(lines).texts == ("x", "y")
    assert read_topics(lines, column="z").texts == ("w", "v")


def test_wordnet_lists_become_words(tmp_path: Path) -> None:
    text = "  1 This software and database\ndog n 7 5 @ ~ #m #p %p 7 1 0208 1032\nhot_dog\n"
    assert read_topics(write(tmp_path / "index.noun", text), kind="object").texts == (
        "dog",
        "hot dog",
    )


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.txt", b"", "a.txt is empty"),
        ("a.txt", b"ok\n\x89PNG\0\1", "a.txt line 2 holds a zero byte: it is a binary file"),
        ("a.txt", b"ok\n\xff\xfe\n", "a.txt line 2 is not UTF-8 text"),
        ("a.txt", b"x" * (LONGEST_LINE_BYTES + 5), "line 1 is longer than 1048576 bytes"),
        ("a.txt", b"\n\n", r"no topic in .*a.txt \(2 blank\)"),
        ("a.csv", b"id,url\n1,2\n", "has no column one of name, caption"),
        ("a.csv", b'name\n"' + b"x" * 140_000 + b'"\n', "a.csv line 2 is no CSV: "),
        ("a.jsonl", b"{oops}\n", "a.jsonl line 1 is no JSON"),
        ("a.jsonl", b"7\n", "a.jsonl line 1 is neither an object nor a text"),
    ],
)
def test_files_that_hold_no_topics_say_where(
    tmp_path: Path, name: str, content: bytes, text: str
) -> None:
    with pytest.raises(TopicError, match=text):
        read_topics(write(tmp_path / name, content))


def test_a_missing_file_and_a_column_of_lines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TopicError, match=r"the topics file .* is not there"):
        read_topics(tmp_path / "none.txt")
    path = write(tmp_path / "a.txt", "x\n")
    with pytest.raises(TopicError, match="has lines, not columns"):
        read_topics(path, column="caption")
    with pytest.raises(TopicError, match="has no column 'nope'; it has: 'name'"):
        read_topics(write(tmp_path / "a.csv", "name\nx\n"), column="nope")


def test_a_gigabyte_in_one_line_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.write(b"a" * (2 << 20))
        file.truncate(1 << 30)  # a hole: zero bytes beyond the first megabytes
    with pytest.raises(TopicError, match="line 1 is longer than 1048576 bytes"):
        read_topics(path)


def test_an_object_without_the_key_is_a_blank_line(tmp_path: Path) -> None:
    lines = '{"caption": "a"}\n{"id": 3}\n{"Caption": "c"}\n{"caption": "b"}\n'
    found = read_topics(write(tmp_path / "t.jsonl", lines))
    assert found.texts == ("a", "b") and found.skipped == (("blank", 2),)


def test_json_nested_beyond_reason_is_no_json(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"caption": "a"}\n' + "[" * 100_000)
    with pytest.raises(TopicError, match="line 2 is no JSON"):
        read_topics(path)
