import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.train.training_job import config
from textreel.data.errors import FormatError
from textreel.train.errors import RunChangedError
from textreel.train.manifest import FILE, Manifest, config_json, open_run, read, this_machine
from textreel.train.precision import ComputePath

PATH = ComputePath(precision="fp32", attention="sdpa")


def _manifest(**changes: object) -> Manifest:
    manifest = Manifest(
        config=config_json(config()),
        model="m1",
        data="d1",
        machine=this_machine(PATH, threads=2, device=torch.device("cpu")),
        step_seconds={"fp32/sdpa": 0.5, "bf16/sdpa": 0.25},
    )
    return replace(manifest, **changes)


def test_what_is_recorded_comes_back(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    open_run(tmp_path, None, _manifest(), inexact=False)
    found = read(tmp_path)
    assert found == _manifest()
    assert open_run(tmp_path, found, _manifest(step_seconds={}), inexact=False) == found
    assert found.machine.path == PATH


def test_another_gpu_is_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {0: "A100", 1: "H200"}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: names[device.index])
    one, other = (
        this_machine(PATH, threads=2, device=torch.device("cuda", index)) for index in (0, 1)
    )
    with pytest.raises(RunChangedError, match=r"device='cuda \(A100\)', this is device='cuda \(H2"):
        open_run(tmp_path, _manifest(machine=one), _manifest(machine=other), inexact=False)


def test_the_first_setting_that_differs_is_named_with_both_values(tmp_path: Path) -> None:
    now = _manifest(config=config_json(config(lr=0.5, seed=9)))
    with pytest.raises(RunChangedError, match=r"started with lr=0\.03, this is lr=0\.5") as error:
        open_run(tmp_path, _manifest(), now, inexact=True)
    assert error.value.exit_code == 2
    assert "another folder" in error.value.hint


@pytest.mark.parametrize("what", ["model", "data"])
def test_another_model_or_other_data_are_refused(tmp_path: Path, what: str) -> None:
    with pytest.raises(RunChangedError, match=f"another {what}: fingerprint .1, this is x"):
        open_run(tmp_path, _manifest(), _manifest(**{what: "x"}), inexact=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [("torch", "9.9"), ("threads", 7), ("attention", "eager"), ("cpu_capability", "AVX9")],
)
def test_another_machine_is_refused_unless_inexact(
    tmp_path: Path, field: str, value: object
) -> None:
    first = _manifest()
    now = _manifest(machine=replace(first.machine, **{field: value}))
    before = getattr(first.machine, field)
    wanted = re.escape(f"was started with {field}={before!r}, this is {field}={value!r}")
    with pytest.raises(RunChangedError, match=wanted) as error:
        open_run(tmp_path, first, now, inexact=False)
    assert "--inexact" in error.value.hint
    assert not (tmp_path / FILE).exists()
    assert open_run(tmp_path, first, now, inexact=True).earlier == (first.machine,)
    assert read(tmp_path) == replace(now, earlier=(first.machine,))


def test_a_changed_thread_count_is_refused_unless_inexact(tmp_path: Path) -> None:
    now = _manifest(config=config_json(config(threads=2)))
    with pytest.raises(RunChangedError, match="with threads=1, this is threads=2") as error:
        open_run(tmp_path, _manifest(), now, inexact=False)
    assert "--inexact" in error.value.hint
    assert open_run(tmp_path, _manifest(), now, inexact=True).config["threads"] == 2


def test_a_newer_record_is_refused(tmp_path: Path) -> None:
    open_run(tmp_path, None, _manifest(), inexact=False)
    raw = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps(raw | {"format": 99}))
    with pytest.raises(FormatError, match="has format 99"):
        read(tmp_path)
