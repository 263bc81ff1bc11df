"""The rule by which a store's files were sampled, and whether a run looks at files the same way.

`textreel encode run` writes it beside the store; features that were imported or made of texts have
none, and nobody can tell. A run that was trained on other frames, or on sounds that were cut or
resampled in another way, than those it looks at later would be wrong without a word.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from textreel.features.errors import FeatureMismatchError, FeatureStoreError, TowerError
from textreel.features.store import FeatureStore
from textreel.features.towers import ClipTower
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec

RULE_FILE = "sampling.json"
"""In a store: the rule by which its tower chose what of a file it sees or hears."""
_HEARD = ("start_s", "end_s", "resampler", "num_clips", "rule")


def require_rule(store: FeatureStore, spec: SamplingSpec, clips: SoundClipSpec) -> None:
    """Refuse features of other frames, or of other pieces of sound, than a run looks at.

    Args:
        store: one without a rule is taken.
        spec: the run's frames, its window, its resampler.
        clips: the run's pieces of sound, for towers that hear clips.

    Raises:
        FeatureMismatchError: names what differs, on both sides.
        FeatureStoreError: the store's rule cannot be read.
    """
    path = store.path / RULE_FILE
    if not path.is_file():
        return
    told = _read_rule(path)
    if "policy" in told:
        made, here = SamplingSpec.from_dict(told), replace(spec, resampler="sinc")
        what, equal = "frames", made.fingerprint == here.fingerprint
        ours, theirs = here.to_dict(), made.to_dict()
    else:
        theirs = _heard(told)
        own = {"num_clips": clips.num_clips, "rule": clips.rule, "resampler": spec.resampler}
        given = own | {"start_s": spec.start_s, "end_s": spec.end_s}
        ours = {name: given[name] for name in theirs}
        what, equal = "pieces of sound", ours == theirs
    if not equal:
        raise FeatureMismatchError(
            f"{store.path} holds features of other {what}: {_different(theirs, ours)} in the store "
            f"but {_different(ours, theirs)} here",
            hint="encode again into another store by the run's rule, or give the run that of the "
            "store, where its recipe says one (num_frames; sampling and clips of two senses)",
        )


def check_resampler(tower: ClipTower, spec: SamplingSpec) -> None:
    """Refuse a resampler for a tower of pictures, on which it would have no effect.

    Raises:
        TowerError: naming both.
    """
    if spec.resampler != "sinc" and tower.modality != "sound":
        raise TowerError(
            f"the resampler {spec.resampler} has no effect on {tower.name}, which hears nothing",
            hint="leave it out",
        )


def _read_rule(path: Path) -> Mapping[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(told, dict):
            raise ValueError("it holds no settings")
    except ValueError as error:
        raise FeatureStoreError(
            f"{path} cannot be read: {error}",
            hint="copy it again with its store, or encode again into another store",
        ) from error
    return told


def _heard(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a sound tower's rule says, flat; windows of an encoder's own length say less."""
    cut = told.get("sound_clips") or told.get("dual_sound") or {}
    flat = {"resampler": "sinc", **told, **cut}
    return {name: flat[name] for name in _HEARD if name in flat}


def _different(these: Mapping[str, Any], others: Mapping[str, Any]) -> str:
    """Return those settings that differ."""
    return ", ".join(f"{name} {v!r}" for name, v in these.items() if others.get(name) != v)
