import json
from pathlib import Path

import pytest

from textreel.cli.app import run


@pytest.fixture
def built(monkeypatch) -> list[tuple[Path, int]]:
    calls = []

    def build(out: Path, *, seed: int, show) -> None:
        show("towers: step 1")
        calls.append((out, seed))

    monkeypatch.setattr("textreel.recipes.tiny_models.build_tiny", build)
    return calls


def test_tiny_names_what_it_built(built, capsys) -> None:
    assert run(["synth", "tiny", "--out", "here", "--seed", "7", "--json"]) == 0
    said = capsys.readouterr()
    assert built == [(Path("here"), 7)]
    assert said.err == "textreel: towers: step 1\n"
    places = {name: str(Path("here") / name) for name in ("towers", "decoder", "run")}
    assert json.loads(said.out) == places


def test_quiet_keeps_the_build_silent(built, capsys) -> None:
    assert run(["-q", "synth", "tiny", "--out", "here"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines()[0].split() == ["towers", str(Path("here") / "towers")]


def test_tiny_needs_a_place(capsys) -> None:
    assert run(["synth", "tiny"]) == 2
    assert capsys.readouterr().err == (
        "textreel: Missing option '--out'.\n  `textreel synth tiny --help` lists what it takes\n"
    )


def test_a_group_alone_names_the_way_out(capsys) -> None:
    assert run(["synth"]) == 2
    assert capsys.readouterr().err == (
        "textreel: Missing command.\n  `textreel synth --help` lists what it takes\n"
    )


def test_world_writes_videos_and_says_how_many(tmp_path: Path, capsys) -> None:
    command = ["synth", "world", "--n", "1", "--seed", "3", "--seconds", "4", "--out"]
    assert run([*command, str(tmp_path / "w"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["count"], said["kept"], said["out"]) == (1, 0, str(tmp_path / "w"))
    assert Path(said["scenes"]).is_file()
    assert Path(said["videos"]).is_file()
    assert len(list((tmp_path / "w").glob("*.mp4"))) == 1
    assert run([*command, str(tmp_path / "w")]) == 0
    told = capsys.readouterr().out
    assert (
        told
        == f"1 videos and {said['num_questions']} questions in {tmp_path / 'w'} (1 were there)\n"
    )


def test_a_world_of_a_bad_length_is_one_clear_line(tmp_path: Path, capsys) -> None:
    assert run(["synth", "world", "--seconds", "3", "--out", str(tmp_path / "w")]) == 2
    assert capsys.readouterr().err == (
        "textreel: no scene lasts 3 seconds\n  choose 4 to 600 seconds\n"
    )
    assert run(["synth", "world", "--n", "0", "--out", str(tmp_path / "w"), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["type"], error["message"]) == ("WorldError", "0 scenes asked for")
