"""Finding an encoder's files: revisions, the cache, and what is said when they cannot be had."""

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HTTPError, RepositoryNotFoundError

from tests.models.encoder_fakes import save_clip
from textreel.models import encoder_files
from textreel.models.encoder_errors import EncoderError, EncoderUnavailableError
from textreel.models.encoder_files import find_encoder, wanted_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WHOLE = {"config.json": "{}", "model.safetensors": "weights", "tokenizer.json": "{}"}


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def cached(cache: Path, files: dict[str, str]) -> Path:
    repository = cache / "models--someone--clip"
    write(repository / "refs", {"main": COMMIT})
    return write(repository / "snapshots" / COMMIT, files)


def answer_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def model_info(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(encoder_files, "HfApi", lambda: SimpleNamespace(model_info=model_info))


def response(status: int) -> httpx2.Response:
    return httpx2.Response(status, request=httpx2.Request("GET", "https://huggingface.co"))


def test_a_copy_elsewhere_is_the_same_encoder(tmp_path: Path) -> None:
    first = find_encoder(save_clip(tmp_path / "here" / "towers"))
    shutil.copytree(first.path, tmp_path / "there" / "towers")
    second = find_encoder(str(tmp_path / "there" / "towers"))
    assert first.name == second.name == "towers"
    assert first.revision == second.revision
    assert first.revision.startswith("sha256:")


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_whatever_can_change_a_feature_changes_the_revision(tmp_path: Path, name: str) -> None:
    before = find_encoder(write(tmp_path, WHOLE)).revision
    write(tmp_path, {name: "another text"})
    assert find_encoder(tmp_path).revision != before


def test_what_cannot_change_a_feature_does_not(tmp_path: Path) -> None:
    before = find_encoder(write(tmp_path, WHOLE)).revision
    write(tmp_path, {"README.md": "a card", "statistics.safetensors": "means"})
    assert find_encoder(tmp_path).revision == before


def test_a_folder_without_all_of_its_weights_is_refused(tmp_path: Path) -> None:
    index = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "b.bin"}})
    write(tmp_path, {"config.json": "{}", "model.safetensors.index.json": index})
    with pytest.raises(EncoderError, match=r"holds no whole model: config.json and model.safe"):
        find_encoder(tmp_path)
    write(tmp_path, {"model-00001-of-00002.safetensors": "", "b.bin": ""})
    assert find_encoder(tmp_path).path == tmp_path
    (tmp_path / "config.json").unlink()
    with pytest.raises(EncoderError, match="holds no whole model"):
        find_encoder(tmp_path)


def test_pickled_weights_are_wanted_only_without_safetensors() -> None:
    parts = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    names = ["config.json", "onnx/model.onnx", "pytorch_model.bin", "tf_model.h5", "README.md"]
    assert wanted_files(names) == ["config.json", "pytorch_model.bin"]
    assert wanted_files([*names, *parts]) == ["config.json", *parts]


@pytest.mark.parametrize("name", ["/no/such/folder", "./towers", "a/b/c", "~/towers", ""])
def test_a_path_that_is_not_there_is_not_taken_for_an_id(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EncoderError, match=r"no folder|holds no whole model"):
        find_encoder(name)


def test_a_cached_id_needs_no_network(hub_cache: Path) -> None:
    snapshot = cached(hub_cache, WHOLE)
    found = find_encoder("someone/clip")
    assert (found.name, found.revision, found.path) == ("someone/clip", COMMIT, snapshot)


def test_offline_an_id_that_is_not_cached_names_the_way_out(hub_cache: Path) -> None:
    cached(hub_cache, {"config.json": "{}"})  # a download that was interrupted
    with pytest.raises(EncoderUnavailableError, match="someone/clip is not in the cache") as error:
        find_encoder("someone/clip")
    assert error.value.exit_code == 5
    assert "HF_HUB_OFFLINE" in error.value.hint
    assert str(hub_cache) in str(error.value)
    assert str(error.value).startswith("there is no folder someone/clip, the encoder someone/clip")


@pytest.mark.usefixtures("online")
def test_a_download_names_itself_and_its_size_first(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    siblings = [
        SimpleNamespace(rfilename=name, size=size)
        for name, size in [("config.json", 10), ("model.safetensors", 3_000_000), ("a.h5", 9)]
    ]
    info = SimpleNamespace(siblings=siblings, sha=COMMIT)
    api = SimpleNamespace(model_info=lambda name, files_metadata: info)
    asked: list[dict[str, object]] = []

    def snapshot(name: str, **kwargs: object) -> str:
        assert "downloading someone/clip: 2 files, 3 MB" in caplog.text
        asked.append(kwargs)
        return str(cached(hub_cache, WHOLE))

    monkeypatch.setattr(encoder_files, "HfApi", lambda: api)
    monkeypatch.setattr(encoder_files, "snapshot_download", snapshot)
    with caplog.at_level(logging.INFO, logger="textreel.models"):
        assert find_encoder("someone/clip").revision == COMMIT
        find_encoder("someone/clip")
    wanted = ["config.json", "model.safetensors"]
    assert asked == [{"revision": COMMIT, "allow_patterns": wanted}]


@pytest.mark.usefixtures("online", "hub_cache")
def test_without_a_network_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, HTTPError("no route to host"))
    with pytest.raises(EncoderUnavailableError, match=r"folder .*could not be fetched: no route"):
        find_encoder("someone/clip")


@pytest.mark.usefixtures("online", "hub_cache")
def test_an_unknown_id_is_a_spelling_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, RepositoryNotFoundError("404", response=response(404)))
    with pytest.raises(EncoderError, match="Hugging Face knows no model of that id") as error:
        find_encoder("someone/clipp")
    assert error.value.exit_code == 2


@pytest.mark.usefixtures("online", "hub_cache")
def test_a_gated_id_asks_for_the_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, GatedRepoError("403", response=response(403)))
    with pytest.raises(EncoderUnavailableError, match="someone/clip is gated"):
        find_encoder("someone/clip")
