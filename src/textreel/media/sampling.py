"""Which frames of a video are looked at: one declared, hashed rule for every stage of a run.

    centres            the middles of equal slices of the window (the default: first and last frames
                       of real videos are often black)
    video_llama_floor  the starts of equal slices, Video-LLaMA's floor(j * frames / n)
    topa_floor         whole ticks of a track at `fps` (1 unless said); of more than n ticks number
                       floor(j * ticks / n), else all of them: TOPA's rule over its 1-fps features
    head_tail          n / 2 seeded random times from each half, Video-LLaMA's rule for WebVid
    key_frames         as `centres`, but only key frames are shown: the last one at or before each
                       time. Several times may share one; then there are fewer frames. Fast.
    every_frame        every frame of the window

Times are on the file's clock in seconds, the first frame at 0. A time stands for the frame shown
then: the last frame that starts at or before it. So the floor rules, which upstream writes with
frame numbers, give the same frames at a constant rate and stay meaningful at a variable one.

The rule also says which resampler brings a sound to the rate that a tower hears, where one does:
see `media.resamplers`. Ours is the default and is left out of what is written and hashed, so that
a rule of frames alone has the fingerprint that it always had.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

import numpy as np

Policy = Literal[
    "centres", "video_llama_floor", "topa_floor", "head_tail", "key_frames", "every_frame"
]
POLICIES: tuple[str, ...] = get_args(Policy)
ResamplerName = Literal["sinc", "ffmpeg"]
RESAMPLERS: tuple[str, ...] = get_args(ResamplerName)
FORMAT = 1
DEFAULT_NUM_FRAMES = 8
TOPA_FPS = 1.0
MAX_TIMES = 1 << 22
"""46 hours at 25 a second; a file whose damaged header tells of more would fill the memory."""
_RATE_POLICIES = ("centres", "video_llama_floor", "key_frames")


class SamplingError(ValueError):
    """A sampling spec that contradicts itself, or cannot be read."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.hint = hint

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingSpec:
    """A rule that turns a video's length into the times of its frames.

    Attributes:
        num_frames: how many times; 8 where neither it nor `fps` is given. A file with fewer
            frames gives those it has.
        fps: times per second instead of a fixed number (for `topa_floor`: of its track).
        max_frames: upper limit on the number of times that `fps` asks for; a longer window is
            then sampled evenly with `max_frames` times.
        start_s: start of the window, 0 where None.
        end_s: end of the window (exclusive), the end of the video where None or later than that.
        policy: the rule; see the module's list.
        seed: of the random draws of `head_tail`.
        resampler: what brings a sound to the rate that is wanted; no matter to frames.

    Raises:
        SamplingError: a value is out of range, or a setting would have no effect.
    """

    num_frames: int | None = None
    fps: float | None = None
    max_frames: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    policy: Policy = "centres"
    seed: int = 0
    resampler: ResamplerName = "sinc"

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise SamplingError(
                f"SamplingSpec: unknown policy {self.policy!r}", f"one of {', '.join(POLICIES)}"
            )
        if self.resampler not in RESAMPLERS:
            raise SamplingError(
                f"SamplingSpec: unknown resampler {self.resampler!r}",
                f"one of {', '.join(RESAMPLERS)}",
            )
        if self._counts and self.num_frames is None:
            object.__setattr__(self, "num_frames", DEFAULT_NUM_FRAMES)
        self._check_ranges()
        self._check_effects()

    @property
    def _counts(self) -> bool:
        """Whether the number of times is fixed by `num_frames`."""
        return self.policy in ("topa_floor", "head_tail") or (
            self.fps is None and self.policy != "every_frame"
        )

    def _check_ranges(self) -> None:
        for name in ("num_frames", "max_frames"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or value != int(value) or value < 1):
                raise SamplingError(
                    f"SamplingSpec: {name}={value} must be a whole number, 1 or more"
                )
        for name in ("fps", "start_s", "end_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SamplingError(f"SamplingSpec: {name}={value} must be finite and not negative")
        if self.fps == 0 or self.end_s == 0:
            raise SamplingError(f"SamplingSpec: fps={self.fps}, end_s={self.end_s} must be above 0")
        if self.end_s is not None and self.end_s <= (self.start_s or 0.0):
            raise SamplingError(
                f"SamplingSpec: empty window, end_s={self.end_s} must be above "
                f"start_s={self.start_s or 0.0}"
            )

    def _check_effects(self) -> None:
        if not self._counts and self.num_frames is not None:
            raise SamplingError(
                f"SamplingSpec: num_frames={self.num_frames} has no effect beside fps={self.fps}, "
                f"policy={self.policy!r}",
                "give num_frames or fps; max_frames limits what fps asks for",
            )
        if self.max_frames is not None and (self.fps is None or self.policy not in _RATE_POLICIES):
            raise SamplingError(
                f"SamplingSpec: max_frames={self.max_frames} has no effect without fps "
                f"under policy={self.policy!r}",
                "leave max_frames out, or give fps",
            )
        if self.fps is not None and self.policy in ("head_tail", "every_frame"):
            raise SamplingError(f"SamplingSpec: fps has no effect under policy={self.policy!r}")
        if self.policy == "head_tail" and (self.num_frames or 0) % 2:
            raise SamplingError(
                f"SamplingSpec: head_tail takes half its frames from each half of the video; "
                f"num_frames={self.num_frames} is odd"
            )
        if self.seed and self.policy != "head_tail":
            raise SamplingError(
                f"SamplingSpec: seed={self.seed} has no effect under policy={self.policy!r}"
            )

    def window_s(self, duration_s: float) -> tuple[float, float]:
        """Return the part [start, end) of a video of `duration_s` seconds that is looked at.

        Raises:
            SamplingError: `start_s` is not inside the video.
        """
        start_s = self.start_s or 0.0
        end_s = duration_s if self.end_s is None else min(self.end_s, duration_s)
        if start_s and start_s >= duration_s:
            raise SamplingError(
                f"start_s={start_s} is past the end of a video of {duration_s:.3f} s",
                "choose start_s inside the video",
            )
        return start_s, end_s

    def times(self, duration_s: float) -> list[float]:
        """Return the times to look at, ascending, in seconds.

        >>> SamplingSpec(num_frames=4).times(8.0)
        [1.0, 3.0, 5.0, 7.0]
        >>> SamplingSpec(fps=0.5, start_s=2.0).times(8.0)
        [3.0, 5.0, 7.0]

        Args:
            duration_s: length of the video in seconds, 0 or more.

        Raises:
            SamplingError: the window is outside the video, more than `MAX_TIMES` are asked for, or
                the policy is `every_frame`, whose times only the file knows.
        """
        if not (math.isfinite(duration_s) and duration_s >= 0):
            raise SamplingError(f"duration_s={duration_s} must be finite and not negative")
        start_s, end_s = self.window_s(duration_s)
        length_s = end_s - start_s
        if self.policy == "every_frame":
            raise SamplingError(
                "the times of every_frame are known only to the file", "read the clip instead"
            )
        if self.policy == "topa_floor":
            return [start_s + tick_s for tick_s in self._topa_ticks(length_s)]
        if self.policy == "head_tail":
            return [start_s + offset_s for offset_s in self._head_tail(length_s)]
        offset = 0.0 if self.policy == "video_llama_floor" else 0.5
        count, step_s = self._grid(length_s, offset)
        if count > MAX_TIMES:
            raise SamplingError(
                f"{count} times in {length_s:.0f} s are asked for; {MAX_TIMES} are possible",
                "give max_frames, a lower fps, or a window of start_s and end_s",
            )
        return [start_s + (i + offset) * step_s for i in range(count)]

    def _grid(self, length_s: float, offset: float) -> tuple[int, float]:
        if self.fps is None:
            count = self.num_frames or DEFAULT_NUM_FRAMES
            return count, length_s / count
        count = math.ceil(round(length_s * self.fps - offset, 6))
        if count < 1:
            return 1, length_s
        if self.max_frames is not None and count > self.max_frames:
            return self.max_frames, length_s / self.max_frames
        return count, 1.0 / self.fps

    def _topa_ticks(self, length_s: float) -> list[float]:
        fps = self.fps or TOPA_FPS
        wanted = self.num_frames or DEFAULT_NUM_FRAMES
        ticks = max(1, round(length_s * fps))
        chosen = [j * ticks // wanted for j in range(wanted)] if ticks > wanted else range(ticks)
        return [tick / fps for tick in chosen]

    def _head_tail(self, length_s: float) -> list[float]:
        half = (self.num_frames or DEFAULT_NUM_FRAMES) // 2
        draws = np.random.default_rng(self.seed).random((2, half))
        return sorted(float((h + u) * length_s / 2) for h in (0, 1) for u in draws[h])

    @property
    def fingerprint(self) -> str:
        """16 hex digits: equal for equal rules, different for all others.

        Two ways to declare one rule are equal: 8 and 8.0, a start at 0 and none, and `topa_floor`
        at 1 fps and without a rate.
        """
        values = self.to_dict()
        values["start_s"] = values["start_s"] or None
        if self.policy == "topa_floor":
            values["fps"] = values["fps"] or TOPA_FPS
        return hashlib.sha256(_canonical(values).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the format number, JSON values only; our resampler goes unsaid."""
        values = asdict(self)
        kinds = {
            "fps": float,
            "start_s": float,
            "end_s": float,
            "num_frames": int,
            "max_frames": int,
        }
        for name, kind in kinds.items():
            if values[name] is not None:
                values[name] = kind(values[name])
        if self.resampler == "sinc":
            del values["resampler"]
        return {"format": FORMAT, **values}

    def to_json(self) -> str:
        """Return canonical JSON: sorted keys, no spaces."""
        return _canonical(self.to_dict())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SamplingSpec":
        """Read what `to_dict` wrote.

        Raises:
            SamplingError: an unknown field, a newer format, or a value out of range.
        """
        given = dict(values)
        if (found := given.pop("format", FORMAT)) != FORMAT:
            raise SamplingError(
                f"SamplingSpec: format {found} is not the format {FORMAT} that this version reads",
                "upgrade textreel",
            )
        known = [f.name for f in fields(cls)]
        if unknown := sorted(set(given) - set(known)):
            raise SamplingError(
                f"SamplingSpec: {len(unknown)} unknown fields: {', '.join(unknown)}",
                f"the fields are {', '.join(known)}",
            )
        return cls(**given)

    @classmethod
    def from_json(cls, text: str) -> "SamplingSpec":
        """Read what `to_json` wrote; see `from_dict`.

        Raises:
            SamplingError: as `from_dict`, or `text` is not a JSON object.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise SamplingError(f"SamplingSpec: not JSON: {error}") from error
        if not isinstance(values, dict):
            raise SamplingError(f"SamplingSpec: not a JSON object but {type(values).__name__}")
        return cls.from_dict(values)


def _canonical(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
