"""The memory: which rows it holds, and whose it is."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from textreel.data.errors import FingerprintError, FormatError
from textreel.features.memory import MemoryBuildError, build_memory, load_memory, save_memory


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_all_distinct_rows_come_back_normalised_and_in_order() -> None:
    rows = torch.tensor([[0.0, 2.0], [3.0, 0.0], [0.0, 7.0], [-0.0, 1.0], [-1.0, 0.0]])
    memory = build_memory(rows, 3, generator=seeded(0))
    expected = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]], dtype=torch.float16)
    assert torch.equal(memory, expected)


def test_a_choice_is_seeded_and_takes_each_row_once() -> None:
    rows = torch.randn(200, 6, generator=seeded(1))
    first, again = (build_memory(rows, 40, generator=seeded(2)) for _ in range(2))
    other = build_memory(rows, 40, generator=seeded(3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(first.unique(dim=0)) == 40
    torch.testing.assert_close(first.float().norm(dim=-1), torch.ones(40), atol=1e-3, rtol=0)
    everything = build_memory(rows, 200, generator=seeded(4))
    assert {tuple(row) for row in first.tolist()} <= {tuple(row) for row in everything.tolist()}


def test_every_row_has_the_same_chance() -> None:
    rows = torch.eye(8)
    counts = torch.zeros(8)
    for seed in range(400):
        counts += build_memory(rows, 2, generator=seeded(seed)).float().sum(0)
    assert counts.sum() == 800
    assert (counts - 100).abs().max() < 45  # 5 standard deviations of sqrt(400 * 1/4 * 3/4)


@pytest.mark.parametrize(
    ("rows", "size", "text"),
    [
        (torch.ones(3, 2), 2, "only 1 of 3 vectors are distinct, 2 were asked for"),
        (torch.zeros(1, 2), 1, "1 of 1 vectors are zero or not finite"),
        (torch.tensor([[torch.nan, 1.0], [1.0, 1.0]]), 1, "1 of 2 vectors are zero or not"),
        (torch.ones(3, 2), 0, "memory of 0 rows"),
        (torch.ones(3), 1, r"vectors \(3,\)"),
    ],
)
def test_a_memory_that_cannot_be_made_is_not(rows: torch.Tensor, size: int, text: str) -> None:
    with pytest.raises(MemoryBuildError, match=text):
        build_memory(rows, size, generator=seeded(0))


def test_a_memory_comes_back_with_its_make_up(tmp_path: Path) -> None:
    path = tmp_path / "memory.safetensors"
    rows = build_memory(torch.eye(4), 4, generator=seeded(0))
    save_memory(path, rows, encoder="towers", revision="abc", make_up="captions, seed 0")
    memory = load_memory(path, revision="abc")
    assert torch.equal(memory.vectors, rows)
    assert (memory.encoder, memory.revision, memory.make_up) == (
        "towers",
        "abc",
        "captions, seed 0",
    )
    assert load_memory(path).revision == "abc"
    assert "(4, 4), towers" in repr(memory)


def test_a_memory_of_another_encoder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "memory.safetensors"
    save_memory(path, torch.eye(2), encoder="clip", revision="abc", make_up="captions")
    with pytest.raises(FingerprintError, match=r"memory of clip \(abc\), but .* revision xyz"):
        load_memory(path, revision="xyz")


def test_files_that_are_no_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "memory.safetensors"
    path.write_text("no tensors")
    with pytest.raises(FormatError, match="is no memory file of textreel: "):
        load_memory(path)
    save_file({"memory": torch.eye(2)}, path)
    with pytest.raises(FormatError, match="its header has no format number"):
        load_memory(path)
    save_file({"memory": torch.eye(2)}, path, {"format": "2", "kind": "memory", "version": "9.0"})
    with pytest.raises(FormatError, match=r"has format 2, written by textreel 9\.0"):
        load_memory(path)
    with pytest.raises(FileNotFoundError):
        load_memory(tmp_path / "nowhere.safetensors")
