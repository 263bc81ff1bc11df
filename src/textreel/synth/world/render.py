"""Pictures of the world: stills for the towers, whole clips for mp4 files.

Everything is drawn on a grid of `VIDEO_PX` = 4 x `TOWER_PX` pixels. `draw_frame` draws that grid;
`draw_still` is its exact 4 x 4 block mean (shapes are kept as block-averaged masks), so that a
tower trained on stills and a decoded, reduced video frame look at the same thing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textreel.media.clip import Clip
from textreel.synth.world.scene import Event, Look, Scene
from textreel.synth.world.sounds import SOUND_RATE_HZ, draw_sound

TOWER_PX = 48
SCALE = 4
VIDEO_PX = TOWER_PX * SCALE
CELL_PX = VIDEO_PX // 3
RADIUS_PX = {"small": 20.0, "big": 31.0}
VIDEO_FPS = 4.0
CHANGE_SECONDS = 0.5
"""How long a move or a change of size takes, centred on the event's time."""

_RGB = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 215, 50),
    "purple": (135, 50, 175),
    "orange": (240, 135, 30),
    "pink": (245, 145, 200),
    "black": (18, 18, 22),
    "grey": (125, 125, 125),
    "white": (238, 238, 238),
    "brown": (95, 62, 38),
}
_JITTER_PX = 5
_COLOUR_JITTER = 14
_BRIGHTNESS = (0.88, 1.10)
_NOISE = 4.0

Frame = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Grid = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Style:
    """What differs between two pictures of the same facts: shades, light, small offsets.

    Attributes:
        ground: RGB of the background.
        shades: RGB offset per object.
        offsets: (down, right) pixels per object, on the `VIDEO_PX` grid.
    """

    ground: tuple[float, float, float]
    light: float
    shades: tuple[tuple[float, float, float], ...]
    offsets: tuple[tuple[int, int], ...]


def draw_style(background: str, num_objects: int, rng: Random) -> Style:
    """Draw the style of one video (or still)."""

    def shade() -> tuple[float, float, float]:
        r, g, b = (rng.uniform(-_COLOUR_JITTER, _COLOUR_JITTER) for _ in range(3))
        return r, g, b

    r, g, b = (a + d for a, d in zip(_RGB[background], shade(), strict=True))
    return Style(
        (r, g, b),
        rng.uniform(*_BRIGHTNESS),
        tuple(shade() for _ in range(num_objects)),
        tuple(
            (rng.randint(-_JITTER_PX, _JITTER_PX), rng.randint(-_JITTER_PX, _JITTER_PX))
            for _ in range(num_objects)
        ),
    )


def _inside(shape: str, y: Grid, x: Grid, radius: float) -> NDArray[np.uint8]:
    if shape == "circle":
        inside = y * y + x * x <= radius * radius
    elif shape == "square":
        inside = np.maximum(abs(y), abs(x)) <= 0.86 * radius
    elif shape == "triangle":
        inside = (y <= 0.8 * radius) & (y >= 2.0 * abs(x) - radius)
    else:
        near, far = np.minimum(abs(y), abs(x)), np.maximum(abs(y), abs(x))
        inside = (near <= 0.32 * radius) & (far <= radius)
    return inside.astype(np.uint8)


def _centre(place: tuple[float, float], offset: tuple[int, int]) -> tuple[float, float]:
    return (
        (place[0] + 0.5) * CELL_PX + offset[0],
        (place[1] + 0.5) * CELL_PX + offset[1],
    )


