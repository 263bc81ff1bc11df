"""The guides run, whole and in order: commands, snippets, and the files that they show.

Each guide has an empty folder with the reader's `clip.mp4` in it. The image-LLM that guides name is
a tiny random one of that class here, because nothing is downloaded.
"""

import io
import json
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.source import ROOT

GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
NAMED = "HuggingFaceTB/SmolVLM-256M-Instruct"


@dataclass(frozen=True)
class Block:
    kind: str
    title: str
    text: str


def blocks_of(text: str) -> list[Block]:
    found = re.findall(r"^```(\w+) ?([\w.-]*)\n(.*?)^```$", text, re.M | re.S)
    return [Block(*parts) for parts in found]


def commands(block: Block) -> list[list[str]]:
    lines = [line for line in block.text.splitlines() if line.strip()]
    assert all(line.startswith("$ textreel ") for line in lines), f"no command: {lines}"
    return [shlex.split(line.removeprefix("$ textreel ")) for line in lines]


def test_there_are_guides_and_nothing_in_them_escapes() -> None:
    assert len(GUIDES) >= 5
    for path in GUIDES:
        blocks = blocks_of(path.read_text(encoding="utf-8"))
        assert path.read_text(encoding="utf-8").count("```") == 2 * len(blocks)
        assert {block.kind for block in blocks} <= {"console", "python", "text"}
        assert all(block.title for block in blocks if block.kind == "text")
        assert sum(len(commands(b)) for b in blocks if b.kind == "console") or path.stem == "python"


def run_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    from textreel.cli.app import run

    if "<" in words:
        *words, _, name = words
        monkeypatch.setattr(sys, "stdin", io.StringIO(Path(name).read_text()))
    return run(words)


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_a_guide_runs(guide: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    from tests.models.image_mllm.tiny_image_llms import save_image_llm
    from tests.serve.runs import video

    monkeypatch.chdir(tmp_path)
    video(Path("clip.mp4"), seed=1, sound=True)
    model = save_image_llm(tmp_path / "image-llm")
    config = json.loads((model / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 4096  # its tokens are bytes
    (model / "config.json").write_text(json.dumps(config))
    blocks = blocks_of(guide.read_text(encoding="utf-8").replace(NAMED, str(model)))
    for block in blocks:
        if block.kind == "text":
            Path(block.title).write_text(block.text)
    names: dict[str, object] = {"__name__": "guide"}
    for block in blocks:
        if block.kind == "python":
            exec(compile(block.text, str(guide), "exec"), names)
        for words in commands(block) if block.kind == "console" else []:
            assert run_command(words, monkeypatch) == 0, f"{shlex.join(words)}"
    assert capsys.readouterr().out.strip()


@pytest.mark.slow
def test_the_guides_leave_what_they_promise(tmp_path: Path, monkeypatch, capsys) -> None:
    for stem in ("chat", "predict"):
        guide = next(path for path in GUIDES if path.stem == stem)
        folder = tmp_path / stem
        folder.mkdir()
        test_a_guide_runs(guide, folder, monkeypatch, capsys)
    promised = ["chat/frames.png", "chat/talk.json", "predict/answers.jsonl", "predict/tiny.jsonl"]
    promised += [f"predict/parts-0000{i}-of-00002.jsonl" for i in range(2)]
    assert [name for name in promised if not (tmp_path / name).is_file()] == []
