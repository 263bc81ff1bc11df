"""The table of sizes in docs/ENCODERS.md is what `textreel encode sizes` prints."""

import json

import pytest

from tests.source import ROOT
from textreel.cli.app import run
from textreel.cli.encode_sizes import describe_size
from textreel.models.encoder_sizes import EncoderSize

SIZE = EncoderSize(tower="t", item="i", parameters=10, flops=3, vectors=(32, 768))


@pytest.mark.slow  # builds every tower at its full size, without weights
def test_the_documented_sizes_are_the_printed_ones(capsys) -> None:
    text = (ROOT / "docs" / "ENCODERS.md").read_text(encoding="utf-8")
    assert run(["encode", "sizes"]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 8 and printed in text
    assert run(["encode", "sizes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["sizes"]
    counts = {one["tower"]: round(one["parameters"] / 1e6, 1) for one in told}
    published = {"imagebind-audio": 86.2, "imagebind-image": 632.8, "of it: EVA ViT-g": 985.9}
    assert {tower: counts[tower] for tower in published} == published


def test_bytes_follow_from_the_counts() -> None:
    assert (SIZE.float32_bytes, SIZE.float16_bytes, SIZE.stored_bytes) == (40, 20, 49_152)


def test_a_tower_is_a_line_of_the_table() -> None:
    wanted = "| t | i | 0.0 M | 0.00 GB | 0.00 GB | 0 G | 0.00 s | 49.2 kB |"
    assert describe_size(SIZE) == wanted
