"""Importing features: what gets in, what is set aside, and what the report says."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from textreel.data.errors import TooManyBadError
from textreel.data.quarantine import Quarantine
from textreel.features.errors import (
    BadEntryError,
    FeatureImportError,
    FeatureMismatchError,
    UnsafePickleError,
)
from textreel.features.import_plan import ImportPlan, read_durations
from textreel.features.import_sources import Entry, open_source
from textreel.features.imports import import_features
from textreel.features.store import FeatureStore

PLAN = ImportPlan(encoder="clip-l14", revision="r1")


def units(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random vectors of length 1."""
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def as_pth(path: Path, clips: dict) -> Path:
    torch.save(clips, path)
    return path


def as_npy(folder: Path, clips: dict) -> Path:
    for name, values in clips.items():
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values.numpy() if isinstance(values, torch.Tensor) else values)
    return folder


def as_pickles(folder: Path, clips: dict) -> Path:
    folder.mkdir(exist_ok=True)
    for name, values in clips.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(values))
    return folder


def imported(path: Path, plan: ImportPlan = PLAN, *, max_bad=None, **more):
    """Import into `store` beside `path`; return report, store and quarantine."""
    quarantine = Quarantine(max_bad=max_bad)
    out = path.parent / "store"
    report = import_features(path, out, plan, quarantine=quarantine, **more)
    return report, FeatureStore.open(out), list(quarantine)


GOOD = {"a": units(3, 8), "b": units(5, 8, seed=1)}


@pytest.mark.parametrize("write", [as_pth, as_npy, as_pickles])
def test_features_come_back_from_the_store(tmp_path, write) -> None:
    path = write(tmp_path / "features.pth" if write is as_pth else tmp_path / "features", GOOD)
    plan = replace(PLAN, rows_are_frames=write is as_pickles)
    report, store, bad = imported(path, plan)
    assert store.ids() == ("a", "b") and not bad and not store.check()
    for name, values in GOOD.items():
        found = store[name]
        assert torch.equal(found.values, values.half()[:, None])
        assert found.times_s.tolist() == list(range(len(values)))
        assert found.modality == ("text" if write is as_pickles else "image")
    assert (report.clips, report.frames, report.vectors, report.feature_dim) == (2, 8, 8, 8)
    assert (report.stored, report.skipped, report.bad, report.detected) == (2, 0, {}, True)
    assert report.norms == "unit" and 0.999 < report.shortest <= report.longest < 1.001
    assert report.clock == "one second apart, for want of any times"
    assert report.sampling.startswith(f"import-{report.format}-")
    assert store.identity.sampling == report.sampling and report.without_features is None


def test_repeating_an_import_changes_nothing(tmp_path) -> None:
    path = as_pth(tmp_path / "f.pth", GOOD)
    imported(path)
    report, _, _ = imported(path)
    assert (report.stored, report.skipped) == (0, 2)
    as_pth(path, GOOD | {"c": units(1, 8)})
    with pytest.raises(FeatureMismatchError, match="holds features of other frames"):
        imported(path)


def test_a_killed_import_goes_on(tmp_path, monkeypatch) -> None:
    path = as_pth(tmp_path / "f.pth", {str(i): units(2, 4, seed=i) for i in range(6)})

    def stop(phase: str, done: int, total: int) -> None:
        if (phase, done) == ("stored", 4):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imported(path, show=stop)
    report, store, _ = imported(path)
    assert (report.stored, report.skipped) == (2, 4) and len(store) == 6


def test_times_are_those_the_user_gives(tmp_path) -> None:
    path = as_pth(tmp_path / "f.pth", {"a": units(4, 8)})
    with_fps, store, _ = imported(path, replace(PLAN, fps=2.0))
    assert store["a"].times_s.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert with_fps.clock == "2 frames per second"
    (tmp_path / "d").mkdir()
    path = as_pth(tmp_path / "d" / "f.pth", {"a": units(4, 8), "b": units(4, 8), "c": units(4, 8)})
    plan = replace(PLAN, durations_s={"a": 8, "b": float("nan")})
    with_durations, store, bad = imported(path, plan)
    assert store["a"].times_s.tolist() == [1.0, 3.0, 5.0, 7.0]
    assert with_durations.clock == "centres of equal slices of the given durations"
    assert [(b.id, b.code, b.message) for b in bad] == [
        ("b", "NoDuration", "has the duration nan"),
        ("c", "NoDuration", "has the duration None"),
    ]
    assert with_fps.sampling != with_durations.sampling


