import json
from pathlib import Path

import pytest

from textreel.data import json_stream
from textreel.data.errors import TextualDataError
from textreel.data.json_stream import read_json_list

VALUES = [{"a": [1, {"b": None}]}, 'x]y,\\"z', 12, -3.5e2, True, None, [], {}, "é\u2028\n", [[]]]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 2**20])
@pytest.mark.parametrize("indent", [None, 0, 3])
def test_elements_are_those_of_json_load_whatever_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_CHARS", chunk)
    path = write(tmp_path / "a.json", "\ufeff \n" + json.dumps(VALUES, indent=indent) + "\n ")
    assert [value for _, value in read_json_list(path)] == VALUES


def test_each_element_has_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '[\n{"a":\n1}\n,\r\n2, 3,\n4]')
    assert list(read_json_list(path)) == [(2, {"a": 1}), (5, 2), (5, 3), (6, 4)]


def test_an_empty_list_has_no_elements(tmp_path: Path) -> None:
    assert list(read_json_list(write(tmp_path / "a.json", " [ ] "))) == []


def test_a_key_that_stands_twice_is_kept_in_mind(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '[{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}, {"a": 1}]')
    (_, first), (_, second) = read_json_list(path)
    assert (first, first.repeated, first["b"].repeated) == ({"a": 3, "b": {"c": 2}}, ("a",), ("c",))
    assert second.repeated == ()


@pytest.mark.parametrize("chunk", [1, 2**20])
@pytest.mark.parametrize(
    ("text", "good", "message"),
    [
        ("", 0, "line 1, column 1: a JSON list was expected, the file is empty"),
        ('{"a": 1}', 0, "a JSON list was expected, the file starts with '{'"),
        ("[1,\n 2", 1, "line 2, column 3: the file ends in the middle"),
        ('[1,\n{"a": "b', 1, "the file ends in the middle"),
        ("[1, 2, ", 2, "the file ends in the middle"),
        ("[1,\n  {a: 1}, 5]", 1, "line 2, column 4: Expecting property name enclosed in double"),
        ("[1 2]", 0, r"line 1, column 4: expected ',' or '\]' after a record"),
        ("[1] 2", 1, "line 1, column 5: text follows the end of the list"),
        ('["a\nb"]', 0, "Invalid control character"),
        ("[" * 200_000, 0, "nested too deeply"),
    ],
)
def test_a_fault_is_named_with_its_place_after_what_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, text: str, good: int, message: str
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_CHARS", chunk)
    found = []
    with pytest.raises(TextualDataError, match=message) as caught:
        for _, value in read_json_list(write(tmp_path / "a.json", text)):
            found.append(value)
    assert len(found) == good
    assert str(tmp_path / "a.json") in str(caught.value)
    assert caught.value.hint


def test_bytes_that_are_no_text_are_named_so(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\x00\x01\xff\xfe\x89PNG")
    with pytest.raises(TextualDataError, match="not UTF-8 text"):
        list(read_json_list(path))


def test_a_fault_early_in_a_long_file_does_not_read_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_CHARS", 1000)
    path = write(tmp_path / "a.json", "[{'a': 1}" + " " * 100_000)
    with pytest.raises(TextualDataError, match="line 1, column 3: Expecting property name"):
        list(read_json_list(path))
