from pathlib import Path

import pytest
import torch

from tests.features.kill_store import track
from tests.media import traps
from tests.models.encoder_fakes import save_clip
from textreel.data.media_files import find_media
from textreel.features import file_keys
from textreel.features.encode import EncodeError, PreparedClip, encode_together, prepare_clip
from textreel.features.errors import FeatureStoreError
from textreel.features.file_index import FileIndex, read_file_index
from textreel.features.file_keys import keys_ahead
from textreel.features.stages import Encode, Write
from textreel.features.store import FeatureStore
from textreel.features.store_check import check_store
from textreel.features.towers import PictureTower
from textreel.media.decode import read_clip
from textreel.media.errors import MissingFileError, UnreadableFileError
from textreel.models.encoders import DualEncoder, load_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_encoder(save_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture
def clip(tmp_path: Path, encoder: DualEncoder) -> PreparedClip:
    return prepare_clip("a", read_clip(traps.plain(tmp_path)), PictureTower(encoder))


def test_the_tower_counts_its_waiting(encoder: DualEncoder, clip: PreparedClip) -> None:
    clock = iter([0.0, 3.0, 4.0, 6.0, 8.0])
    with Encode(PictureTower(encoder), clock=lambda: next(clock)) as encode:
        done = encode.put([clip])
        done += encode.finish()
        encode._idle_since_s = 4.0  # as if the first had been returned before
        done += encode.put([clip])
        done += encode.finish()
        assert (encode.wait_s, encode.busy_s) == (3.0 + 2.0, 1.0 + 2.0)
        assert encode.wait_share == 5 / 8
    wanted = encode_together([clip], PictureTower(encoder))[0][1].values
    assert len(done) == 2
    for tracks in done:
        assert torch.equal(tracks[0][1].values, wanted)


def test_before_anything_is_done_all_time_is_waiting(encoder: DualEncoder) -> None:
    clock = iter([0.0, 2.0])
    with Encode(PictureTower(encoder), clock=lambda: next(clock)) as encode:
        assert encode.wait_share == 1.0
        assert encode.finish() == [] and encode.wait_share == 0.0


def test_an_error_in_the_tower_is_raised_where_windows_are_taken(clip: PreparedClip) -> None:
    class Broken:
        def encode(self, inputs: object) -> None:
            raise RuntimeError("the tower fell")

    with Encode(Broken()) as encode, pytest.raises(RuntimeError, match="the tower fell"):
        encode.put([clip])
        encode.finish()


def test_a_clip_without_frames_is_refused(tmp_path: Path, encoder: DualEncoder) -> None:
    with pytest.raises(EncodeError, match="nothing to encode"):
        prepare_clip("a", read_clip(traps.wave(tmp_path)), PictureTower(encoder))
    assert encode_together([], PictureTower(encoder)) == []


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore.create(
        tmp_path / "store", encoder="e", revision="r", sampling="s", feature_dim=16
    )


@pytest.mark.parametrize(
    ("limits", "shards"),
    [
        ({}, 1),
        ({"tracks_per_shard": 2}, 2),
        ({"bytes_per_shard": 1}, 2),
        ({"commit_every_s": 0.0}, 2),
    ],
)
def test_windows_are_stored_whole(store: FeatureStore, limits, shards: int) -> None:
    with (
        store.writer() as writer,
        FileIndex.open(store, shard=(0, 1)) as index,
        Write(writer, index, **limits) as write,
    ):
        for first in (0, 2):
            names = [f"c{first}", f"c{first + 1}"]
            tracks = [(name, track(int(name[1:]))) for name in names]
            write.put(tracks, [Path(f"/v/{name}.mp4") for name in names])
        write.finish()
        assert len(store) == 4
    assert store.totals()[:3] == (shards, 4, 1 + 2 + 3 + 4)
    assert store.totals().bytes == sum(f.stat().st_size for f in store.path.glob("shards/*"))
    assert read_file_index(store.path) == {f"/v/c{i}.mp4": f"c{i}" for i in range(4)}


def test_a_file_that_changed_gets_another_line(store: FeatureStore, tmp_path: Path) -> None:
    for id in ("one", "one", "two"):
        with FileIndex.open(store, shard=(0, 1)) as index:
            index.record(tmp_path / "a.mp4", id)
    assert read_file_index(store.path) == {str(tmp_path / "a.mp4"): "two"}
    lines = (store.path / "files-0-of-1.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 2  # the header, and one per content


def test_keys_come_in_order_with_the_reason_where_there_is_none(
    tmp_path: Path, monkeypatch
) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.mp4").write_text(name)
    files = find_media([tmp_path]).files
    (tmp_path / "b.mp4").unlink()
    whole = file_keys.content_hash

    def content_hash(path: Path) -> str:
        if path.name == "c.mp4":
            raise OSError(5, "Input/output error")
        return whole(path)

    monkeypatch.setattr(file_keys, "content_hash", content_hash)
    found = list(keys_ahead(files))
    assert [file.name for file, _ in found] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    kinds = [type(key) for _, key in found]
    assert kinds == [str, MissingFileError, UnreadableFileError, str]
    assert str(found[2][1]).endswith("c.mp4: cannot be read: Input/output error")


def test_a_whole_store_has_no_problems_and_damage_is_named(store: FeatureStore) -> None:
    with store.writer() as writer, FileIndex.open(store, shard=(0, 1)) as index:
        writer.add("c1", track(1))
        writer.commit()
        index.record(Path("/v/a.mp4"), "c1")
    report = check_store(store.path)
    report.require_whole()
    assert (report.shards, report.tracks, report.frames, report.files) == (1, 1, 2, 1)
    with FileIndex.open(store, shard=(0, 1)) as index:
        index.record(Path("/v/b.mp4"), "gone")
    (shard,) = store.path.glob("shards/*")
    shard.write_bytes(shard.read_bytes()[:-1] + b"\xff")
    report = check_store(store.path)
    assert [problem.shard for problem in report.problems] == [shard.name, "its file index"]
    assert "of 1 files (first: /v/b.mp4)" in report.problems[1].message
    with pytest.raises(FeatureStoreError, match=r"is damaged in 2 places \(first: 0-of-1-00000"):
        report.require_whole()
