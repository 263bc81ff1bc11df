import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.media import traps
from textreel.cli.app import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for trap in (traps.plain, traps.without_index, traps.cut):
        trap(folder)
    (folder / "notes.txt").write_text("no media")
    return folder


def test_show_tells_what_would_be_sampled(folder: Path, tmp_path: Path, capsys) -> None:
    command = ["media", "show", str(folder / "plain.mp4"), "--num-frames", "2"]
    assert run([*command, "--save-frames", str(tmp_path / "frames"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert (told["width"], told["height"], told["rotation"]) == (64, 48, 0)
    assert told["duration_s"] == pytest.approx(2.0, abs=0.11)
    assert told["frame_times_s"] == pytest.approx([0.4, 1.4])
    assert told["sound"]["status"] == "used" and told["sound"]["rate_hz"] == 16000
    assert told["sampling"]["num_frames"] == 2 and len(told["sampling_fingerprint"]) == 16
    names = [Path(path).name for path in told["saved"]]
    assert names == ["00000-0.400s.png", "00001-1.400s.png"]
    assert traps.number_of(np.asarray(Image.open(told["saved"][1]))) == 14


def test_show_reads_as_lines(folder: Path, capsys) -> None:
    window = ["--fps", "2", "--start-s", "0.5", "--end-s", "1.5", "--max-frames", "9"]
    assert run(["media", "show", str(folder / "plain.mp4"), *window]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"file    {folder / 'plain.mp4'} (mov,mp4,m4a,3gp,3g2,mj2), 1.940 s"
    assert lines[1] == "video   64x48, 10.309 frames/s, h264 yuv420p"
    assert lines[2].startswith("sound   used: aac, 16000 Hz, 1 channels, 1.0")
    assert lines[3] == "frames  2, at 0.700 1.200 s"
    assert len(lines) == 4


def test_a_bad_file_is_the_one_error_shape_with_its_own_exit_code(folder: Path, capsys) -> None:
    assert run(["media", "show", str(folder / "no_index.mp4"), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)
    assert error["ok"] is False and error["error"]["type"] == "TruncatedError"
    assert error["error"]["hint"] == "download or copy the file again"
    assert run(["media", "show", str(folder / "gone.mp4")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"textreel: {folder / 'gone.mp4'}: no such file\n  check the path")


def test_options_that_do_not_go_together_are_refused(folder: Path, capsys) -> None:
    file = str(folder / "plain.mp4")
    assert run(["media", "show", file, "--policy", "best"]) == 2
    assert "--policy best is not a sampling rule\n  one of centres" in capsys.readouterr().err
    assert run(["media", "show", file, "--fps", "1", "--num-frames", "3"]) == 2
    assert "num_frames=3 has no effect" in capsys.readouterr().err
    assert run(["media", "check", str(folder), "--max-bad", "few"]) == 2
    assert "max_bad='few' is no limit" in capsys.readouterr().err


def test_check_lists_every_bad_file_and_exits_3(folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "quarantine.jsonl"
    command = ["media", "check", str(folder), "--workers", "1", "--out", str(out)]
    assert run([*command, "--json"]) == 3
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["ok"] is False and told["error"]["type"] == "TooManyBadError"
    assert told["error"]["message"].startswith("1 of 3 samples are bad, 1% allowed: 1 Truncated")
    assert [Path(row["path"]).name for row in told["rows"]] == [
        "cut.mkv",
        "no_index.mp4",
        "plain.mp4",
    ]
    assert (told["good"], told["bad"], told["noted"]) == (2, 1, 1)
    assert told["skipped"] == {".txt": 1}
    assert "textreel: files 3/3" in said.err and "files/s, 1 bad" in said.err
    assert len(out.read_text().splitlines()) == 1
    assert run([*command, "--max-bad", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"note    {folder / 'cut.mkv'}: ")
    assert lines[-4].startswith(f"bad     {folder / 'no_index.mp4'}: an MP4 file without")
    assert lines[-3].startswith("2 of 3 files are good, 1 bad (1 TruncatedError), 1 with notes;")
    assert lines[-2:] == ["sound   1 absent, 1 used", "skipped 1 .txt"]
    assert len(out.read_text().splitlines()) == 1


def test_check_in_words_tells_what_it_found_before_it_fails(folder: Path, capsys) -> None:
    file = str(folder / "no_index.mp4")
    assert run(["-q", "media", "check", file, "--no-sound", "--workers", "1"]) == 3
    said = capsys.readouterr()
    assert said.out.splitlines()[0].startswith(f"bad     {file}: ")
    assert said.err.startswith("textreel: 1 of 1 samples are bad")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_a_name_that_is_no_utf8_is_read_and_printed(folder: Path, tmp_path: Path, capsys) -> None:
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/\xff.mp4"))
    odd.write_bytes((folder / "plain.mp4").read_bytes())
    assert run(["media", "check", str(tmp_path), "--workers", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"][0]["path"] == str(odd) and told["good"] == 1


def test_a_folder_without_media_names_what_was_passed_over(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.csv").touch()
    assert run(["media", "check", str(tmp_path)]) == 2
    assert "passed over: 1 .csv" in capsys.readouterr().err
