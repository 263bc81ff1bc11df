import hashlib
import json
import os
from pathlib import Path

import pytest

from textreel.data import files
from textreel.data.cache import cache_dir
from textreel.data.errors import FormatError, TakenError


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def age(path: Path, *, by_s: float) -> None:
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - by_s))


def test_text_is_written_as_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    files.write_atomic(path, "é\r\n\n")
    assert path.read_bytes() == b"\xc3\xa9\r\n\n"
    files.write_atomic(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert names(path.parent) == ["a.txt"]


def test_a_file_half_written_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.atomic_file(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_symbolic_link_keeps_pointing_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    files.write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "run"
    with files.atomic_directory(target) as draft:
        (draft / "sub").mkdir()
        (draft / "sub" / "a").write_text("1")
        assert not target.exists()
    assert (target / "sub" / "a").read_text() == "1"
    assert names(target.parent) == ["run"]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), files.atomic_directory(tmp_path / "run") as draft:
        (draft / "a").write_text("1")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_an_empty_folder_is_free_a_filled_one_is_refused_before_any_work(tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()
    with files.atomic_directory(target) as draft:
        (draft / "a").write_text("1")
    with (
        pytest.raises(TakenError, match=r"run already exists and is not an empty folder") as caught,
        files.atomic_directory(target),
    ):
        pytest.fail("the block must not run")
    assert "overwritten" in caught.value.hint
    assert (target / "a").read_text() == "1"


def test_overwriting_replaces_a_folder_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").write_text("1")
    (tmp_path / "file").write_text("1")
    for name in ("run", "file"):
        with files.atomic_directory(tmp_path / name, overwrite=True) as draft:
            (draft / "new").write_text("2")
        assert names(tmp_path / name) == ["new"]
    assert names(tmp_path) == ["file", "run"]


def test_a_folder_filled_meanwhile_by_someone_else_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "run"
    with pytest.raises(TakenError, match="nothing was written"), files.atomic_directory(target):
        target.mkdir()
        (target / "theirs").write_text("1")
    assert names(tmp_path) == ["run"]
    assert names(target) == ["theirs"]


def test_content_hash_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.content_hash(path) == known == hashlib.sha256(b"abc").hexdigest()


def test_a_remembered_hash_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    age(path, by_s=10)
    first = files.content_hash(path)
    monkeypatch.setattr(files.hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert files.content_hash(path) == first


def test_a_changed_file_gets_its_new_hash(tmp_path: Path) -> None:
    path = tmp_path / "a"
    seen = set()
    for content, age_s in ((b"abc", 10), (b"abd", 20), (b"ab", 20)):
        path.write_bytes(content)
        age(path, by_s=age_s)
        seen.add(files.content_hash(path))
    assert len(seen) == 3


def test_a_file_changed_just_now_is_not_remembered(tmp_path: Path, own_cache: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    files.content_hash(path)
    assert list(own_cache.rglob("*.jsonl")) == []


def test_a_broken_or_overfull_memory_is_only_a_miss(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    age(path, by_s=10)
    digest = files.content_hash(path)
    (memory,) = own_cache.rglob("*.jsonl")
    memory.write_bytes(b'\xff[1]\n["torn\n' + b"x" * 70_000)
    assert files.content_hash(path) == digest
    assert memory.stat().st_size < 1_000
    monkeypatch.setenv("TEXTREEL_CACHE", str(path))
    assert files.content_hash(path) == digest


def test_the_cache_moves_with_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTREEL_CACHE", "own")
    monkeypatch.setenv("XDG_CACHE_HOME", "xdg")
    assert cache_dir() == Path("own")
    monkeypatch.delenv("TEXTREEL_CACHE")
    assert cache_dir() == Path("xdg/textreel")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "textreel"


def test_canonical_json_is_one_text_for_one_value() -> None:
    assert files.canonical_json({"b": [1, 2.5], "a": "é"}) == '{"a":"\\u00e9","b":[1,2.5]}'
    assert files.fingerprint({}) == hashlib.sha256(b"{}").hexdigest()[:16]
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.canonical_json(float("nan"))


def test_a_header_is_read_back_and_names_what_it_is() -> None:
    header = json.loads(json.dumps(files.make_header("journal", fingerprint="f")))
    assert files.check_header(header, kind="journal", path="p")["fingerprint"] == "f"
    assert set(header) == {"format", "kind", "version", "fingerprint"}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([1], "p is no journal file of textreel: its header has no format number"),
        ({"kind": "journal"}, "has no format number"),
        ({"format": 1, "kind": "store"}, "p holds 'store', expected 'journal'"),
        (
            {"format": 2, "kind": "journal", "version": "9.9"},
            "p has format 2, written by textreel 9.9",
        ),
    ],
)
def test_a_header_this_version_cannot_follow_is_refused(header: object, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        files.check_header(header, kind="journal", path="p")
    assert caught.value.hint
