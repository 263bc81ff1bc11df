"""`Look`: what is in a file, and what a `SamplingSpec` would read from it, in JSON values only.

The file is decoded as a job would decode it, but no picture is handed on, so that a look at a large
file is a small answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from textreel.media.clip import SoundStatus
from textreel.media.decode import decode_clip
from textreel.media.probe import MediaInfo, SoundInfo, probe
from textreel.media.sampling import SamplingSpec
from textreel.media.sound import SoundMode


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was found in one file.

    Attributes:
        source: the file.
        frame_times_s: times of the frames that would be read, in seconds, ascending.
        sound_status: what became of its sound.
        notes: what is unusual, one sentence each; empty for a sound file without faults.
        damaged: packets of its video that could not be decoded.
        info: its headers and streams, None where nobody asked.
    """

    source: str
    frame_times_s: tuple[float, ...]
    sound_status: SoundStatus
    notes: tuple[str, ...]
    damaged: int = 0
    info: MediaInfo | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Look":
        """Read what `dataclasses.asdict` and JSON made of one."""
        given = dict(values)
        if (info := given.get("info")) is not None:
            sound = None if info["sound"] is None else SoundInfo(**info["sound"])
            info = MediaInfo(**info | {"sound": sound, "notes": tuple(info["notes"])})
        given |= {"frame_times_s": tuple(given["frame_times_s"]), "notes": tuple(given["notes"])}
        return cls(**given | {"info": info})

    def to_dict(self) -> dict[str, Any]:
        """Return one flat JSON object; `sound` holds its status beside what its headers say."""
        flat = {} if self.info is None else asdict(self.info)
        heard = flat.get("sound") or dict.fromkeys(SoundInfo.__dataclass_fields__)
        return flat | {
            "source": self.source,
            "frame_times_s": list(self.frame_times_s),
            "sound": {"status": self.sound_status, **heard},
            "notes": list(self.notes),
            "damaged_packets": self.damaged,
        }


def look(
    path: Path | str,
    spec: SamplingSpec | None = None,
    *,
    sound: SoundMode = "check",
    describe: bool = True,
    progress: Callable[[], None] = lambda: None,
) -> Look:
    """Decode a file and tell what was found.

    Args:
        path: see `read_clip`.
        spec: see `read_clip`.
        sound: `check` decodes all of it; under `skip` nobody knows whether it can be decoded.
        describe: look at headers and streams too.
        progress: called for each packet, to show that work goes on.

    Raises:
        MediaError: see `read_clip`.
    """
    decoded = decode_clip(path, spec, sound=sound, progress=progress, hand_on=lambda part: None)
    info = probe(path) if describe else None
    notes = decoded.notes + (() if info is None else info.notes)
    return Look(
        source=str(path),
        frame_times_s=tuple(decoded.times_s.tolist()),
        sound_status=decoded.clip.sound_status,
        notes=tuple(dict.fromkeys(notes)),
        damaged=decoded.work.damaged,
        info=info,
    )
