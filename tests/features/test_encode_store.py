"""Filling a store: whole, resumed, in shards, with bad clips; never with another's features."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.encoder_fakes import save_clip
from textreel.data.errors import TooManyBadError
from textreel.data.quarantine import Quarantine
from textreel.data.textual_video import TextualFrame, TextualVideo
from textreel.features import encode_store
from textreel.features.encode import EncodeError
from textreel.features.encode_store import fill_clips, fill_textual, textual_fingerprint
from textreel.features.errors import FeatureMismatchError
from textreel.features.store import FeatureStore
from textreel.media.clip import Clip
from textreel.media.errors import TruncatedError
from textreel.models.encoders import DualEncoder, load_encoder

COLOURS = ("red", "blue", "green")
VIDEOS = [
    TextualVideo(
        id=f"v{i}",
        frames=tuple(
            TextualFrame(caption=f"a {COLOURS[(i * j) % 3]} square" + " moves" * (i % 4))
            for j in range(1 + i % 3)
        ),
        caption="",
    )
    for i in range(10)
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_encoder(save_clip(tmp_path_factory.mktemp("clip")))


def make_store(path: Path, encoder: DualEncoder, *, sampling: str) -> FeatureStore:
    return FeatureStore.open_or_create(
        path,
        encoder=encoder.name,
        revision=encoder.revision,
        sampling=sampling,
        feature_dim=encoder.dim,
    )


def text_store(path: Path, encoder: DualEncoder) -> FeatureStore:
    sampling = textual_fingerprint(VIDEOS, mode="caption")
    return make_store(path, encoder, sampling=sampling)


def read(name: str) -> Clip:
    count = int(name.removeprefix("v")) % 4 + 1
    frames = np.random.default_rng(count).integers(0, 256, (count, 3, 26, 30), dtype=np.uint8)
    times_s = np.arange(count, dtype=np.float64)
    return Clip(frames=frames, frame_times_s=times_s, duration_s=count, source=f"{name}.mp4")


def same(one: FeatureStore, other: FeatureStore) -> bool:
    return set(one.ids()) == set(other.ids()) and all(
        torch.equal(one[name].values, other[name].values)
        and torch.equal(one[name].times_s, other[name].times_s)
        for name in one.ids()
    )


class Killed(BaseException):
    pass


def dying_after(items: int) -> object:
    whole = encode_store.encode_textual_videos

    def encode(videos: Iterable[TextualVideo], *args: object, **kwargs: object) -> Iterator[object]:
        nonlocal items
        for item in whole(videos, *args, **kwargs):  # type: ignore[arg-type]
            if items == 0:
                raise Killed
            items -= 1
            yield item

    return encode


def test_a_store_holds_every_video_and_a_second_run_does_nothing(
    tmp_path: Path, encoder: DualEncoder
) -> None:
    store = text_store(tmp_path, encoder)
    tally = fill_textual(store, VIDEOS, encoder, mode="caption", window=4)
    assert set(FeatureStore.open(tmp_path).ids()) == {video.id for video in VIDEOS}
    assert (tally.videos, tally.skipped) == (10, 0)
    vectors = encoder.encode_texts([frame.caption for frame in VIDEOS[2].frames]).half()
    torch.testing.assert_close(store["v2"].values[:, 0], vectors, atol=1e-3, rtol=0)
    again = fill_textual(text_store(tmp_path, encoder), VIDEOS, encoder, mode="caption", window=4)
    assert (again.videos, again.skipped, again.texts) == (0, 10, 0)


@pytest.mark.parametrize("items", [0, 3, 6, 9])
def test_a_killed_job_ends_with_the_bits_of_a_straight_one(
    items: int, tmp_path: Path, encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = text_store(tmp_path / "straight", encoder)
    fill_textual(straight, VIDEOS, encoder, mode="caption", window=4)
    killed = text_store(tmp_path / "killed", encoder)
    with monkeypatch.context() as patch:
        patch.setattr(encode_store, "encode_textual_videos", dying_after(items))
        with pytest.raises(Killed):
            fill_textual(killed, VIDEOS, encoder, mode="caption", window=4)
    resumed = text_store(tmp_path / "killed", encoder)
    assert len(resumed) == items
    fill_textual(resumed, VIDEOS, encoder, mode="caption", window=4)
    assert same(resumed, straight)


def test_shards_together_make_the_whole(tmp_path: Path, encoder: DualEncoder) -> None:
    store = text_store(tmp_path, encoder)
    parts = [
        fill_textual(store, VIDEOS, encoder, mode="caption", shard=(i, 3)).videos for i in range(3)
    ]
    assert sum(parts) == 10
    assert set(store.ids()) == {video.id for video in VIDEOS}


def test_a_fingerprint_names_texts_times_and_mode_but_no_questions() -> None:
    name = textual_fingerprint(VIDEOS, mode="caption")
    assert name == textual_fingerprint(list(VIDEOS), mode="caption")
    assert name.startswith("caption-")
    frame = TextualFrame(caption="another")
    for other in (
        textual_fingerprint(VIDEOS[:-1], mode="caption"),
        textual_fingerprint([*VIDEOS[:-1], replace(VIDEOS[-1], frames=(frame,))], mode="caption"),
        textual_fingerprint([*VIDEOS[:-1], replace(VIDEOS[-1], times_s=(3.0,))], mode="caption"),
        textual_fingerprint(VIDEOS, mode="caption+objects"),
    ):
        assert other != name
    renamed = [replace(video, caption="x", source="y") for video in VIDEOS]
    assert textual_fingerprint(renamed, mode="caption") == name


def test_a_store_of_other_texts_or_another_encoder_is_refused(
    tmp_path: Path, encoder: DualEncoder
) -> None:
    store = text_store(tmp_path / "store", encoder)
    with pytest.raises(FeatureMismatchError, match="features of other frames: sampling"):
        fill_textual(store, VIDEOS[1:], encoder, mode="caption")
    other = load_encoder(save_clip(tmp_path / "other", seed=7))
    with pytest.raises(FeatureMismatchError, match="holds features made by another encoder"):
        fill_textual(store, VIDEOS, other, mode="caption")
    with pytest.raises(FeatureMismatchError, match="made by another encoder"):
        fill_clips(store, ["v1"], read, other)


def test_two_videos_of_one_id_are_refused(tmp_path: Path, encoder: DualEncoder) -> None:
    store = make_store(tmp_path, encoder, sampling="spec")
    with pytest.raises(EncodeError, match=r"1 of 3 videos share an id .*\(first: 'v1'\)"):
        fill_clips(store, ["v1", "v2", "v1"], read, encoder)


def test_clips_are_read_only_where_something_is_missing(
    tmp_path: Path, encoder: DualEncoder
) -> None:
    store = make_store(tmp_path, encoder, sampling="spec")
    fill_clips(store, ["v0", "v1", "v2", "v3"], read, encoder, window=2)
    asked: list[str] = []

    def counted(name: str) -> Clip:
        asked.append(name)
        return read(name)

    names = ["v0", "v1", "v2", "v3", "v4"]
    tally = fill_clips(store, names, counted, encoder, window=2)
    assert asked == ["v4"]
    assert (tally.videos, tally.skipped) == (1, 4)
    alone = encoder.encode_frames(read("v4").frames).half()[:, None]
    torch.testing.assert_close(store["v4"].values, alone, atol=1e-3, rtol=0)


def bad_read(name: str) -> Clip:
    if name == "v1":
        raise TruncatedError("v1.mp4", "cut off after 20 bytes")
    if name == "v2":
        return replace(
            read(name), frames=np.zeros((0, 3, 8, 8), dtype=np.uint8), frame_times_s=np.zeros(0)
        )
    return read(name)


def test_bad_clips_are_set_aside_with_their_reason(tmp_path: Path, encoder: DualEncoder) -> None:
    store = make_store(tmp_path / "store", encoder, sampling="spec")
    quarantine = Quarantine(tmp_path / "quarantine.jsonl", max_bad=2)
    names = ["v0", "v1", "v2", "v3"]
    tally = fill_clips(store, names, bad_read, encoder, quarantine=quarantine)
    assert set(store.ids()) == {"v0", "v3"}
    assert tally.videos == 2
    found = [(bad.id, bad.source, bad.code, bad.message) for bad in quarantine]
    assert found == [
        ("v1", "v1.mp4", "TruncatedError", "cut off after 20 bytes"),
        ("v2", "v2.mp4", "NoFrames", "no frames to encode (sound: absent)"),
    ]
    fill_clips(store, names, read, encoder, quarantine=quarantine)  # mended files
    assert set(store.ids()) == set(names)


def test_bad_clips_stop_the_job_where_they_are_too_many_or_not_allowed(
    tmp_path: Path, encoder: DualEncoder
) -> None:
    store = make_store(tmp_path, encoder, sampling="spec")
    names = ["v0", "v1", "v2", "v3"]
    with pytest.raises(TooManyBadError, match="2 of 4 samples are bad"):
        fill_clips(store, names, bad_read, encoder, quarantine=Quarantine(max_bad=1))
    with pytest.raises(TruncatedError, match="cut off"):
        fill_clips(store, names, bad_read, encoder)
    with pytest.raises(EncodeError, match="videos without frames, nothing to encode: 1"):
        fill_clips(store, ["v2"], bad_read, encoder)