def _colour(look: Look, shade: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.asarray(_RGB[look.colour], dtype=np.float64) + shade


@lru_cache(maxsize=8192)
def _small_mask(
    shape: str, size: str, top: int, left: int
) -> tuple[slice, slice, NDArray[np.float32]]:
    """The rows and columns an object covers at `TOWER_PX`, and its block-averaged mask there."""
    grid = np.arange(VIDEO_PX) + 0.5
    mask = _inside(shape, grid[:, None] - top, grid[None, :] - left, RADIUS_PX[size])
    blocks = mask.reshape(TOWER_PX, SCALE, TOWER_PX, SCALE).mean((1, 3)).astype(np.float32)
    rows, columns = (np.flatnonzero(blocks.any(axis)) for axis in (1, 0))
    where = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return *where, np.ascontiguousarray(blocks[where])


def draw_still(
    background: str, looks: Sequence[Look], rng: Random, noise: np.random.Generator
) -> Frame:
    """Draw one still at the towers' resolution, in a style of its own.

    Args:
        background: one of `BACKGROUNDS`.
        looks: the objects; those that are not visible are not drawn.
        rng: draws the style.
        noise: draws the pixel noise.

    Returns:
        uint8 (`TOWER_PX`, `TOWER_PX`, 3).
    """
    style = draw_style(background, len(looks), rng)
    picture = np.empty((TOWER_PX, TOWER_PX, 3), np.float32)
    picture[:] = style.ground
    for look, shade, offset in zip(looks, style.shades, style.offsets, strict=True):
        if look.visible:
            top, left = (int(value) for value in _centre(look.place, offset))
            rows, columns, mask = _small_mask(look.shape, look.size, top, left)
            part = picture[rows, columns]
            part += mask[..., None] * (_colour(look, shade).astype(np.float32) - part)
    picture *= style.light
    picture += noise.standard_normal(picture.shape, dtype=np.float32) * (_NOISE / 2)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def draw_frame(scene: Scene, time_s: float, style: Style) -> Frame:
    """Draw one video frame, changes in motion included.

    Returns:
        uint8 (`VIDEO_PX`, `VIDEO_PX`, 3).
    """
    picture = np.empty((VIDEO_PX, VIDEO_PX, 3), np.float32)
    picture[:] = style.ground
    grid = np.arange(VIDEO_PX) + 0.5
    for index, look in enumerate(scene.at(time_s)):
        if not look.visible:
            continue
        place, radius = _in_motion(scene, index, look, time_s)
        top, left = _centre(place, style.offsets[index])
        if place == look.place:
            top, left = int(top), int(left)
        mask = _inside(look.shape, grid[:, None] - top, grid[None, :] - left, radius)
        picture[mask.astype(bool)] = _colour(look, style.shades[index])
    return np.clip(picture * style.light + 0.5, 0, 255).astype(np.uint8)


def _in_motion(
    scene: Scene, index: int, look: Look, time_s: float
) -> tuple[tuple[float, float], float]:
    """Where an object is and how big, half way through a change where it is in one."""
    place: tuple[float, float] = look.place
    radius = RADIUS_PX[look.size]
    half = CHANGE_SECONDS / 2
    for number, event in enumerate(scene.events):
        away = time_s - event.time_s
        if event.target == index and abs(away) < half:
            before, after = scene.looks[number][index], scene.looks[number + 1][index]
            share = (away + half) / CHANGE_SECONDS
            place, radius = _between(before, after, event, share)
    return place, radius


def _between(
    before: Look, after: Look, event: Event, share: float
) -> tuple[tuple[float, float], float]:
    row, column = (a + share * (b - a) for a, b in zip(before.place, after.place, strict=True))
    start, end = RADIUS_PX[before.size], RADIUS_PX[after.size]
    return (row, column), start + share * (end - start)


def draw_clip(scene: Scene, *, fps: float = VIDEO_FPS, sound: bool = True) -> Clip:
    """Draw a whole scene with its sound; the style and the noise follow from the scene's id.

    Returns:
        A `Clip` of `fps * duration` frames at `VIDEO_PX`, mono sound at `SOUND_RATE_HZ`.
    """
    rng = Random(scene.id)
    style = draw_style(scene.background, len(scene.objects), rng)
    noise = np.random.default_rng(int(scene.id, 16))
    times = np.arange(round(scene.duration_s * fps)) / fps
    frames = np.stack([_with_noise(draw_frame(scene, t, style), noise) for t in times])
    wave = draw_sound(scene, noise) if sound and scene.sounds else None
    return Clip(
        frames=np.ascontiguousarray(frames.transpose(0, 3, 1, 2)),
        frame_times_s=times,
        duration_s=scene.duration_s,
        source=f"scene {scene.id}",
        sound=wave,
        sound_rate_hz=SOUND_RATE_HZ if wave is not None else None,
        sound_status="used" if wave is not None else "absent",
    )


def _with_noise(frame: Frame, noise: np.random.Generator) -> Frame:
    """Grain: one fixed field, rolled; a new field per frame would cost more than H.264."""
    field = _grain()
    rolled = np.roll(field, tuple(noise.integers(0, VIDEO_PX, 2)), (0, 1))
    return np.clip(frame.astype(np.int16) + rolled, 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.int16]:
    field = np.random.default_rng(0).standard_normal((VIDEO_PX, VIDEO_PX, 1)) * _NOISE
    return np.asarray(np.rint(field), dtype=np.int16)
