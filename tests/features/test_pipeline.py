"""Encoding many files: whole, killed, in parts, with bad and equal files; never with another's."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from tests.features.media_files import make_videos
from tests.media import traps
from tests.models.encoder_fakes import save_clip
from textreel.data.errors import LockedError, TakenError, TooManyBadError
from textreel.data.files import content_hash
from textreel.data.media_files import MediaFile, find_media
from textreel.data.quarantine import LimitError, Quarantine
from textreel.features import pipeline
from textreel.features.errors import FeatureMismatchError
from textreel.features.file_index import read_file_index
from textreel.features.pipeline import EncodeReport, EncodeSettings, encode_files, open_store
from textreel.features.stages import Write
from textreel.features.store import FeatureStore
from textreel.features.store_writer import StoreWriter
from textreel.media.album import HandOn
from textreel.media.decode import Decoded, decode_clip, read_clip
from textreel.media.errors import DecodeTimeoutError
from textreel.media.sampling import SamplingSpec
from textreel.media.worker import GuardedReader
from textreel.models.encoders import DualEncoder, load_encoder

SPEC = SamplingSpec(num_frames=3)
SETTINGS = EncodeSettings(spec=SPEC, workers=1, max_bad=None)
Read = Callable[[Path], Decoded]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_encoder(save_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[MediaFile, ...]:
    return make_videos(tmp_path_factory.mktemp("videos"), count=8)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files are decoded in this process; their names are listed."""
    names: list[str] = []

    def read(self: GuardedReader, path: Path, spec: SamplingSpec, *, hand_on: HandOn) -> Decoded:
        names.append(Path(path).name)
        return decode_clip(path, spec, hand_on=hand_on)

    monkeypatch.setattr(GuardedReader, "read_parts", read)
    return names


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three files share batches, and every window is a shard of its own."""
    monkeypatch.setattr(pipeline, "MAX_WINDOW_FILES", 3)
    monkeypatch.setattr(pipeline, "Write", partial(Write, tracks_per_shard=1))


def same(one: Path, other: Path) -> bool:
    first, second = FeatureStore.open(one), FeatureStore.open(other)
    return set(first.ids()) == set(second.ids()) and all(
        torch.equal(first[id].values, second[id].values)
        and torch.equal(first[id].times_s, second[id].times_s)
        for id in first.ids()
    )


def counts(report: EncodeReport) -> tuple[int, int, int, int]:
    assert report.files == report.encoded + report.skipped + report.shared + report.bad
    return report.encoded, report.skipped, report.shared, report.bad


def test_every_file_has_its_features_through_the_guarded_worker(
    videos: tuple[MediaFile, ...], encoder: DualEncoder, tmp_path: Path
) -> None:
    said: list[tuple[str, int, int, str]] = []
    report = encode_files(
        videos, tmp_path / "s", encoder, SETTINGS, show=lambda *told: said.append(told)
    )
    assert counts(report) == (8, 0, 0, 0) and report.quarantine is None
    assert report.frames == 2 + 7 * 3 and report.files_per_s > 0
    assert 0 < report.wait_share < 1
    store = FeatureStore.open(tmp_path / "s")
    assert store.identity.sampling == SPEC.fingerprint
    index = read_file_index(tmp_path / "s")
    assert index == {str(file.path): content_hash(file.path) for file in videos}
    for file in videos:
        clip = read_clip(file.path, SPEC)
        found = store[index[str(file.path)]]
        assert found.times_s.tolist() == clip.frame_times_s.tolist()
        alone = encoder.encode_frames(clip.frames).half()[:, None]
        torch.testing.assert_close(found.values, alone, atol=1e-3, rtol=0)
    rule = (tmp_path / "s" / "sampling.json").read_text(encoding="utf-8")
    assert SamplingSpec.from_json(rule) == SPEC
    assert said[-1][:3] == ("files", 8, 8)
    assert "files/s, encoder waits" in said[-1][3] and said[-1][3].endswith(" 0 bad")


def test_a_second_run_reads_nothing(videos, encoder, tmp_path: Path, asked: list[str]) -> None:
    encode_files(videos, tmp_path, encoder, SETTINGS)
    assert len(asked) == 8
    assert counts(encode_files(videos, tmp_path, encoder, SETTINGS)) == (0, 8, 0, 0)
    assert len(asked) == 8


class Killed(BaseException):
    pass


def kill_at(commit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From that commit on nothing reaches the disk, as after SIGKILL."""
    whole, left = StoreWriter.commit, [commit]

    def dying(self: StoreWriter) -> None:
        if self._pending:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
        whole(self)

    monkeypatch.setattr(StoreWriter, "commit", dying)


