"""The world as files that any player opens: `textreel synth world`.

    DIR/<id>.mp4        one per scene, H.264 and AAC
    DIR/scenes.jsonl    a header, then the facts of every scene, from which all else is derived
    DIR/videos.jsonl    the same scenes as textual videos, with questions
    DIR/questions.jsonl questions and answers about the mp4 files, as `textreel predict` takes them

Names are the hash of the facts, so a file that is there already is the one wanted. The lists are
written last: where they are, everything they name is.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import ClassVar, get_args

from textreel.data.errors import HintedError, TakenError
from textreel.data.files import atomic_file, check_header, make_header, write_atomic
from textreel.data.locks import run_lock
from textreel.data.textual_jsonl import write_videos
from textreel.data.textual_video import TextualVideo
from textreel.media.write import write_clip
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES
from textreel.synth.world.render import draw_clip
from textreel.synth.world.scene import (
    LONGEST_S,
    SCENE_SECONDS,
    SHORTEST_S,
    Part,
    Scene,
    draw_scenes,
)
from textreel.synth.world.textual import FRAMES_PER_SCENE, textual_video

SCENES_FILE = "scenes.jsonl"
VIDEOS_FILE = "videos.jsonl"
QUESTIONS_FILE = "questions.jsonl"
_KIND = "world-scenes"

Show = Callable[[int, int], None]


class WorldError(HintedError, ValueError):
    """A world that cannot be drawn as asked."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldFiles:
    """What lies in a folder after `write_world`.

    Attributes:
        out: the folder.
        count: videos in it.
        kept: how many of them were there before.
        scenes: file of the facts.
        videos: file of the textual videos.
        questions: file of the questions.
        num_questions: in that file.
    """

    out: Path
    count: int
    kept: int
    scenes: Path
    videos: Path
    questions: Path
    num_questions: int


def write_world(
    out: Path,
    *,
    count: int,
    seed: int,
    part: str = "test",
    seconds: float = SCENE_SECONDS,
    show: Show = lambda done, total: None,
) -> WorldFiles:
    """Draw scenes, and write them as mp4 files with their facts and questions.

    The same call gives the same files; a killed one goes on with what is missing, and a larger
    `count` adds to what is there.

    Args:
        out: folder, made if missing.
        count: scenes.
        seed: of the draw.
        part: of the world: `test`, `validation`, `memory` or `training`.
        seconds: length of each scene; longer than 8 has chains of events and other questions.
        show: told how many videos are there, of how many.

    Raises:
        WorldError: no scenes asked for, no such part, or no scene is that long.
        TakenError: `out` is a file, or holds other scenes or more of them.
        LockedError: another process is writing there.
    """
    _check(count, part, seconds)
    if out.exists() and not out.is_dir():
        raise TakenError(f"{out} is a file, not a folder", hint="choose another folder")
    wanted = {"seed": seed, "part": part, "seconds": float(seconds)}
    with run_lock(out):
        out.mkdir(exist_ok=True)
        _refuse_other_world(out / SCENES_FILE, wanted, count)
        scenes = list(islice(draw_scenes(seed, part=_part(part), seconds=float(seconds)), count))
        kept = _write_clips(out, scenes, show)
        rng = Random(f"world-files-{part}-{seed}")
        videos = [_video(scene, rng) for scene in scenes]
        write_videos(out / VIDEOS_FILE, videos)
        write_atomic(out / QUESTIONS_FILE, "".join(map(_question_lines, videos)))
        _write_scenes(out / SCENES_FILE, scenes, {**wanted, "count": count})
    return WorldFiles(
        out=out,
        count=count,
        kept=kept,
        scenes=out / SCENES_FILE,
        videos=out / VIDEOS_FILE,
        questions=out / QUESTIONS_FILE,
        num_questions=sum(len(video.questions) for video in videos),
    )


def _check(count: int, part: str, seconds: float) -> None:
    if count < 1:
        raise WorldError(f"{count} scenes asked for", hint="ask for at least 1")
    if part not in get_args(Part):
        raise WorldError(
            f"the world has no part {part!r}", hint=f"choose one of {', '.join(get_args(Part))}"
        )
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise WorldError(
            f"no scene lasts {seconds:g} seconds",
            hint=f"choose {SHORTEST_S:g} to {LONGEST_S:g} seconds",
        )


def _part(name: str) -> Part:
    return next(part for part in get_args(Part) if part == name)


def _refuse_other_world(path: Path, wanted: dict[str, object], count: int) -> None:
    """Never replace the list of other scenes, or shorten one."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        line = file.readline()
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    header = check_header(found, kind=_KIND, path=path)
    there = {key: header.get(key) for key in wanted}
    if there != wanted or header.get("count", 0) > count:
        told = ", ".join(f"{key} {value}" for key, value in there.items())
        raise TakenError(
            f"{path.parent} holds {header.get('count')} other scenes ({told})",
            hint="choose another folder, or the same settings and at least as many scenes",
        )


def _write_clips(out: Path, scenes: list[Scene], show: Show) -> int:
    """Draw the mp4 files that are missing; return how many were there."""
    kept = 0
    show(0, len(scenes))
    for number, scene in enumerate(scenes, start=1):
        path = out / f"{scene.id}.mp4"
        if path.is_file():
            kept += 1
        else:
            write_clip(path, draw_clip(scene))
        show(number, len(scenes))
    return kept


def _video(scene: Scene, rng: Random) -> TextualVideo:
    """Write a scene in words, a frame a second, with every question it has."""
    frames = max(FRAMES_PER_SCENE, round(scene.duration_s))
    return textual_video(scene, rng, num_frames=frames, kinds=QUESTION_TYPES + SOUND_TYPES)


def _question_lines(video: TextualVideo) -> str:
    """Write every question about a scene's mp4 file as a line of JSON."""
    lines = (
        {
            "id": f"{video.id}-{question.kind}",
            "video": f"{video.id}.mp4",
            "question": question.question,
            "options": question.options,
            "answer": question.answer,
            "type": question.kind,
        }
        for question in video.questions
    )
    return "".join(json.dumps(line) + "\n" for line in lines)


def _write_scenes(path: Path, scenes: list[Scene], settings: dict[str, object]) -> None:
    with atomic_file(path) as file:
        for line in (make_header(_KIND, **settings), *map(_facts, scenes)):
            file.write(json.dumps(line).encode() + b"\n")


def _facts(scene: Scene) -> dict[str, object]:
    return {"id": scene.id, "video": f"{scene.id}.mp4", **asdict(scene)}
