import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from textreel.data.errors import FormatError, LockedError, TakenError
from textreel.features.errors import (
    FeatureMismatchError,
    FeatureStoreError,
    MissingFeaturesError,
)
from textreel.features.store import FeatureStore, StoreProblem
from textreel.models.batch import Features


def features(number: int, *, frames: int = 3, vectors: int = 1, **changes: object) -> Features:
    values = torch.arange(frames * vectors * 4, dtype=torch.float16).view(frames, vectors, 4)
    made = {
        "values": values + 100 * number,
        "times_s": torch.arange(frames, dtype=torch.float64) / 3 + number,
        "modality": "image",
        "encoder": "clip",
        "revision": "abc",
    }
    return Features(**{**made, **changes})  # type: ignore[arg-type]


def same(left: Features, right: Features) -> bool:
    return (
        torch.equal(left.values, right.values)
        and left.values.dtype == right.values.dtype
        and torch.equal(left.times_s, right.times_s)
        and left.times_s.dtype == right.times_s.dtype
        and (left.modality, left.encoder, left.revision)
        == (right.modality, right.encoder, right.revision)
    )


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore.create(
        tmp_path / "store", encoder="clip", revision="abc", sampling="centres-8", feature_dim=4
    )


@pytest.fixture
def filled(store: FeatureStore) -> FeatureStore:
    """Seven tracks in three shards: 3, 3 and 1."""
    with store.writer(tracks_per_shard=3) as writer:
        for number in range(7):
            assert writer.add(f"c{number}", features(number, frames=number, vectors=1 + number % 2))
    return store


def shards(store: FeatureStore) -> list[str]:
    return sorted(path.name for path in (store.path / "shards").iterdir())


def test_what_is_stored_is_read_back_exactly(filled: FeatureStore) -> None:
    for store in (filled, FeatureStore.open(filled.path), pickle.loads(pickle.dumps(filled))):
        assert store.ids() == tuple(store) == tuple(f"c{i}" for i in range(7))
        assert (len(store), "c3" in store, "c7" in store) == (7, True, False)
        for number in range(7):
            wanted = features(number, frames=number, vectors=1 + number % 2)
            assert same(store[f"c{number}"], wanted)
    assert shards(filled) == [f"0-of-1-0000{i}.safetensors" for i in range(3)]


def test_many_are_read_in_the_order_asked_for(filled: FeatureStore) -> None:
    found = filled.read_many(["c6", "c1", "c6"])
    assert [len(f.times_s) for f in found] == [6, 1, 6]


@pytest.mark.parametrize(
    "frames",
    [slice(2, 4), slice(None, None, 2), slice(-2, None), slice(4, 1), slice(9, 12), slice(1, 5, 3)],
)
def test_some_frames_are_what_slicing_all_frames_gives(filled: FeatureStore, frames: slice) -> None:
    whole, part = filled["c5"], filled.read("c5", frames=frames)
    assert torch.equal(part.values, whole.values[frames])
    assert torch.equal(part.times_s, whole.times_s[frames])


def test_frames_are_not_read_backwards(filled: FeatureStore) -> None:
    with pytest.raises(ValueError, match="the step must be > 0"):
        filled.read("c5", frames=slice(None, None, -1))


def test_what_was_read_may_be_changed_without_changing_the_store(filled: FeatureStore) -> None:
    filled["c5"].values.zero_()
    assert same(filled["c5"], features(5, frames=5, vectors=2))


def test_a_miss_says_how_many_which_where_and_what_to_do(filled: FeatureStore) -> None:
    with pytest.raises(MissingFeaturesError) as caught:
        filled.read_many(["c1", "x", "c2", "y"])
    assert str(caught.value) == (f"2 of 4 clips have no features in {filled.path} (first: 'x')")
    assert "textreel encode run" in caught.value.hint
    assert isinstance(caught.value, LookupError)
    with pytest.raises(MissingFeaturesError, match="1 of 1 clips have no features"):
        filled["x"]


def test_ids_that_are_stored_are_skipped_and_counted(filled: FeatureStore) -> None:
    before = shards(filled)
    with FeatureStore.open(filled.path).writer() as writer:
        assert not writer.add("c1", features(9))
        assert writer.add("new", features(9))
        assert not writer.add("new", features(9))
        assert ("c1" in writer, "new" in writer, "newer" in writer) == (True, True, False)
        assert writer.num_skipped == 2
    assert len(shards(filled)) == len(before) + 1
    assert same(FeatureStore.open(filled.path)["c1"], features(1, frames=1, vectors=2))