@pytest.mark.parametrize("commit", [0, 1, 2])
def test_a_killed_run_ends_with_the_bits_of_a_straight_one(
    commit: int, videos, encoder, tmp_path: Path, asked, small_windows, monkeypatch
) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    encode_files(videos, straight, encoder, SETTINGS)
    with monkeypatch.context() as patch:
        kill_at(commit, patch)
        with pytest.raises(Killed):
            encode_files(videos, killed, encoder, SETTINGS)
    stored = min(3 * commit, 8)
    assert len(FeatureStore.open(killed)) == stored
    assert len(read_file_index(killed)) <= stored
    report = encode_files(videos, killed, encoder, SETTINGS)
    assert counts(report) == (8 - stored, stored, 0, 0)
    assert same(straight, killed)
    assert read_file_index(killed) == read_file_index(straight)


def test_a_kill_between_features_and_index_is_mended(
    videos, encoder, tmp_path: Path, asked
) -> None:
    encode_files(videos, tmp_path, encoder, SETTINGS)
    (tmp_path / "files-0-of-1.jsonl").unlink()
    encode_files(videos, tmp_path, encoder, SETTINGS)
    assert len(read_file_index(tmp_path)) == 8


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Four good files, two of them equal; two empty ones; a text; a sound."""
    folder = tmp_path / "mixed"
    make_videos(folder, count=3)
    shutil.copy(folder / "v1.mp4", folder / "z.mp4")
    traps.empty(folder)
    shutil.copy(folder / "empty.mp4", folder / "void.mp4")
    shutil.copy(traps.text(folder), folder / "u.mp4")
    traps.wave(folder)
    return folder


def test_bad_and_equal_files_are_told_apart(mixed: Path, encoder, tmp_path: Path, asked) -> None:
    store = tmp_path / "store"
    report = encode_files(find_media([mixed]).files, store, encoder, SETTINGS)
    assert counts(report) == (3, 0, 1, 5)
    assert report.bad_by_kind == {"EmptyFileError": 2, "NotMediaError": 2, "NoStreamError": 1}
    assert report.quarantine == str(store / "quarantine.jsonl")
    reasons = {Path(bad.id).name: bad.message for bad in Quarantine(store / "quarantine.jsonl")}
    assert reasons == {
        "empty.mp4": "the file is empty (0 bytes)",
        "void.mp4": "the file is empty (0 bytes)",
        "text.mp4": "holds text, not media",
        "u.mp4": "holds text, not media",
        "sound.wav": "has no frames to encode (its sound: unused)",
    }
    index = read_file_index(store)
    assert {Path(path).name for path in index} == {"v0.mp4", "v1.mp4", "v2.mp4", "z.mp4"}
    assert index[str(mixed / "v1.mp4")] == index[str(mixed / "z.mp4")]
    assert len(FeatureStore.open(store)) == 3


def test_bad_files_are_tried_again_and_nothing_else_is(
    mixed: Path, encoder, tmp_path: Path, asked: list[str]
) -> None:
    files = find_media([mixed]).files
    encode_files(files, tmp_path / "s", encoder, SETTINGS)
    asked.clear()
    assert counts(encode_files(files, tmp_path / "s", encoder, SETTINGS)) == (0, 3, 1, 5)
    assert sorted(asked) == ["sound.wav", "text.mp4"]
    assert len(Quarantine(tmp_path / "s" / "quarantine.jsonl")) == 5


def test_a_mended_file_leaves_the_quarantine_and_gets_the_bits_of_a_straight_run(
    videos, encoder, tmp_path: Path, asked: list[str], monkeypatch
) -> None:
    encode_files(videos, tmp_path / "straight", encoder, SETTINGS)
    with monkeypatch.context() as patch:

        def read(
            self: GuardedReader, path: Path, spec: SamplingSpec, *, hand_on: HandOn
        ) -> Decoded:
            if Path(path).name == "v2.mp4":
                raise DecodeTimeoutError(str(path), "no progress in 1 s of wall time")
            return decode_clip(path, spec, hand_on=hand_on)

        patch.setattr(GuardedReader, "read_parts", read)
        store = tmp_path / "store"
        assert counts(encode_files(videos, store, encoder, SETTINGS)) == (7, 0, 0, 1)
    assert counts(encode_files(videos, store, encoder, SETTINGS)) == (1, 7, 0, 0)
    assert len(Quarantine(store / "quarantine.jsonl")) == 0
    mended = FeatureStore.open(store)[content_hash(videos[2].path)]
    wanted = FeatureStore.open(tmp_path / "straight")[content_hash(videos[2].path)]
    assert torch.equal(mended.values, wanted.values)


def test_too_many_bad_files_stop_the_job_and_what_was_done_stays(
    mixed: Path, encoder, tmp_path: Path, asked
) -> None:
    settings = EncodeSettings(spec=SPEC, workers=1, max_bad=2)
    with pytest.raises(TooManyBadError, match=r"of 9 samples are bad, 2 allowed") as caught:
        encode_files(find_media([mixed]).files, tmp_path / "s", encoder, settings)
    assert str(tmp_path / "s" / "quarantine.jsonl") in caught.value.hint
    assert len(FeatureStore.open(tmp_path / "s")) == 2  # of the first window


def test_parts_together_make_the_whole(videos, encoder, tmp_path: Path, asked, mixed) -> None:
    store = tmp_path / "s"
    files = [*videos, *find_media([mixed / "text.mp4"]).files]
    for part in range(3):
        settings = EncodeSettings(spec=SPEC, workers=1, max_bad=None, shard=(part, 3))
        encode_files(files, store, encoder, settings)
    assert len(FeatureStore.open(store)) == 8 and len(read_file_index(store)) == 8
    (listed,) = store.glob("quarantine-*-of-3.jsonl")
    assert [bad.code for bad in Quarantine(listed)] == ["NotMediaError"]


def test_another_sampling_or_encoder_is_refused(videos, encoder, tmp_path: Path, asked) -> None:
    encode_files(videos[:1], tmp_path / "s", encoder, SETTINGS)
    other = EncodeSettings(spec=SamplingSpec(num_frames=4))
    with pytest.raises(FeatureMismatchError, match="features of other frames: sampling"):
        encode_files(videos, tmp_path / "s", encoder, other)
    another = load_encoder(save_clip(tmp_path / "other", seed=7))
    with pytest.raises(FeatureMismatchError, match="made by another encoder"):
        encode_files(videos, tmp_path / "s", another, SETTINGS)


def test_a_bad_limit_makes_nothing(videos, encoder, tmp_path: Path) -> None:
    settings = EncodeSettings(spec=SPEC, max_bad="some")
    with pytest.raises(LimitError, match="is no limit"):
        encode_files(videos, tmp_path / "s", encoder, settings)
    assert not (tmp_path / "s").exists()


def test_one_part_has_one_writer(videos, encoder, tmp_path: Path) -> None:
    with (
        open_store(tmp_path, encoder, SPEC).writer(),
        pytest.raises(LockedError, match=str(os.getpid())),
    ):
        encode_files(videos, tmp_path, encoder, SETTINGS)


def test_a_store_that_another_part_makes_at_the_same_time_is_opened(
    encoder, tmp_path: Path, monkeypatch
) -> None:
    whole, lost = FeatureStore.open_or_create, [True]

    def late(*args: object, **kwargs: object) -> FeatureStore:
        store = whole(*args, **kwargs)
        if lost.pop() if lost else False:
            raise TakenError("too late")
        return store

    monkeypatch.setattr(FeatureStore, "open_or_create", late)
    assert len(open_store(tmp_path / "s", encoder, SPEC)) == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").touch()
    with pytest.raises(TakenError, match="already exists"):
        open_store(tmp_path / "other", encoder, SPEC)


@pytest.mark.parametrize(
    ("spec", "files"),
    [
        (SamplingSpec(num_frames=1), 32),
        (SamplingSpec(num_frames=8), 32),
        (SamplingSpec(num_frames=64), 4),
        (SamplingSpec(num_frames=1000), 1),
        (SamplingSpec(fps=1, max_frames=128), 2),
        (SamplingSpec(fps=1), 4),
    ],
)
def test_windows_follow_from_the_sampling(spec: SamplingSpec, files: int) -> None:
    assert EncodeSettings(spec=spec).window == files


def test_the_first_windows_are_small(encoder, asked, monkeypatch, tmp_path) -> None:
    """The tower starts early; which files share a window still follows from the files alone."""
    sizes: list[int] = []
    job = pipeline._Job(
        [MediaFile(path=Path(f"{n}"), name=f"{n}") for n in range(23)],
        FeatureStore.create(tmp_path / "s", encoder="e", revision="", sampling="", feature_dim=1),
        None,
        None,
        8,
        print,
    )
    monkeypatch.setattr(pipeline, "keys_ahead", lambda files: ((f, f.name) for f in files))
    sizes = [len(window) for window in job._windows()]
    assert sizes == [4, 8, 8, 3]


def test_a_report_holds_json_values(videos, encoder, tmp_path: Path, asked) -> None:
    from dataclasses import asdict

    report = asdict(encode_files(videos[:1], tmp_path, encoder, SETTINGS))
    assert json.loads(json.dumps(report)) == report


def test_patches_do_not_go_into_a_store_of_pooled_features(
    videos: tuple[MediaFile, ...], encoder: DualEncoder, tmp_path: Path, asked: list[str]
) -> None:
    open_store(tmp_path / "s", encoder, SPEC)
    with pytest.raises(FeatureMismatchError, match=r"in the store but '.*#patches' here"):
        encode_files(videos, tmp_path / "s", encoder, replace(SETTINGS, patches=True))
    assert not asked


def test_patches_are_those_of_the_encoder_and_a_repetition_skips_them(
    videos: tuple[MediaFile, ...], encoder: DualEncoder, tmp_path: Path, asked: list[str]
) -> None:
    settings = replace(SETTINGS, patches=True)
    assert counts(encode_files(videos[:2], tmp_path / "s", encoder, settings)) == (2, 0, 0, 0)
    assert counts(encode_files(videos[:2], tmp_path / "s", encoder, settings)) == (0, 2, 0, 0)
    store = FeatureStore.open(tmp_path / "s")
    for file in videos[:2]:
        wanted = encoder.encode_patches(read_clip(file.path, SPEC).frames).half()
        found = store[content_hash(file.path)].values
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)