def test_lengths_other_than_1_need_a_word(tmp_path) -> None:
    path = as_pth(tmp_path / "f.pth", {"a": units(2, 8), "b": units(2, 8) * 3})
    with pytest.raises(
        FeatureImportError,
        match=r"2 of 4 vectors in .* do not have length 1 \(first: in 'b'; shortest 1, longest 3\)",
    ) as caught:
        imported(path)
    assert "--normalize" in caught.value.hint and not (tmp_path / "store").exists()
    report, store, _ = imported(path, replace(PLAN, norms="normalize"))
    assert torch.equal(store["b"].values, units(2, 8).half()[:, None])
    assert (report.norms, round(report.longest, 3)) == ("normalize", 3.0)


def test_lengths_can_be_kept(tmp_path) -> None:
    path = as_npy(tmp_path / "f", {"a": units(2, 7, 8) * 3})
    report, store, _ = imported(path, replace(PLAN, norms="keep"))
    assert torch.equal(store["a"].values, (units(2, 7, 8) * 3).half())
    assert (report.frames, report.vectors, report.norms) == (2, 14, "keep")


def hole() -> torch.Tensor:
    values = units(3, 8)
    values[1] = 0
    return values


NOT_A_NUMBER = units(3, 8).index_fill(0, torch.tensor([2]), float("nan"))
BAD = {
    "shape": (torch.ones(8), "Shape", "has the shape (8,), neither (T, F) nor (T, P, F)"),
    "empty": (torch.ones(0, 8), "Empty", "is empty: its shape is (0, 8)"),
    "nan": (NOT_A_NUMBER, "NotFinite", "8 of 24 values are NaN or infinite"),
    "hole": (hole(), "ZeroVector", "1 of 3 vectors are zero (padding?)"),
    "integers": (torch.ones(3, 8, dtype=torch.int64), "NotFloat", "has values of type torch.int64, "
                 "not floats"),
    "width": (units(3, 9), "Width", "has vectors of width 9, most have 8"),
    "text": ("hello", "NotArray", "is a str, not an array"),
}  # fmt: skip


def test_bad_entries_are_set_aside_with_their_reasons(tmp_path) -> None:
    clips = GOOD | {name: values for name, (values, _, _) in BAD.items()}
    clips |= {7: units(1, 8), "7": units(1, 8), (1, 2): units(1, 8)}
    path = as_pth(tmp_path / "f.pth", clips)
    report, store, bad = imported(path)
    assert store.ids() == ("a", "b", "7")
    wanted = {(name, code, message) for name, (_, code, message) in BAD.items()}
    wanted |= {("7", "DuplicateId", "has the id of an earlier entry")}
    wanted |= {("(1, 2)", "Id", "the key (1, 2) names no clip")}
    assert {(b.id, b.code, b.message) for b in bad} == wanted
    assert {b.source for b in bad} == {str(path)} and sum(report.bad.values()) == len(wanted)


def test_too_much_bad_stops_before_anything_is_written(tmp_path) -> None:
    path = as_pth(tmp_path / "f.pth", GOOD | {"hole": hole()})
    with pytest.raises(TooManyBadError, match="1 of 3 samples are bad, 1% allowed: 1 ZeroVector"):
        imported(path, max_bad="1%")
    assert not (tmp_path / "store").exists()


def test_nothing_usable_is_an_error(tmp_path) -> None:
    path = as_pth(tmp_path / "f.pth", {"hole": hole()})
    with pytest.raises(
        FeatureImportError, match=r"none of 1 entries can be used: .'ZeroVector': 1"
    ):
        imported(path)


def test_values_too_large_for_float16_are_set_aside(tmp_path) -> None:
    path = as_pth(tmp_path / "f.pth", GOOD | {"huge": units(2, 8) * 1e6})
    _, _, bad = imported(path, replace(PLAN, norms="keep"))
    assert [b.id for b in bad] == ["huge"] and "are too large for float16" in bad[0].message