def test_a_store_learns_of_a_shard_when_it_is_committed(store: FeatureStore) -> None:
    other = FeatureStore.open(store.path)
    with store.writer(tracks_per_shard=2) as writer:
        writer.add("a", features(1))
        assert len(store) == 0
        writer.add("b", features(2))
        assert store.ids() == ("a", "b")
        writer.add("c", features(3))
        writer.commit()
        writer.commit()
        assert same(store["c"], features(3))
        assert len(other) == 0
        other.refresh()
        assert other.ids() == ("a", "b", "c")
    assert len(shards(store)) == 2


def test_a_shard_is_full_by_bytes_too(store: FeatureStore) -> None:
    with store.writer(bytes_per_shard=48) as writer:
        for number in range(4):
            writer.add(str(number), features(number))
        assert len(store) == 4
    assert len(shards(store)) == 2


def test_an_error_in_the_block_keeps_what_was_added(store: FeatureStore) -> None:
    with pytest.raises(KeyboardInterrupt), store.writer() as writer:
        writer.add("a", features(1))
        raise KeyboardInterrupt
    assert FeatureStore.open(store.path).ids() == ("a",)


def test_a_shard_without_its_index_line_does_not_count_and_is_written_anew(
    filled: FeatureStore,
) -> None:
    index = filled.path / "index-0-of-1.jsonl"
    index.write_bytes(index.read_bytes()[:-30])
    (filled.path / "shards" / ".0-of-1-00002.safetensors.tmp-1-ab").write_bytes(b"half")
    store = FeatureStore.open(filled.path)
    assert store.ids() == tuple(f"c{i}" for i in range(6))
    with store.writer() as writer:
        writer.add("d", features(8))
    assert shards(store) == [f"0-of-1-0000{i}.safetensors" for i in range(3)]
    assert same(FeatureStore.open(store.path)["d"], features(8))
    assert store.check() == []


def test_two_parts_may_be_written_at_once_one_part_may_not(store: FeatureStore) -> None:
    with store.writer(shard=(0, 2)) as first, store.writer(shard=(1, 2)) as second:
        first.add("a", features(1))
        second.add("b", features(2))
        second.add("a", features(3))
        with (
            pytest.raises(
                LockedError, match=f"index-0-of-2.jsonl is being written by process {os.getpid()}"
            ),
            store.writer(shard=(0, 2)),
        ):
            pytest.fail("two writers")
    store = FeatureStore.open(store.path)
    assert sorted(store.ids()) == ["a", "b"]
    assert same(store["a"], features(1))
    assert store.check() == []


def test_features_the_store_is_not_for_are_refused(store: FeatureStore) -> None:
    wrong = torch.zeros(3, 1, 5, dtype=torch.float16)
    cases = [
        (features(1, encoder="siglip"), "made by another encoder: encoder 'clip' in the store but"),
        (features(1, revision="abd"), "revision 'abc' in the store but 'abd' here"),
        (features(1, values=wrong), "feature_dim 4 in the store but 5 here"),
    ]
    with store.writer() as writer:
        for case, message in cases:
            with pytest.raises(FeatureMismatchError, match=message):
                writer.add("a", case)
    assert len(store) == 0


def test_values_a_store_cannot_keep_are_refused(store: FeatureStore) -> None:
    broken = torch.tensor([[[1.0, float("nan"), float("inf"), 0.0]]] * 3).half()
    with store.writer() as writer:
        with pytest.raises(
            FeatureStoreError, match=r"'a' are torch.float32, a store holds torch.f"
        ):
            writer.add("a", features(1, values=torch.zeros(3, 1, 4)))
        with pytest.raises(FeatureStoreError, match="6 of 12 values are NaN or infinite"):
            writer.add("a", features(1, values=broken))
    assert len(store) == 0


def test_a_run_refuses_features_of_another_encoder_or_of_other_frames(store: FeatureStore) -> None:
    store.require(encoder="clip", revision="abc", sampling="centres-8")
    store.require()
    with pytest.raises(FeatureMismatchError) as caught:
        store.require(encoder="siglip", revision="def", sampling="centres-8")
    assert str(caught.value) == (
        f"{store.path} holds features made by another encoder: encoder 'clip' in the store but "
        "'siglip' here, revision 'abc' in the store but 'def' here"
    )
    assert caught.value.exit_code == 2
    with pytest.raises(FeatureMismatchError, match="of other frames: sampling 'centres-8' in the"):
        store.require(sampling="ends-2")


