"""`bench codec`: what writing scenes as mp4 and decoding them again costs the towers.

    files   each scene written as H.264 at four times the tower's resolution, then decoded
    drawn   the same frames as they were drawn, no file in between

The run in the package answers the same questions about both; the difference is paired, its standard
error clustered by video. CPU seconds are of reading and encoding, not of drawing or writing.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from textreel.evaluate.choices import accuracy, paired_difference
from textreel.media.sampling import SamplingSpec
from textreel.models.batch import Features
from textreel.recipes.answering import answer_exam
from textreel.recipes.bench import BenchReport, make_case, make_report, once
from textreel.recipes.demo_media import exam_items, read_features, rendered_features, write_videos
from textreel.serve.session import load
from textreel.serve.track_reader import TrackReader
from textreel.synth.world.exam import draw_exam
from textreel.synth.world.questions import QUESTION_TYPES

NUM_FRAMES = 8


def run_bench_codec(*, per_kind: int = 250, seed: int = 5) -> BenchReport:
    """Ask the same questions about files and about drawn frames.

    Args:
        per_kind: questions of each type; 250 make 2,000.
        seed: of the test scenes.
    """
    exam = draw_exam(seed, part="test", num_scenes=1, per_kind=per_kind)
    session = load("tiny")
    assert isinstance(session.reader, TrackReader)
    reader, items = session.reader, exam_items(exam)
    reader.cross("image")
    with TemporaryDirectory() as folder:
        paths = write_videos(exam.scenes, Path(folder), tick=lambda *_: None)
        spec = SamplingSpec(num_frames=NUM_FRAMES)
        read = partial(read_features, paths, reader.encoder, spec, tick=lambda *_: None)
        files, file_timing = once("files", read)
    draw = partial(rendered_features, exam.scenes, reader.encoder, num_frames=NUM_FRAMES)
    drawn, drawn_timing = once("drawn", draw)
    one = answer_exam(reader.model, reader.collator, items, files)
    other = answer_exam(reader.model, reader.collator, items, drawn)
    difference = paired_difference(one, other, metric="overall", kinds=QUESTION_TYPES)
    cosines = _cosines(files, drawn)
    case = make_case(
        f"{len(items)} questions about {len(exam.scenes)} videos",
        (file_timing, drawn_timing),
        settings={"per_kind": per_kind, "seed": seed, "frames": NUM_FRAMES, "run": "tiny"},
        differences={"accuracy": abs(difference.value)},
        notes={
            "accuracy_files": accuracy(one).value,
            "accuracy_drawn": accuracy(other).value,
            "files_minus_drawn": difference.value,
            "stderr": difference.stderr,
            "mean_cosine": float(cosines.mean()),
            "least_cosine": float(cosines.min()),
        },
    )
    return make_report("codec", (case,), remarks=("drawn frames are drawn while they are timed",))


def _cosines(one: dict[str, Features], other: dict[str, Features]) -> torch.Tensor:
    """Return the cosine of the two vectors of every frame."""
    rows = [(one[id].values.float() * other[id].values.float()).sum(-1).flatten() for id in one]
    return torch.cat(rows)
