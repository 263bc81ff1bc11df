"""Golden cases of TOPA: finding them, the tokenizer that they define, and a run made of one.

A case is a file `topa-KIND-VARIANT.json` with what lies beside it. Which variants there are, and
how many, is up to the folder; that there is one of each kind is a test of its own.
"""

import json
import os
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig

from textreel.cli.app import run
from textreel.data.collate import Collator
from textreel.data.templates import as_published
from textreel.models.batch import Batch
from textreel.models.track_lm import TrackLM
from textreel.serve.run_files import load_settings

ROOT = Path(__file__).parents[2]
GOLDENS = Path(os.environ.get("TEXTREEL_GOLDENS", ROOT / ".." / "shared" / "goldens"))
MODEL_KINDS, HELPERS = ("llama2", "llama3"), "helpers"


@dataclass(frozen=True)
class GoldenCase:
    """One json file and its neighbours."""

    path: Path

    @cached_property
    def spec(self) -> dict[str, Any]:
        return json.loads(self.path.read_text(encoding="utf-8"))

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.path.with_suffix("").with_suffix(".io.safetensors"))

    def file(self, key: str) -> Path:
        return self.path.parent / self.spec["files"][key]

    def tolerance(self, key: str) -> dict[str, float]:
        """What the file allows, such as `atol 2e-5 rtol 1e-4`, for `assert_close`."""
        stated = re.findall(r"(atol|rtol) ([0-9.e+-]+)", self.spec["tolerance"][key])
        assert stated, f"{self.path.name}: no tolerance in {self.spec['tolerance'][key]!r}"
        return {"atol": 0.0, "rtol": 0.0} | {name: float(value) for name, value in stated}

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]


def all_paths() -> list[Path]:
    return sorted(GOLDENS.glob("topa-*.json"))


def paths_of(kind: str) -> list[Path]:
    return sorted(GOLDENS.glob(f"topa-{kind}-*.json"))


def each_case(*kinds: str) -> pytest.MarkDecorator:
    """Parametrize `case` with every golden case of these kinds; a test's id holds the file's name.

    Skips if the whole folder is absent, and only then.
    """
    if not GOLDENS.is_dir():
        skip = pytest.mark.skip(reason=f"no golden files at {GOLDENS} (set TEXTREEL_GOLDENS)")
        return pytest.mark.parametrize("case", [pytest.param(None, id="absent", marks=skip)])
    found = [GoldenCase(path) for kind in kinds for path in paths_of(kind)]
    return pytest.mark.parametrize("case", found, ids=[case.path.name for case in found])


class GoldenTokenizer:
    """The tokenizer that a case defines: the longest piece that matches, else one UTF-8 byte."""

    is_fast = True

    def __init__(self, spec: dict[str, Any]) -> None:
        self.name_or_path = f"golden {spec['kind']}"
        self.bos_token_id, self.eos_token_id, self.pad_token_id = spec["bos"], spec["eos"], 0
        self.pieces: dict[str, int] = spec["pieces"]
        self.byte_ids: list[int] = spec["byte_ids"]
        self.longest = max(map(len, self.pieces))

    def _tokens(self, text: str) -> Iterator[tuple[int, tuple[int, int]]]:
        at = 0
        while at < len(text):
            for size in range(min(self.longest, len(text) - at), 0, -1):
                if (id := self.pieces.get(text[at : at + size])) is not None:
                    yield id, (at, at + size)
                    at += size
                    break
            else:
                for byte in text[at].encode():
                    yield self.byte_ids[byte], (at, at + 1)
                at += 1

    def encode(self, text: str) -> list[int]:
        return [id for id, _ in self._tokens(text)]

    def __call__(self, text, *, add_special_tokens, return_offsets_mapping):
        assert return_offsets_mapping and not add_special_tokens
        rows = [list(self._tokens(one)) for one in text]
        return {
            "input_ids": [[id for id, _ in row] for row in rows],
            "offset_mapping": [[span for _, span in row] for row in rows],
        }


@dataclass(frozen=True)
class Converted:
    """A case's checkpoint as a run, loaded: without a bridge, and with the memory."""

    case: GoldenCase
    folder: Path
    report: dict[str, Any]
    model: TrackLM
    decoder_folder: Path

    @cached_property
    def collator(self) -> Collator:
        template = as_published(load_settings(self.folder).template, self.model.config.published)
        tokenizer = GoldenTokenizer(self.case.spec["tokenizer"])
        return Collator(tokenizer, template, self.model.num_soft_tokens)

    @property
    def frames(self) -> int:
        return self.model.config.connector.max_frames


def write_decoder(case: GoldenCase, folder: Path) -> Path:
    """Write the case's base model as a Hugging Face directory."""
    folder.mkdir(parents=True)
    config = LlamaConfig(
        **case.spec["files"]["llama_hf_config"], architectures=["LlamaForCausalLM"]
    )
    config.save_pretrained(folder)
    (folder / "model.safetensors").symlink_to(case.file("llama_hf"))
    return folder


def convert(case: GoldenCase, folder: Path, capsys: pytest.CaptureFixture[str]) -> Converted:
    """Convert a case's checkpoint through the command line, with its memory."""
    llm = write_decoder(case, folder / "llm")
    memory = folder / "memory.pkl"
    memory.write_bytes(pickle.dumps(case["memory"]))
    out = folder / "run"
    arguments = ["convert", "topa", "--checkpoint", case.file("checkpoint"), "--llm", llm]
    arguments += ["--out", out, "--memory", memory, "--json"]
    capsys.readouterr()
    assert run([str(argument) for argument in arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    return Converted(case, out, report, TrackLM.from_pretrained(out), llm)


def golden_batch(case: GoldenCase, stream: str, slot: str, *, only_text: bool = False) -> Batch:
    """Return a golden stream's inputs as they are: ids, labels (0: none), features."""
    ids, labels = case[f"{stream}.{slot}_id"], case[f"{stream}.{slot}_label"]
    batch, options, length = ids.shape
    video = case[f"{stream}.video"]
    start = int(case[f"{stream}.{slot}_video_start"][0])
    slots = torch.zeros(batch * options, length, dtype=torch.bool)
    slots[:, start : start + video.shape[1]] = True
    seen = torch.arange(video.shape[1]) < case[f"{stream}.video_len"][:, None]
    return Batch(
        input_ids=ids.reshape(-1, length),
        attention_mask=torch.ones_like(slots),
        video_slots=slots,
        labels=labels.reshape(-1, length),
        features=(video * (not only_text))[:, :, None].repeat_interleave(options, dim=0),
        feature_mask=seen.repeat_interleave(options, dim=0),
        ids=tuple(f"{stream}-{i}" for i in range(batch * options)),
    )
