from random import Random

import numpy as np
import pytest

from tests.synth.world.by_hand import look, scene
from textreel.synth.world.render import (
    TOWER_PX,
    VIDEO_PX,
    Style,
    draw_clip,
    draw_frame,
    draw_still,
    draw_style,
)
from textreel.synth.world.scene import Event, Sound

PLAIN = Style((18.0, 18.0, 22.0), 1.0, ((0.0, 0.0, 0.0),) * 2, ((0, 0),) * 2)
RED, GREEN, BLACK = (220, 40, 40), (40, 170, 60), (18, 18, 22)


class Quiet(np.random.Generator):
    """A generator without noise."""

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        return np.zeros(size, dtype)


def centre_of(cell: tuple[float, float]) -> tuple[int, int]:
    return int((cell[0] + 0.5) * 64), int((cell[1] + 0.5) * 64)


def colour_at(facts, time_s: float, cell: tuple[float, float]) -> tuple[int, ...]:
    return tuple(draw_frame(facts, time_s, PLAIN)[centre_of(cell)].tolist())


@pytest.mark.parametrize("shape", ["circle", "square", "triangle", "cross"])
@pytest.mark.parametrize("size", ["small", "big"])
def test_a_still_is_the_block_mean_of_the_video_frame(shape: str, size: str) -> None:
    looks = (look(shape, "green", size, (0, 0)), look("square", "purple", "big", (2, 2)))
    for seed in range(3):
        style = draw_style("grey", 2, Random(seed))
        big = draw_frame(scene(*looks, background="grey"), 0.0, style).astype(float)
        mean = big.reshape(TOWER_PX, 4, TOWER_PX, 4, 3).mean((1, 3))
        still = draw_still("grey", looks, Random(seed), Quiet(np.random.PCG64(0)))
        assert still.shape == (48, 48, 3)
        assert still.dtype == np.uint8
        assert abs(still - mean).max() <= 1.0  # both are rounded


def test_the_noise_of_a_still_is_that_of_a_block_mean_of_nearly_white_noise() -> None:
    looks = (look(),)
    quiet = draw_still("grey", looks, Random(0), Quiet(np.random.PCG64(0)))
    noisy = draw_still("grey", looks, Random(0), np.random.default_rng(0))
    assert 1.8 < (noisy.astype(float) - quiet).std() < 2.2


def test_what_is_not_visible_is_not_drawn() -> None:
    hidden = look("square", visible=False)
    quiet = Quiet(np.random.PCG64(0))
    still = draw_still("white", (hidden,), Random(1), quiet)
    assert len(np.unique(still.reshape(-1, 3), axis=0)) == 1
    assert colour_at(scene(hidden), 0.0, (0, 0)) == BLACK


@pytest.mark.parametrize(
    ("event", "before", "after"),
    [
        (Event(4.0, "changes colour", 0, "green"), RED, GREEN),
        (Event(4.0, "disappears", 0), RED, BLACK),
        (Event(4.0, "moves", 0, "right"), RED, BLACK),
    ],
)
def test_frames_show_what_happens(event: Event, before: tuple, after: tuple) -> None:
    facts = scene(look(), events=(event,))
    assert colour_at(facts, 3.5, (0, 0)) == before
    assert colour_at(facts, 4.5, (0, 0)) == after


def test_something_appears() -> None:
    facts = scene(look(visible=False), events=(Event(4.0, "appears", 0),))
    assert colour_at(facts, 3.9, (0, 0)) == BLACK
    assert colour_at(facts, 4.0, (0, 0)) == RED


def test_a_move_takes_half_a_second_and_passes_the_middle() -> None:
    facts = scene(look(), events=(Event(4.0, "moves", 0, "right"),))
    assert colour_at(facts, 3.74, (0, 0)) == RED
    assert colour_at(facts, 4.0, (0, 1)) == RED
    assert colour_at(facts, 4.0, (0, 0)) == colour_at(facts, 4.0, (0, 2)) == BLACK
    assert colour_at(facts, 4.26, (0, 2)) == RED


def test_growth_is_seen_half_way() -> None:
    facts = scene(look("square"), events=(Event(4.0, "grows", 0),))
    widths = [
        int((draw_frame(facts, time_s, PLAIN)[32, :64] == RED).all(-1).sum())
        for time_s in (3.5, 4.0, 4.5)
    ]
    assert widths == [34, 44, 54]  # 2 * .86 * radius; radii 20, 25.5, 31


def test_a_style_moves_and_shades_each_object_a_little() -> None:
    styles = [draw_style("brown", 2, Random(seed)) for seed in range(40)]
    assert len({style.ground for style in styles}) == 40
    assert all(0.88 <= style.light <= 1.1 for style in styles)
    assert all(abs(n) <= 14 for style in styles for shade in style.shades for n in shade)
    offsets = {n for style in styles for offset in style.offsets for n in offset}
    assert offsets == set(range(-5, 6))


def test_a_clip_is_the_same_every_time_and_has_its_clock() -> None:
    hum = Sound("circle", 1.0, 3.0, on_screen=True)
    facts = scene(look(), sounds=(hum,), duration_s=4.0)
    first, again = (draw_clip(facts, fps=2.0) for _ in range(2))
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.sound, again.sound)
    assert first.frames.shape == (8, 3, VIDEO_PX, VIDEO_PX)
    assert first.frame_times_s.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    assert (first.duration_s, first.sound_rate_hz, first.sound_status) == (4.0, 16_000, "used")
    assert first.sound.shape == (1, 64_000)


def test_a_clip_without_sound_says_so() -> None:
    hum = Sound("circle", 1.0, 3.0, on_screen=True)
    silent = draw_clip(scene(look(), duration_s=4.0), fps=1.0)
    unasked = draw_clip(scene(look(), sounds=(hum,), duration_s=4.0), fps=1.0, sound=False)
    for clip in (silent, unasked):
        assert (clip.sound, clip.sound_rate_hz, clip.sound_status) == (None, None, "absent")


def test_frames_of_a_clip_are_the_drawing_with_a_little_grain() -> None:
    facts = scene(look(), background="grey", duration_s=4.0)
    clip = draw_clip(facts, fps=1.0)
    style = draw_style("grey", 1, Random(facts.id))
    for time_s, frame in zip(clip.frame_times_s, clip.frames, strict=True):
        grain = frame.transpose(1, 2, 0).astype(float) - draw_frame(facts, time_s, style)
        assert abs(grain.mean()) < 0.2
        assert 3.5 < grain.std() < 4.5
