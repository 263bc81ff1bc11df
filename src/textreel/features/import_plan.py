"""What the user says about imported features, and one clip's vectors judged by it.

entry  --_checked-->  (T, F) or (T, P, F)  --fused or normalised, timed-->  Features (T, P, F)
"""

import json
import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from textreel.data.json_stream import read_json_list
from textreel.features.errors import BadEntryError, FeatureImportError
from textreel.features.fuse import FusionError, average
from textreel.features.import_sources import Entry, Source
from textreel.media.sampling import SamplingSpec
from textreel.models.batch import Features, Modality

NormRule = Literal["unit", "normalize", "keep"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportPlan:
    """What the files do not say about their features.

    Attributes:
        encoder: name of the encoder that made them.
        revision: its revision; features of another revision are other features.
        modality: which tower made them; where None, `text` for TextVid, else `image`.
        norms: `unit` refuses vectors of another length than 1, `normalize` makes them so, `keep`
            takes them as they are.
        fps: frames per second; frame i is at i / fps.
        durations_s: length of every clip; its frames are the centres of equal slices of it.
        textvid: TextVid's JSON, which says how many rows a frame has.
        rows_are_frames: every row of a pickle is one frame.

    Raises:
        FeatureImportError: settings that contradict each other, or have no effect.
    """

    encoder: str
    revision: str
    modality: Modality | None = None
    norms: NormRule = "unit"
    fps: float | None = None
    durations_s: Mapping[str, float] | None = None
    textvid: Path | None = None
    rows_are_frames: bool = False

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("modality", self.modality or "image", get_args(Modality)),
            ("norms", self.norms, get_args(NormRule)),
        ):
            if value not in allowed:
                raise FeatureImportError(
                    f"ImportPlan: {name}={value!r} is none of {', '.join(allowed)}"
                )
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise FeatureImportError(f"ImportPlan: fps={self.fps} must be above 0")
        if self.fps is not None and self.durations_s is not None:
            raise FeatureImportError(
                "ImportPlan: fps and durations_s are two clocks for the same frames",
                hint="give one of them",
            )
        if self.textvid is not None and (self.rows_are_frames or self.norms == "keep"):
            raise FeatureImportError(
                "ImportPlan: textvid fuses rows into frames of length 1; rows_are_frames and "
                "norms='keep' contradict it",
                hint="leave them out",
            )

    @property
    def clock(self) -> str:
        """How the frames got their times, in words."""
        if self.durations_s is not None:
            return "centres of equal slices of the given durations"
        if self.fps is not None:
            return f"{self.fps:g} frames per second"
        return "one second apart, for want of any times"