def test_an_array_file_is_no_pickle_and_no_archive(tmp_path) -> None:
    folder = as_npy(tmp_path / "f", GOOD | {"deep/c": units(2, 8), "whole": np.ones((2, 8), int)})
    np.save(folder / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    (folder / "pickle.npy").write_bytes(pickle.dumps(np.ones((2, 8))))
    np.savez(folder / "z.npz", a=np.ones((2, 8)))
    (folder / "z.npz").rename(folder / "archive.npy")
    (folder / "cut.npy").write_bytes((folder / "a.npy").read_bytes()[:-4])
    (folder / "big.npy").write_bytes((folder / "a.npy").read_bytes().replace(b"(3, 8)", b"(3e9,)"))
    (folder / "notes.txt").write_text("not looked at")
    report, store, bad = imported(folder)
    assert store.ids() == ("a", "b", "deep/c")
    assert {b.id: b.code for b in bad} == {
        **dict.fromkeys(("archive", "big", "cut", "object", "pickle"), "Unreadable"),
        "whole": "NotFloat",
    }
    assert all("is no array that can be read" in b.message for b in bad if b.id != "whole")
    assert [b.message for b in bad if b.id == "whole"] == ["has values of type int64, not floats"]
    assert report.bad == {"Unreadable": 5, "NotFloat": 1}


def test_one_array_file_and_the_other_end_first(tmp_path) -> None:
    np.save(tmp_path / "one.npy", units(2, 8).numpy().astype(">f8"))
    report, store, _ = imported(tmp_path / "one.npy")
    assert store.ids() == ("one",) and report.format == "npy"
    assert torch.equal(store["one"].values[:, 0], units(2, 8).half())


class Hostile:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_a_hostile_pickle_among_others_is_set_aside(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = as_pickles(tmp_path / "f", GOOD | {"hostile": Hostile(), "text": "hello"})
    (path / "cut.pkl").write_bytes(b"\x80\x04")
    _, store, bad = imported(path, replace(PLAN, rows_are_frames=True))
    assert store.ids() == ("a", "b") and not (tmp_path / "ran").exists()
    codes = {"cut": "Unreadable", "hostile": "UnsafePickle", "text": "NotArray"}
    assert {b.id: b.code for b in bad} == codes
    assert any("system, which is no part of an array" in b.message for b in bad)


def test_a_single_pickle_is_read_or_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = replace(PLAN, rows_are_frames=True)
    path = tmp_path / "f.pkl"
    path.write_bytes(pickle.dumps({name: values.numpy() for name, values in GOOD.items()}))
    assert imported(path, plan)[1].ids() == ("a", "b")
    path.write_bytes(pickle.dumps({"a": Hostile()}))
    with pytest.raises(UnsafePickleError, match=r"system, which is no part of an array"):
        imported(path, plan)
    path.write_bytes(pickle.dumps(units(9, 8)))
    with pytest.raises(FeatureImportError, match="holds a Tensor, not a dictionary of clip ids"):
        imported(path, plan)
    assert not (tmp_path / "ran").exists()


def test_a_hostile_torch_file_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = as_pth(tmp_path / "f.pth", {"a": Hostile()})
    with pytest.raises(UnsafePickleError, match=r"holds more than tensors .* \w+\.system"):
        imported(path)
    path.write_bytes(b"hello")
    with pytest.raises(FeatureImportError, match=r"f.pth is no torch file that can be read"):
        imported(path)
    assert not (tmp_path / "ran").exists()


def test_a_torch_file_of_the_old_kind_is_read(tmp_path) -> None:
    path = tmp_path / "f.pth"
    torch.save(GOOD, path, _use_new_zipfile_serialization=False)
    assert imported(path)[1].ids() == ("a", "b")


def textvid(path: Path, records: list) -> Path:
    path.write_text(json.dumps(records))
    return path


def test_rows_of_textvid_are_fused_into_frames(tmp_path) -> None:
    rows = units(5, 8)
    clips = {"v1": rows, "short": rows[:4], "unknown": rows, "odd": rows, "flat": units(2, 2, 8)}
    path = as_pickles(tmp_path / "f", clips | {"against": torch.stack([rows[0], -rows[0]])})
    frames = [{"caption": "a", "saw": "b", "man": "c"}, {"caption": "d", "dog": "e"}]
    records = [{"idx": name, "frames": frames} for name in ("v1", "short", "gone", "flat")]
    records += [{"idx": "odd", "frames": [{}, "no"]}, {"idx": "against", "frames": [frames[1]]}, 5]
    plan = replace(PLAN, textvid=textvid(tmp_path / "textvid.json", records))
    report, store, bad = imported(path, plan)
    wanted = normalize(torch.stack([rows[:3].mean(0), rows[3:].mean(0)]), dim=-1)
    assert (store["v1"].values[:, 0].float() - wanted).abs().max() < 1e-3
    assert store.ids() == ("v1",) and report.without_features == 4
    assert (report.frames, report.vectors, report.modality) == (2, 5, "text")
    assert {b.id: b.code for b in bad} == {
        "against": "Fusion", "flat": "RowCount", "odd": "NoRecord", "short": "RowCount",
        "unknown": "NoRecord",
    }  # fmt: skip
    messages = {b.id: b.message for b in bad}
    assert messages["short"] == "has the shape (4, 8), its record's 2 frames have 5 texts"
    assert messages["odd"] == "has no usable record in TextVid's JSON"


def test_pickles_need_to_know_what_a_row_is(tmp_path) -> None:
    path = as_pickles(tmp_path / "f", GOOD)
    with pytest.raises(FeatureImportError, match="one row per text of a frame, and only its JSON"):
        imported(path)


@pytest.mark.parametrize("setting", [{"rows_are_frames": True}, {"textvid": Path("t.json")}])
def test_rows_have_no_say_elsewhere(tmp_path, setting) -> None:
    path = as_pth(tmp_path / "f.pth", GOOD)
    with pytest.raises(FeatureImportError, match="have no effect on the format clip-pth"):
        imported(path, replace(PLAN, **setting))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"fps": 0.0}, "fps=0.0 must be above 0"),
        ({"fps": 1.0, "durations_s": {}}, "fps and durations_s are two clocks for the same frames"),
        ({"norms": "half"}, "norms='half' is none of unit, normalize, keep"),
        ({"modality": "smell"}, "modality='smell' is none of image, text, sound"),
        ({"textvid": Path("t"), "norms": "keep"}, "textvid fuses rows into frames of length 1"),
        (
            {"textvid": Path("t"), "rows_are_frames": True},
            "rows_are_frames and norms='keep' contra",
        ),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(settings, text) -> None:
    with pytest.raises(FeatureImportError, match=text):
        replace(PLAN, **settings)


