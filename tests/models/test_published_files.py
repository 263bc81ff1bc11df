"""Published weight files that are missing, damaged, of another kind, or of another model."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from textreel.models.published_files import PublishedFileError, fit, read_weights

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}


def read(path: Path) -> dict[str, Tensor]:
    return read_weights(path, what="a model")


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_weights_are_read_bare_or_wrapped(tmp_path: Path, wrapper: str | None) -> None:
    table = WEIGHTS if wrapper is None else {wrapper: WEIGHTS, "epoch": 3}
    torch.save(table, tmp_path / "w.pth")
    found = read(tmp_path / "w.pth")
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_old_torch_files_and_safetensors_are_read(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(WEIGHTS, tmp_path / "new.safetensors")
    for name in ("old.pth", "new.safetensors"):
        assert torch.equal(read(tmp_path / name)["b"], WEIGHTS["b"])


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(PublishedFileError, match=r"no file .*which should hold the weights of"):
        read(tmp_path / "no.pth")
    torch.save(WEIGHTS, tmp_path / "w.pth")
    with pytest.raises(PublishedFileError, match="is a folder; the weights of a model") as told:
        read(tmp_path)
    assert told.value.hint == "give a file in it, such as w.pth" and told.value.exit_code == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(PublishedFileError) as told:
        read(tmp_path / "empty")
    assert told.value.hint == "give the file itself"


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98])
def test_a_file_cut_short_is_one_message(tmp_path: Path, old: bool, share: float) -> None:
    path = tmp_path / "w.pth"
    torch.save({"w": torch.zeros(5000)}, path, _use_new_zipfile_serialization=not old)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(PublishedFileError, match=r"cannot be read as .* it may be cut") as told:
        read(path)
    assert "\n" not in str(told.value) and str(path) in str(told.value)


@pytest.mark.parametrize("content", [b"hello, this is text", b"\x89PNG\r\n", b"PK\x03\x04 nothing"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PublishedFileError, match="cannot be read as") as told:
            read(tmp_path / name)
        assert "weights_only" not in str(told.value)


def test_a_file_without_weights_is_refused(tmp_path: Path) -> None:
    for value in ([1, 2], {"args": 3}, {"model": {"w": 1}}):
        torch.save(value, tmp_path / "w.pth")
        with pytest.raises(PublishedFileError, match="holds no table of weights"):
            read(tmp_path / "w.pth")


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/never"),))


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save({"w": Evil()}, tmp_path / "w.pth")
    with pytest.raises(PublishedFileError, match="cannot be read as a model"):
        read(tmp_path / "w.pth")


def test_weights_must_fit_one_to_one() -> None:
    def told(tensors: dict[str, Tensor]) -> str:
        wanted = {"x": torch.zeros(2, 3), "b": torch.zeros(4)}
        names = {"a.weight": "x", "skip": None}
        with pytest.raises(PublishedFileError) as caught:
            fit(tensors, wanted, rename=lambda n: names.get(n, n), path="w.pth", what="a model")
        return str(caught.value)

    assert "1 of 2 weights are missing (first: x), 0 are left over" in told({"b": WEIGHTS["b"]})
    assert "0 of 2 weights are missing, 1 are left over (first: c)" in told(
        {**WEIGHTS, "c": torch.zeros(1), "skip": torch.zeros(1)}
    )
    wrong = {**WEIGHTS, "b": torch.zeros(5)}
    assert "1 weights have another shape (first: b is (5,), not (4,))" in told(wrong)
