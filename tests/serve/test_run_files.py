"""A run's own files: round trips, and every way in which a folder is not a run."""

import json
from pathlib import Path

import pytest

from textreel.data.errors import FormatError
from textreel.data.templates import TINY
from textreel.media.sampling import SamplingError, SamplingSpec
from textreel.serve.errors import RunError
from textreel.serve.run_files import (
    BridgeSettings,
    RunSettings,
    find_run,
    load_settings,
    save_settings,
)


def settings(**changes: object) -> RunSettings:
    values: dict[str, object] = {
        "encoder": "embedded:tiny/towers",
        "template": TINY,
        "sampling": SamplingSpec(num_frames=5, start_s=0.5),
        "bridge": BridgeSettings(name="memory", temperature=0.05, top_k=7),
        "knows": "coloured shapes — nothing else",
    }
    return RunSettings(**(values | changes))  # type: ignore[arg-type]


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    save_settings(tmp_path, settings())
    assert load_settings(tmp_path) == settings()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.json", "sampling.json"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no run .*gone: no such folder") as error:
        find_run(tmp_path / "gone")
    assert error.value.exit_code == 2
    assert "`tiny`" in error.value.hint


def test_a_folder_that_is_no_run_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    save_settings(tmp_path, settings())
    with pytest.raises(RunError, match=r"it lacks config\.json, model\.safetensors$"):
        find_run(tmp_path)


def test_a_whole_run_is_found(tmp_path: Path) -> None:
    save_settings(tmp_path, settings())
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).touch()
    assert find_run(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": 1}, "run.json: missing or unknown fields: noise"),
        ({"template": {}}, "PromptTemplate has missing or unknown fields: bos, "),
        ({"bridge": []}, "BridgeSettings has missing or unknown fields: name, temp"),
    ],
)
def test_a_changed_file_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    save_settings(tmp_path, settings())
    edit(tmp_path / "run.json", **changes)
    with pytest.raises(RunError, match=message):
        load_settings(tmp_path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    save_settings(tmp_path, settings())
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run\.json is not JSON"):
        load_settings(tmp_path)


def test_a_newer_run_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    save_settings(tmp_path, settings())
    edit(tmp_path / "run.json", format=99)
    with pytest.raises(FormatError, match="format 99"):
        load_settings(tmp_path)
    edit(tmp_path / "run.json", format=1, kind="journal")
    with pytest.raises(FormatError, match="holds 'journal'"):
        load_settings(tmp_path)


def test_a_sampling_rule_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    save_settings(tmp_path, settings())
    (tmp_path / "sampling.json").write_text("[]")
    with pytest.raises(SamplingError, match="not a JSON object"):
        load_settings(tmp_path)


def test_bridges_are_checked() -> None:
    with pytest.raises(RunError, match="unknown bridge 'rope'") as error:
        BridgeSettings(name="rope")  # type: ignore[arg-type]
    assert error.value.hint == "one of none, memory, mean_shift, centre"
    with pytest.raises(RunError, match="unknown dtype 'float16' of a memory"):
        BridgeSettings(name="memory", dtype="float16")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="have no effect on the bridge 'mean_shift'"):
        BridgeSettings(name="mean_shift", top_k=3)
    with pytest.raises(RunError, match="dtype and centred have no effect on the bridge 'none'"):
        BridgeSettings(centred=True)


def test_a_run_of_before_memories_had_all_their_options_is_read(tmp_path: Path) -> None:
    save_settings(tmp_path, settings())
    values = json.loads((tmp_path / "run.json").read_text())
    del values["bridge"]["dtype"], values["bridge"]["centred"]
    edit(tmp_path / "run.json", bridge=values["bridge"])
    bridge = load_settings(tmp_path).bridge
    assert (bridge.dtype, bridge.centred) == ("float32", False)
