"""Sounds to mel pictures against the published code: clip times, samples, every picture."""

import re
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.parity.cases import Case, find_cases
from textreel.media.decode import read_clip
from textreel.media.sound_clips import (
    MEAN,
    RATE_HZ,
    SoundClipSpec,
    clip_bounds,
    sound_clips,
)

CASES = find_cases("imagebind-mel-*")
RULES = {"0.1.5": "video-llama", "6cdc929": "imagebind"}
"""Version of the library that cuts the clips to our name of its rule."""
FROM_STORED = {"max": 2e-3, "mean": 5e-6}
"""From the stored waveform the pictures agree ten times as closely (README of the goldens)."""


def runs_of(case: Case) -> Iterator[tuple[str, str, SoundClipSpec, dict]]:
    """(sound, key, spec, what is known) of every run."""
    for sound, told in case.json["audio"].items():
        for key, run in told["runs"].items():
            version, clips = re.search(r"pytorchvideo_([\w.]+)\.clips(\d+)$", key).groups()
            yield sound, key, SoundClipSpec(num_clips=int(clips), rule=RULES[version]), run


@pytest.mark.parametrize("case", CASES)
def test_clips_start_and_end_at_the_published_samples(case: Case) -> None:
    seen = set()
    for sound, _, spec, run in runs_of(case):
        duration_s = case.json["audio"][sound]["frames_16k"] / RATE_HZ
        bounds = clip_bounds(duration_s, spec)
        assert bounds == [tuple(map(Fraction, pair)) for pair in run["clips_exact"]]
        samples = [[int(start * RATE_HZ), int(end * RATE_HZ)] for start, end in bounds]
        assert samples == run["sample_index"]
        seen.add(spec.rule)
    assert seen == set(RULES.values())


@pytest.mark.parametrize("case", CASES)
def test_the_stored_waveform_gives_the_published_pictures(case: Case) -> None:
    checked = 0
    for sound, key, spec, _ in runs_of(case):
        if key in case.tensors:
            found = sound_clips(case.tensors[f"{sound}.waveform16k"].numpy(), spec).mels[None]
            off = (torch.from_numpy(found) - case.tensors[key]).abs()
            assert off.shape == case.tensors[key].shape
            assert off.max() <= FROM_STORED["max"], f"{case.name} {key}: {off.max():.3g}"
            assert off.mean() <= FROM_STORED["mean"], f"{case.name} {key}: {off.mean():.3g}"
            checked += 1
    assert checked


@pytest.mark.parametrize("case", CASES)
def test_the_file_gives_the_published_waveform_and_pictures(case: Case) -> None:
    checked = 0
    most = case.tolerance("mel", atol="max abs").atol
    mean = case.tolerance("mel", atol="mean abs").atol
    for sound, told in case.json["audio"].items():
        clip = read_clip(case.path.with_name(told["file"]), sound="all")
        waveform = torch.from_numpy(clip.sound)
        case.close(waveform, f"{sound}.waveform16k", case.tolerance("waveform16k"))
        for name, key, spec, _ in runs_of(case):
            if name == sound and key in case.tensors:
                off = torch.from_numpy(sound_clips(clip.sound, spec).mels[None])
                off = (off - case.tensors[key]).abs()
                assert off.max() <= most, f"{case.name} {key}: {off.max():.3g}"
                assert off.mean() <= mean, f"{case.name} {key}: {off.mean():.3g}"
                checked += 1
    assert checked


@pytest.mark.parametrize("case", CASES)
def test_subtracting_the_mean_from_a_copy_would_show(case: Case) -> None:
    """Otherwise the tests above could not tell the published fault from its repair."""
    worst = 0.0
    for sound, key, _, run in runs_of(case):
        if key in case.tensors:
            waveform = case.tensors[f"{sound}.waveform16k"].numpy()
            alone = [
                sound_clips(waveform[:, start:end], SoundClipSpec(num_clips=1)).mels[0]
                for start, end in run["sample_index"]
            ]
            worst = max(worst, float(np.abs(np.stack(alone) - case.tensors[key][0].numpy()).max()))
    assert worst > FROM_STORED["max"]
    assert case.json["config"]["mean"] == MEAN
