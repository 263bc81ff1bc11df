import json
import pickle
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from textreel.cli.app import run
from textreel.features.store import FeatureStore


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    unit = normalize(torch.ones(4, 8), dim=-1)
    torch.save({"a": unit, "b": 2 * unit, "c": torch.zeros(4, 8)}, tmp_path / "f.pth")
    places = ["encode", "import", str(tmp_path / "f.pth"), "--out", str(tmp_path / "store")]
    return [*places, "--encoder", "clip-l14", "--revision", "r1"]


def test_an_import_reports_what_it_did(command, tmp_path, capsys) -> None:
    durations = tmp_path / "d.json"
    durations.write_text('{"a": 8, "b": 4}')
    given = ["--normalize", "--duration-from", str(durations), "--max-bad", "1", "--json"]
    assert run([*command, *given]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["clips"], said["stored"], said["format"], said["detected"]) == (
        *(2, 2, "clip-pth", True),
    )
    assert said["bad"] == {"ZeroVector": 1}
    listed = Path(said["quarantine"]).read_text().splitlines()
    assert [json.loads(line)["id"] for line in listed] == ["c"]
    store = FeatureStore.open(tmp_path / "store")
    assert store["a"].times_s.tolist() == [1.0, 3.0, 5.0, 7.0]
    assert (store.identity.encoder, store.identity.sampling) == ("clip-l14", said["sampling"])
    assert run([*command, *given[:-1]]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("2 clips, 8 frames of width 8; 0 stored now, 2 were there")
    assert told[1].split()[:5] == ["format", "clip-pth,", "by", "its", "files'"]
    assert told[2] == "  lengths  1.0000 to 2.0000, made 1"
    assert told[3] == "  times    centres of equal slices of the given durations"
    assert told[4] == f"  bad      1 ZeroVector; see {said['quarantine']}"


def test_too_much_bad_exits_3(command, tmp_path, capsys) -> None:
    assert run([*command, "--normalize"]) == 3
    assert "1 of 3 samples are bad, 1% allowed: 1 ZeroVector" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_lengths_and_limits_are_refused_in_one_line(command, capsys) -> None:
    assert run([*command, "--max-bad", "1"]) == 2
    said = capsys.readouterr().err
    assert "4 of 8 vectors in" in said and "give --normalize" in said
    assert run([*command, "--normalize", "--keep-norms"]) == 2
    assert "--normalize and --keep-norms contradict each other" in capsys.readouterr().err
    assert run([*command, "--max-bad", "many"]) == 2
    assert "--max-bad: max_bad='many' is no limit" in capsys.readouterr().err
    assert run([*command, "--modality", "smell"]) == 2
    assert "modality='smell' is none of" in capsys.readouterr().err


def test_another_file_is_not_taken_for_a_quarantine(command, tmp_path, capsys) -> None:
    mine = tmp_path / "store.quarantine.jsonl"
    mine.write_text("my notes\n")
    assert run([*command, "--normalize"]) == 2
    assert "is no quarantine entry" in capsys.readouterr().err
    assert mine.read_text() == "my notes\n"


def test_textvid_without_features_is_told(tmp_path, capsys) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "v1.pkl").write_bytes(pickle.dumps(torch.eye(2, 8)))
    records = [{"idx": name, "frames": [{"caption": "a", "dog": "b"}]} for name in ("v1", "v2")]
    (tmp_path / "t.json").write_text(json.dumps(records))
    given = ["--encoder", "e", "--revision", "r", "--textvid", str(tmp_path / "t.json")]
    assert run(["encode", "import", str(tmp_path / "f"), "--out", str(tmp_path / "s"), *given]) == 0
    assert "  missing  1 records have no usable features" in capsys.readouterr().out
    found = FeatureStore.open(tmp_path / "s")["v1"].values
    assert torch.equal(found, torch.tensor([[[0.5**0.5] * 2 + [0.0] * 6]]).half())
