import json
from pathlib import Path

import pytest
import torch

from tests.features.media_files import make_videos
from tests.media import traps
from tests.models.encoder_fakes import save_clip
from textreel.cli.app import run
from textreel.features.store import FeatureStore


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_videos(home / "videos", count=2)
    traps.text(home / "videos")
    (home / "videos" / "captions.json").write_text("{}")
    save_clip(home / "towers")
    return home


def command(home: Path, out: Path, *more: str) -> list[str]:
    towers = str(home / "towers")
    return [
        *("encode", "run", str(home / "videos"), "--encoder", towers, "--out", str(out)),
        *("--num-frames", "2", "--workers", "1", *more),
    ]


def test_a_run_a_repetition_and_a_check(home: Path, tmp_path: Path, capsys) -> None:
    store = tmp_path / "store"
    assert run(command(home, store, "--max-bad", "1", "--json")) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["ok"], told["files"], told["encoded"], told["frames"]) == (True, 3, 2, 4)
    assert told["bad_by_kind"] == {"NotMediaError": 1} and told["ignored"] == {".json": 1}
    assert told["quarantine"] == str(store / "quarantine.jsonl")
    assert "textreel: files 3/3" in said.err and "encoder waits" in said.err
    assert run(["-q", *command(home, store, "--max-bad", "50%")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"0 of 3 files encoded into {store} (2 stored before, 1 bad)"
    assert lines[1].startswith("0 frames in ") and "the encoder waited for" in lines[1]
    assert lines[2] == f"bad: 1 NotMediaError; see {store / 'quarantine.jsonl'}"
    assert lines[3] == "ignored: 1 .json"
    assert run(["encode", "check", str(store), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["tracks"], told["files"], told["problems"]) == (True, 2, 2, [])
    assert (told["encoder"], told["feature_dim"]) == ("towers", 10)


def test_too_many_bad_files_exit_3(home: Path, tmp_path: Path, capsys) -> None:
    assert run(command(home, tmp_path / "store", "--json")) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"].startswith("1 of 3 samples are bad, 1% allowed: 1 NotMediaError")
    assert str(tmp_path / "store" / "quarantine.jsonl") in error["hint"]


def test_damage_is_listed_and_exits_1(home: Path, tmp_path: Path, capsys) -> None:
    store = tmp_path / "store"
    assert run(command(home, store, "--max-bad", "1")) == 0
    (shard,) = store.glob("shards/*")
    shard.unlink()
    capsys.readouterr()
    assert run(["encode", "check", str(store), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False and told["error"]["type"] == "FeatureStoreError"
    assert told["problems"][0]["shard"] == shard.name
    assert run(["encode", "check", str(store)]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].startswith(f"damaged  {shard.name} cannot be read")
    assert said.err.startswith(f"textreel: {store} is damaged in 1 places")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shard", "3/2"], "there is no shard 3/2"),
        (["--shard", "half"], "shard 'half' is not of the form i/n"),
        (["--policy", "best"], "--policy best is not a sampling rule"),
        (["--device", "cuda:77"], "--device cuda:77 is not on this machine"),
        (["--encoder", "no/such/folder"], "no folder no/such/folder"),
        (["--patches", "--encoder", "embedded:tiny/towers"], "picture tower gives no patch tokens"),
        (["--max-bad", "few"], "max_bad='few' is no limit"),
    ],
)
def test_bad_options_are_one_line_and_make_nothing(
    more: list[str], message: str, home: Path, tmp_path: Path, capsys
) -> None:
    assert run(command(home, tmp_path / "store", *more)) in {1, 2}
    assert message in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_what_is_no_store_is_refused(tmp_path: Path, capsys) -> None:
    assert run(["encode", "check", str(tmp_path)]) == 1
    assert "is no feature store" in capsys.readouterr().err


def test_an_embedded_encoder_is_found_by_its_name(home: Path, tmp_path: Path, capsys) -> None:
    video = str(home / "videos" / "v0.mp4")
    more = ["--encoder", "embedded:tiny/towers", "--out", str(tmp_path / "s"), "--workers", "1"]
    assert run(["encode", "run", video, *more, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["encoded"] == 1


def test_patches_are_stored_and_no_pooled_features_with_them(
    home: Path, tmp_path: Path, capsys
) -> None:
    line = command(home, tmp_path / "store")
    line[2] = str(home / "videos" / "v0.mp4")
    assert run([*line, "--patches"]) == 0
    store = FeatureStore.open(tmp_path / "store")
    assert (store.identity.encoder, store.identity.feature_dim) == ("towers#patches", 10)
    (features,) = (store[id] for id in store)
    assert (features.values.shape, features.values.dtype) == ((2, 9, 10), torch.float16)
    assert features.encoder == "towers#patches"
    norms = features.values.float().norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones(2, 9), atol=2e-3, rtol=0)
    capsys.readouterr()
    assert run(line) == 2
    message = "made by another encoder: encoder 'towers#patches' in the store but 'towers' here"
    assert message in capsys.readouterr().err
