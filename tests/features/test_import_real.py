"""A thousand real CLIP vectors, as TOPA ships its features."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from textreel.data.quarantine import Quarantine
from textreel.features.import_plan import ImportPlan
from textreel.features.imports import import_features
from textreel.features.store import FeatureStore


@pytest.fixture
def vectors() -> torch.Tensor:
    root = Path(os.environ.get("TEXTREEL_SHARED", Path(__file__).parents[2] / ".." / "shared"))
    rows = root / "clip_features" / "clip_embeddings.npy"
    if not rows.is_file():
        pytest.skip(f"no real features at {rows} (set TEXTREEL_SHARED)")
    return torch.from_numpy(np.load(rows, allow_pickle=False))


def test_real_clip_features_are_imported(tmp_path, vectors) -> None:
    torch.save({f"clip{i}": vectors[10 * i : 10 * i + 10] for i in range(100)}, tmp_path / "f.pth")
    plan = ImportPlan(encoder="clip-vit-base-patch32", revision="openai")
    quarantine = Quarantine(max_bad=0)
    report = import_features(tmp_path / "f.pth", tmp_path / "store", plan, quarantine=quarantine)
    store = FeatureStore.open(tmp_path / "store")
    assert len(store) == 100 and not store.check()
    assert (report.frames, report.feature_dim, report.norms) == (1000, 512, "unit")
    assert 0.998 < report.shortest <= report.longest < 1.002
    for i in (0, 42, 99):
        assert torch.equal(store[f"clip{i}"].values[:, 0], vectors[10 * i : 10 * i + 10])
