"""Bench: encoding many video files, and reading what was stored at random.

    textreel bench encode

pipeline  many small mp4 files through a random CLIP (vision tower of 6 layers x 384, 224 px, 32 px
          patches); `encoder waits` in the notes is the share of time without work for the tower
            ours   the pipeline
            plain  one file after the other: decode, prepare, encode
precision the picture tower alone, over prepared frames
            fp32   as features are made where nobody says otherwise
            bf16   weights and arithmetic; what its vectors differ by is told
reading   2,000 random reads of tracks of 64 x 512 float16
            ours   `FeatureStore`
            npy    one .npy file per clip

Both sides of a case do the same work in the same order. The report ends with what is aimed at: an
encoder that waits at most 5% of the time, reads at least 4 times as fast. Quiet, on two processors,
the whole takes less than three minutes.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from textreel.data.cache import cache_dir
from textreel.data.media_files import MediaFile
from textreel.features.pipeline import EncodeSettings, encode_files
from textreel.features.store import FeatureStore
from textreel.media.decode import read_clip
from textreel.media.sampling import SamplingSpec
from textreel.models.batch import Features
from textreel.models.encoders import DualEncoder, load_encoder
from textreel.recipes.bench import BenchCase, BenchReport, compare, make_case, make_report
from textreel.recipes.bench_clip import ClipSize, save_random_clip
from textreel.recipes.bench_videos import VideoFile, make_video

MAX_WAIT_SHARE, MIN_READ_RATIO = 0.05, 4.0
VIDEO = VideoFile(name="8 s", length_s=8, key_s=4, fps=12, segment_s=8)
CLIP = ClipSize()


class Encoded(Protocol):
    """What a pipeline tells about its work."""

    @property
    def wait_share(self) -> float:
        """Share of the time in which the encoder had nothing to do, 0 to 1."""

    @property
    def seconds(self) -> float:
        """Wall time."""

    @property
    def files(self) -> int:
        """How many files it was given."""


Pipeline = Callable[[Sequence[Path], Path, DualEncoder, SamplingSpec], Encoded]
"""Encodes files into a new store at the path, choosing frames by the spec."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesCase:
    """The files of the pipeline's case.

    Attributes:
        files: how many; each has other content.
        video: what each is like, but for the seed.
        num_frames: taken of each.
        clip: the encoder.
        tower_frames: that the comparison of precisions encodes.
    """

    files: int = 200
    video: VideoFile = VIDEO
    num_frames: int = 8
    clip: ClipSize = CLIP
    tower_frames: int = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadsCase:
    """The case of random reads.

    Attributes:
        tracks: stored.
        reads: random ones, with repetition.
        num_frames, feature_dim: shape of a track.
    """

    tracks: int = 4000
    reads: int = 2000
    num_frames: int = 64
    feature_dim: int = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class InTurn:
    """`Encoded` of the plain side."""

    wait_share: float
    seconds: float
    files: int


def encode_ahead(
    paths: Sequence[Path], out: Path, encoder: DualEncoder, spec: SamplingSpec
) -> Encoded:
    """Encode as `textreel encode run` does, decoding ahead in other processes; `Pipeline`."""
    files = [MediaFile(path=path, name=path.name) for path in paths]
    return encode_files(files, out, encoder, EncodeSettings(spec=spec))


def run_bench_encode(
    *,
    pipeline: Pipeline = encode_ahead,
    files: FilesCase | None = None,
    reads: ReadsCase | None = None,
    rounds: int = 3,
    folder: Path | None = None,
    seed: int = 0,
) -> BenchReport:
    """Compare the sides of both cases.

    Args:
        pipeline: our side of the first case.
        files: of the first case, `FilesCase()` where None.
        reads: of the second case, `ReadsCase()` where None.
        rounds: of both; reading takes ten times as many, for it is short.
        folder: where the videos are kept, `bench` in the cache where None.
        seed: of weights, values and the order of reading.
    """
    videos, files = folder or cache_dir() / "bench", files or FilesCase()
    with tempfile.TemporaryDirectory(prefix="textreel-bench-") as scratch:
        work = Path(scratch)
        clip = save_random_clip(work / "clip", files.clip, seed=seed)
        cases = (
            _compare_pipelines(pipeline, files, videos, clip, rounds=rounds),
            compare_precisions(clip, files, rounds=rounds, seed=seed),
            compare_reads(reads or ReadsCase(), work, rounds=10 * rounds, seed=seed),
        )
    return make_report("encode", cases, remarks=summarize(*cases))


def summarize(pipeline: BenchCase, precision: BenchCase, reads: BenchCase) -> tuple[str, ...]:
    """Return what was aimed at, and what was reached, a sentence each."""
    waits, ratio = pipeline.notes["encoder waits, ours"], reads.cpu_ratios["npy"]
    return (
        f"the encoder waits {waits:.1%} of the time, {MAX_WAIT_SHARE:.0%} at most is aimed at",
        f"random reads are {ratio:.1f} times as fast as .npy files in CPU seconds, "
        f"{reads.wall_ratios['npy']:.1f} times in wall time, {MIN_READ_RATIO:g} is aimed at; their "
        f"values differ by {reads.differences['values']:g}",
        f"bf16 takes {precision.cpu_ratios['bf16']:.2f} times the CPU seconds of fp32; the cosine "
        f"of both vectors is {1 - precision.differences['1 - cosine, the largest']:.5f} or more",
    )


