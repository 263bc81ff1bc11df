import json
from pathlib import Path

import pytest

from textreel.cli import env
from textreel.cli.app import run

GIB = 1024**3


def test_sizes_are_written_for_people() -> None:
    sizes = [0, 1023, 1536, 5 * 1024**2, 3 * GIB, 2048 * GIB]
    assert [env.show_bytes(s) for s in sizes] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 MiB",
        "3.0 GiB",
        "2.0 TiB",
    ]


def test_extras_are_whole_or_missing() -> None:
    requirements = [
        "torch>=2.6",
        "pytest>=8.3; extra == 'dev'",
        'no-such-package>=1; extra == "ray"',
        "numpy; extra == 'ray'",
    ]
    assert env.find_extras(requirements) == {"dev": True, "ray": False}


def test_sizes_follow_from_each_memory() -> None:
    gpu = env.Accelerator(name="A GPU", memory_bytes=80 * 10**9)
    unknown = env.Accelerator(name="Another", memory_bytes=None)
    lines = env.running_sizes(4 * 10**9, [gpu, unknown])
    assert lines[0] == "the demo fits (it needs 2.0 GiB at most)"
    assert "main memory: an image-LLM of up to 1.4 billion parameters in bf16" in lines[1]
    assert "or a run around a decoder of up to 0.7 billion in float32" in lines[1]
    assert "A GPU: an image-LLM, or a run around a decoder, of up to 28.0 billion p" in lines[2]
    assert "in 16 bits or held in bf16, 14.0 billion in float32 (70% of" in lines[2]
    assert lines[3] == "Another: size unknown, so nothing is promised"
    lines = env.training_sizes(4 * 10**9, [gpu, unknown])
    assert "main memory: around a frozen decoder of up to 0.5 billion parameters in f" in lines[0]
    assert "all of a model of up to 0.1 billion" in lines[0]
    assert "A GPU: around a frozen decoder of up to 20.0 billion parameters in bf16" in lines[1]
    assert "all of a model of up to 2.5 billion" in lines[1]
    assert lines[2] == "Another: size unknown, so nothing is promised"


def test_a_small_machine_is_told_so() -> None:
    assert env.running_sizes(GIB, [])[0].startswith("the demo does not fit")
    assert env.running_sizes(None, []) == ["main memory: size unknown, so nothing is promised"]
    assert env.training_sizes(None, []) == ["main memory: size unknown, so nothing is promised"]


def test_a_folder_counts_its_files_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x").write_bytes(b"123")
    (tmp_path / "y").write_bytes(b"45")
    assert env.folder_bytes(tmp_path) == 5
    assert env.folder_bytes(tmp_path / "missing") == 0


def test_a_missing_package_is_none() -> None:
    assert env.installed_version("no-such-package") is None


def test_env_reports_the_machine_in_json(monkeypatch, tmp_path: Path, capsys) -> None:
    (tmp_path / "one").write_bytes(b"1234")
    monkeypatch.setenv("TEXTREEL_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run(["env", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cache"] == str(tmp_path)
    assert found["cache_bytes"] == 4
    assert found["offline"] is True
    assert found["cores"] >= 1
    assert found["versions"]["torch"].startswith("2.")
    assert found["ffmpeg"][0].isdigit()
    assert found["extras"]["dev"] is True


@pytest.mark.parametrize("size", [None, 8 * GIB])
def test_env_reads_as_lines(size: int | None, monkeypatch) -> None:
    monkeypatch.setattr(env, "memory_bytes", lambda: size)
    gpu = env.Accelerator(name="A GPU", memory_bytes=size)
    monkeypatch.setattr(env, "find_accelerators", lambda: [gpu])
    lines = env.describe(env.inspect_environment()).splitlines()
    shown = "unknown" if size is None else "8.0 GiB"
    assert f"memory       {shown}" in lines
    devices = "size unknown" if size is None else "8.0 GiB"
    assert f"accelerators A GPU ({devices})" in lines
    assert [line.split()[1] for line in lines if line.startswith("can ")][-1] == "train"
    assert lines[-1].startswith("can train    A GPU: ")