def test_a_store_is_made_once_and_opened_after_that(store: FeatureStore) -> None:
    own = {"encoder": "clip", "revision": "abc", "sampling": "centres-8"}
    with pytest.raises(TakenError, match="already exists and is not an empty folder"):
        FeatureStore.create(store.path, **own, feature_dim=4)
    assert FeatureStore.open_or_create(store.path, **own, feature_dim=4).identity == store.identity
    with pytest.raises(FeatureMismatchError, match="'clip' in the store but 'x' here"):
        FeatureStore.open_or_create(store.path, **{**own, "encoder": "x"}, feature_dim=4)
    with pytest.raises(FeatureMismatchError, match="feature_dim 4 in the store but 5 here"):
        FeatureStore.open_or_create(store.path, **own, feature_dim=5)
    new = FeatureStore.open_or_create(store.path.with_name("new"), **own, feature_dim=4)
    assert FeatureStore.open(new.path).identity == store.identity


def test_a_creation_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    litter = tmp_path / ".store.json.tmp-17-0a1b2c3d"
    litter.write_text('{"form', encoding="utf-8")
    store = FeatureStore.open_or_create(
        tmp_path, encoder="clip", revision="abc", sampling="", feature_dim=4
    )
    with store.writer() as writer:
        writer.add("c0", features(0))
    assert not litter.exists()
    assert FeatureStore.open(tmp_path).ids() == ("c0",)


def test_what_is_no_store_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(FeatureStoreError, match=r"nowhere is no feature store: .*No such file"):
        FeatureStore.open(tmp_path / "nowhere")
    description = store.path / "store.json"
    whole = json.loads(description.read_text())
    for content, error, message in [
        ("{", FormatError, "is no feature-store file of textreel"),
        (json.dumps({**whole, "format": 2}), FormatError, "has format 2"),
        (
            json.dumps({k: v for k, v in whole.items() if k != "revision"}),
            FeatureStoreError,
            "does not say which revision its features have",
        ),
    ]:
        description.write_text(content)
        with pytest.raises(error, match=message):
            FeatureStore.open(store.path)


def test_check_names_every_shard_that_is_gone_short_or_changed(filled: FeatureStore) -> None:
    assert filled.check() == []
    gone, short, changed = (filled.path / "shards" / name for name in shards(filled))
    gone.unlink()
    short.write_bytes(short.read_bytes()[:-1])
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    found = FeatureStore.open(filled.path).check()
    assert [problem.shard for problem in found] == [gone.name, short.name, changed.name]
    assert found[0] == StoreProblem(
        shard=gone.name, message="cannot be read: No such file or directory"
    )
    assert (
        found[1].message
        == f"has {short.stat().st_size} bytes, {short.stat().st_size + 1} were written"
    )
    assert "has changed: sha256" in found[2].message


def test_reading_from_a_damaged_shard_is_an_error_that_names_it(filled: FeatureStore) -> None:
    first, second, third = (filled.path / "shards" / name for name in shards(filled))
    second.write_bytes(second.read_bytes()[:50])
    third.write_bytes(first.read_bytes())
    first.unlink()
    store = FeatureStore.open(filled.path)
    for id, path in (("c0", first), ("c3", second)):
        with pytest.raises(FeatureStoreError, match=f"{path.name} is in the index but cannot be"):
            store[id]
    with pytest.raises(FeatureStoreError, match=r"holds \(4, 4\) values and \(3,\) times, its ind"):
        store["c6"]


@pytest.mark.slow
def test_writers_killed_at_random_moments_leave_the_store_a_straight_run_leaves(
    tmp_path: Path,
) -> None:
    def run(path: Path, seed: int) -> list[str]:
        script = Path(__file__).with_name("kill_store.py")
        done = subprocess.run(
            [sys.executable, str(script), str(path), str(seed)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    found = [run(tmp_path / str(seed), seed) for seed in (1, 2)]
    assert min(int(kills) for kills, _ in found) >= 2, "hardly a kill, so the test shows nothing"
    assert found[0][1] == found[1][1]