def encode_in_turn(
    paths: Sequence[Path], out: Path, encoder: DualEncoder, spec: SamplingSpec
) -> Encoded:
    """Encode one file after the other, as a plain loop does; `Pipeline`."""
    store = _new_store(out, encoder=encoder.name, dim=encoder.dim, spec=spec)
    started, busy = time.perf_counter(), 0.0
    with store.writer() as writer:
        for path in paths:
            clip = read_clip(path, spec)
            prepared = encoder.prepare_frames(clip.frames)
            begun = time.perf_counter()
            vectors = encoder.encode_prepared(prepared)
            busy += time.perf_counter() - begun
            times_s = torch.from_numpy(clip.frame_times_s)
            writer.add(path.name, _features(vectors.half()[:, None], times_s, store=store))
    seconds = time.perf_counter() - started
    return InTurn(wait_share=1 - busy / seconds, seconds=seconds, files=len(paths))


def _compare_pipelines(
    pipeline: Pipeline, case: FilesCase, videos: Path, clip: Path, *, rounds: int
) -> BenchCase:
    paths = [make_video(videos, replace(case.video, seed=n)) for n in range(case.files)]
    encoder = load_encoder(clip)
    spec = SamplingSpec(num_frames=case.num_frames)
    found: dict[str, list[Encoded]] = {"ours": [], "plain": []}

    def run(side: str, encode: Pipeline, some: Sequence[Path]) -> None:
        out = clip.parent / f"{side}-{len(found[side])}"
        found[side].append(encode(some, out, encoder, spec))

    sides: dict[str, Pipeline] = {"ours": pipeline, "plain": encode_in_turn}
    for side, encode in sides.items():
        run(side, encode, paths[:1])
    timings = compare(
        {s: partial(run, s, encode, paths) for s, encode in sides.items()}, rounds=rounds
    )
    return make_case(
        f"pipeline, {case.files} files",
        timings,
        settings=asdict(case),
        differences={},
        notes=_waiting(found),
    )


def _waiting(found: Mapping[str, Sequence[Encoded]]) -> dict[str, float]:
    """Return medians over the rounds; the first run of each side was the warming up."""
    notes: dict[str, float] = {}
    for side, runs in found.items():
        timed = runs[1:]
        notes[f"encoder waits, {side}"] = float(np.median([run.wait_share for run in timed]))
        notes[f"files per second, {side}"] = float(
            np.median([run.files / run.seconds for run in timed])
        )
    return notes


def compare_precisions(clip: Path, case: FilesCase, *, rounds: int, seed: int) -> BenchCase:
    """Compare a picture tower in float32 and in bfloat16, over random frames.

    Returns:
        In `differences`, 1 - the smallest cosine of the two vectors of a frame.
    """
    size = (case.tower_frames, 3, case.video.height, case.video.width)
    frames = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    towers = {"fp32": load_encoder(clip), "bf16": load_encoder(clip, dtype=torch.bfloat16)}
    prepared = towers["fp32"].prepare_frames(frames)
    first = [tower.encode_prepared(prepared) for tower in towers.values()]
    timings = compare(
        {side: partial(tower.encode_prepared, prepared) for side, tower in towers.items()},
        rounds=rounds,
    )
    cosine = float((first[0] * first[1]).sum(-1).min())
    return make_case(
        f"precision, {case.tower_frames} frames",
        timings,
        settings=asdict(case.clip),
        differences={"1 - cosine, the largest": 1 - cosine},
        notes={},
    )


def compare_reads(case: ReadsCase, scratch: Path, *, rounds: int, seed: int) -> BenchCase:
    """Compare random reads from a store and from one .npy file per clip, made in `scratch`.

    Returns:
        `differences["values"]` is the largest difference between what both sides read.
    """
    generator = torch.Generator().manual_seed(seed)
    store = _new_store(scratch / "store", encoder="random", dim=case.feature_dim, spec=None)
    singles = scratch / "npy"
    singles.mkdir()
    times_s = torch.arange(case.num_frames, dtype=torch.float64)
    with store.writer() as writer:
        for number in range(case.tracks):
            shape = (case.num_frames, 1, case.feature_dim)
            values = torch.randn(shape, generator=generator).half()
            writer.add(f"clip-{number:05d}", _features(values, times_s, store=store))
            np.save(singles / f"clip-{number:05d}.npy", values[:, 0].numpy())
    order = torch.randint(0, case.tracks, (case.reads,), generator=generator)
    ids = [f"clip-{number:05d}" for number in order.tolist()]
    sides: dict[str, Callable[[], Iterator[Tensor]]] = {
        "ours": lambda: (store[id].values[:, 0] for id in ids),
        "npy": lambda: (torch.from_numpy(np.load(singles / f"{id}.npy")) for id in ids),
    }
    pairs = zip(*(read() for read in sides.values()), strict=True)
    difference = max(float((a - b).abs().max()) for a, b in pairs)
    timings = compare({side: partial(_use_up, read) for side, read in sides.items()}, rounds=rounds)
    return make_case(
        f"reading, {case.reads} random reads",
        timings,
        settings=asdict(case),
        differences={"values": difference},
        notes={},
    )


def _use_up(read: Callable[[], Iterator[Tensor]]) -> None:
    for _ in read():
        pass


def _new_store(path: Path, *, encoder: str, dim: int, spec: SamplingSpec | None) -> FeatureStore:
    sampling = "" if spec is None else spec.fingerprint
    return FeatureStore.create(
        path, encoder=encoder, revision="bench", sampling=sampling, feature_dim=dim
    )


def _features(values: Tensor, times_s: Tensor, *, store: FeatureStore) -> Features:
    return Features(
        values=values,
        times_s=times_s,
        modality="image",
        encoder=store.identity.encoder,
        revision=store.identity.revision,
    )