class Reader:
    """Reads the entries of one source as one plan says.

    Attributes:
        modality: which tower made the features.

    Raises:
        FeatureImportError: the plan does not fit the source's format.
    """

    def __init__(self, plan: ImportPlan, source: Source) -> None:
        pickled = source.format == "textvid-pickle"
        if pickled and plan.textvid is None and not plan.rows_are_frames:
            raise FeatureImportError(
                "TextVid's features have one row per text of a frame, and only its JSON says how "
                "many texts a frame has",
                hint="give --textvid FILE.json; or --rows-are-frames for other pickles",
            )
        if not pickled and (plan.textvid is not None or plan.rows_are_frames):
            raise FeatureImportError(
                f"textvid and rows_are_frames have no effect on the format {source.format}",
                hint="leave them out: there, every row is a frame",
            )
        self.modality: Modality = plan.modality or ("text" if pickled else "image")
        self._plan = plan
        self._rows = None if plan.textvid is None else _rows_per_frame(plan.textvid)

    def read(self, entry: Entry) -> tuple[Features, Tensor]:
        """Return the features of an entry, and the lengths its vectors had, float32 (N,).

        Raises:
            BadEntryError: they cannot be used.
        """
        values = _checked(entry.load())
        lengths = values.float().norm(dim=-1)
        if zero := int((lengths == 0).sum()):
            raise BadEntryError(
                f"{zero} of {lengths.numel()} vectors are zero (padding?)", code="ZeroVector"
            )
        if self._rows is not None:
            values = _fuse(values, self._rows.get(entry.id))
        elif self._plan.norms == "normalize":
            values = normalize(values.float(), dim=-1)
        half = values.half()
        if bad := int((~half.isfinite()).sum()):
            raise BadEntryError(
                f"{bad} of {half.numel()} values are too large for float16", code="NotFinite"
            )
        features = Features(
            values=half if half.ndim == 3 else half[:, None, :],
            times_s=torch.tensor(self._times_s(entry.id, len(half)), dtype=torch.float64),
            modality=self.modality,
            encoder=self._plan.encoder,
            revision=self._plan.revision,
        )
        return features, lengths.flatten()

    def count_without(self, ids: Container[str]) -> int | None:
        """Return how many records of TextVid's JSON are not among `ids`; None without a JSON."""
        return None if self._rows is None else sum(id not in ids for id in self._rows)

    def _times_s(self, id: str, count: int) -> list[float]:
        if self._plan.durations_s is None:
            return [i / (self._plan.fps or 1.0) for i in range(count)]
        duration_s = self._plan.durations_s.get(id)
        if not _is_duration(duration_s):
            raise BadEntryError(f"has the duration {duration_s!r}", code="NoDuration")
        return SamplingSpec(num_frames=count).times(float(duration_s or 0.0))


def read_durations(path: Path | str) -> dict[str, float]:
    """Return the durations in a JSON file {clip id: seconds}; a clip's own fault is told later.

    Raises:
        FeatureImportError: no such file, or it holds something else.
    """
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise FeatureImportError(
            f"{path} is no JSON file that can be read: {error}", hint="check the path"
        ) from error
    if not isinstance(found, dict):
        raise FeatureImportError(
            f"{path} holds no JSON object of clip ids and seconds",
            hint='write {"clip id": 12.5, "another": 8}',
        )
    return found


def _is_duration(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value > 0


def _checked(values: Tensor) -> Tensor:
    if not values.is_floating_point():
        raise BadEntryError(f"has values of type {values.dtype}, not floats", code="NotFloat")
    if values.ndim not in (2, 3):
        raise BadEntryError(
            f"has the shape {tuple(values.shape)}, neither (T, F) nor (T, P, F)", code="Shape"
        )
    if values.numel() == 0:
        raise BadEntryError(f"is empty: its shape is {tuple(values.shape)}", code="Empty")
    if bad := int((~values.isfinite()).sum()):
        raise BadEntryError(
            f"{bad} of {values.numel()} values are NaN or infinite", code="NotFinite"
        )
    return values


def _fuse(values: Tensor, rows: list[int] | None) -> Tensor:
    """Return one unit vector per frame."""
    if rows is None:
        raise BadEntryError("has no usable record in TextVid's JSON", code="NoRecord")
    if values.ndim != 2 or len(values) != sum(rows):
        raise BadEntryError(
            f"has the shape {tuple(values.shape)}, its record's {len(rows)} frames have "
            f"{sum(rows)} texts",
            code="RowCount",
        )
    owner = torch.repeat_interleave(torch.tensor(rows))
    try:
        return average(values, owner, count=len(rows))
    except FusionError as error:
        raise BadEntryError(str(error), code="Fusion") from error


def _rows_per_frame(path: Path) -> dict[str, list[int]]:
    """Return how many texts each frame of each record has; records without are left out.

    Source: dhg-wei/TOPA@609c482, dataloader/textvid.py: one row per key of a frame.
    """
    rows: dict[str, list[int]] = {}
    for _, record in read_json_list(path):
        frames = record.get("frames") if isinstance(record, dict) else None
        if isinstance(frames, list) and frames and all(isinstance(f, dict) and f for f in frames):
            rows[str(record.get("idx"))] = [len(frame) for frame in frames]
    return rows