def test_formats_are_seen_or_said(tmp_path) -> None:
    path = as_pth(tmp_path / "f.bin", GOOD)
    with pytest.raises(FeatureImportError, match="holds no features that are known: a format is"):
        open_source(path)
    assert imported(path, format="clip-pth")[0].detected is False
    with pytest.raises(FeatureImportError, match="there is no feature format 'h5'"):
        open_source(path, format="h5")
    with pytest.raises(FeatureImportError, match="no such file or folder"):
        open_source(tmp_path / "gone")
    as_npy(tmp_path / "both", GOOD)
    as_pickles(tmp_path / "both", GOOD)
    with pytest.raises(FeatureImportError, match="holds files of 2 formats"):
        open_source(tmp_path / "both")
    assert open_source(tmp_path / "both", format="npy").total == 2
    (tmp_path / "none").mkdir()
    with pytest.raises(FeatureImportError, match=r"holds no file that ends in .npy"):
        open_source(tmp_path / "none", format="npy")


def test_durations_are_an_object_of_seconds(tmp_path) -> None:
    path = tmp_path / "d.json"
    path.write_text('{"a": 2.5}')
    assert read_durations(path) == {"a": 2.5}
    path.write_text("[1]")
    with pytest.raises(FeatureImportError, match="holds no JSON object of clip ids and seconds"):
        read_durations(path)
    path.write_text("{")
    with pytest.raises(FeatureImportError, match=r"d.json is no JSON file that can be read"):
        read_durations(path)


def test_a_file_that_changes_during_its_import_is_an_error(tmp_path) -> None:
    folder = as_npy(tmp_path / "f", GOOD)

    def change(phase: str, done: int, total: int) -> None:
        if (phase, done) == ("checked", total):
            np.save(folder / "b.npy", np.ones(8, np.float32))

    with pytest.raises(
        FeatureImportError, match="was changed during its import: 'b' has the shape"
    ):
        imported(folder, show=change)


def test_a_bad_entry_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(BadEntryError("is bad", code="Bad")))
    assert (str(error), error.code, error.hint) == ("is bad", "Bad", "mend it, or leave it out")


def test_torch_features_stay_on_disk(tmp_path) -> None:
    path = as_pth(tmp_path / "f.pth", GOOD)
    entry = next(iter(open_source(path).entries()))
    assert isinstance(entry, Entry) and str(path) == str(entry.source)
    mapped = Path("/proc/self/maps")
    if not mapped.exists():
        pytest.skip("only Linux tells what is mapped")
    assert str(path) in mapped.read_text()
