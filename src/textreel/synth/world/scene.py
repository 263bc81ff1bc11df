"""Scenes of the procedural world: objects, events and sounds as facts over time.

    Scene = background + 1-3 objects + events at times + sounds at times

Everything else (pictures, captions, questions, the mp4) is derived from a scene's facts, so a
label cannot be wrong. Two objects of a scene never share a shape, a colour or a cell of the 3 x 3
grid at any time. Each shape has its own sound; an object may be silent, and a sound may come from
a shape that is not on the screen.

Scenes are split by the sha256 of their own facts (`part_of`): a test scene can never turn up in
training, whatever the seed, and no list has to be kept.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from random import Random
from typing import Literal

SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "pink")
SIZES = ("small", "big")
BACKGROUNDS = ("black", "grey", "white", "brown")
DIRECTIONS = ("left", "right", "up", "down")
EVENT_KINDS = ("moves", "appears", "disappears", "grows", "shrinks", "changes colour")
STAYING_KINDS = ("moves", "grows", "shrinks", "changes colour")
"""Kinds that an object can go through one after another without leaving the screen."""

SCENE_SECONDS = 8.0
SHORTEST_S, LONGEST_S = 4.0, 600.0
SECONDS_PER_EVENT = 4.0
EVENT_JITTER_S = 0.15
SOUND_SECONDS = (2.0, 3.5)
OFF_SCREEN_SHARE = 0.27
"""Drawn; with the sounds that no visible object can make, about a third come from off screen."""
NUM_PARTS = 16

Part = Literal["test", "validation", "memory", "training"]
Place = tuple[int, int]
"""(row, column) on the 3 x 3 grid, from the top left."""

_STEP: dict[str, Place] = {"left": (0, -2), "right": (0, 2), "up": (-2, 0), "down": (2, 0)}


@dataclass(frozen=True, slots=True)
class Look:
    """What one object looks like at one moment."""

    shape: str
    colour: str
    size: str
    place: Place
    visible: bool


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one object.

    Attributes:
        time_s: the middle of the change, seconds from the start.
        kind: one of `EVENT_KINDS`.
        target: index of the object.
        detail: the direction of a move, the new colour of a colour change, else empty.
    """

    time_s: float
    kind: str
    target: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Sound:
    """A shape heard in [start_s, end_s); `on_screen` where that shape is in the picture."""

    shape: str
    start_s: float
    end_s: float
    on_screen: bool


@dataclass(frozen=True)
class Scene:
    """The facts. `objects` are the looks at time 0; `events` ascend in time."""

    background: str
    objects: tuple[Look, ...]
    events: tuple[Event, ...]
    sounds: tuple[Sound, ...]
    duration_s: float

    @cached_property
    def id(self) -> str:
        """The first 16 hex digits of the sha256 of the facts."""
        return self._digest[:16]

    @cached_property
    def part(self) -> Part:
        """Which part of the world this is: test, validation, memory (1/16 each) or training."""
        number = int(self._digest[-8:], 16) % NUM_PARTS
        first: tuple[Part, ...] = ("test", "validation", "memory")
        return first[number] if number < len(first) else "training"

    @cached_property
    def _digest(self) -> str:
        facts = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(facts.encode()).hexdigest()

    @cached_property
    def looks(self) -> tuple[tuple[Look, ...], ...]:
        """The looks before the first event, and after each event in turn."""
        states = [self.objects]
        for event in self.events:
            now = list(states[-1])
            now[event.target] = changed(now[event.target], event)
            states.append(tuple(now))
        return tuple(states)

    def at(self, time_s: float) -> tuple[Look, ...]:
        """All objects' looks at `time_s`, in seconds."""
        return self.looks[sum(event.time_s <= time_s for event in self.events)]

    def events_of(self, target: int) -> tuple[Event, ...]:
        """The events of one object, in order of time."""
        return tuple(event for event in self.events if event.target == target)


def changed(look: Look, event: Event) -> Look:
    """Return `look` after `event`."""
    shape, colour, size, place, visible = (
        look.shape,
        look.colour,
        look.size,
        look.place,
        look.visible,
    )
    match event.kind:
        case "moves":
            step = _STEP[event.detail]
            place = (place[0] + step[0], place[1] + step[1])
        case "appears" | "disappears":
            visible = event.kind == "appears"
        case "grows" | "shrinks":
            size = "big" if event.kind == "grows" else "small"
        case "changes colour":
            colour = event.detail
    return Look(shape, colour, size, place, visible)


def draw_scenes(
    seed: int, *, part: Part = "training", seconds: float = SCENE_SECONDS
) -> Iterator[Scene]:
    """Yield different random scenes of one part of the world for ever, the same for a seed.

    Where nothing happens and nothing sounds, two draws can be the same: the second is left out.
    """
    rng = Random(f"{part}-{seed}-{seconds}")
    seen: set[str] = set()
    while True:
        scene = draw_scene(rng, seconds=seconds)
        if scene.part == part and scene.id not in seen:
            seen.add(scene.id)
            yield scene


def draw_scene(rng: Random, *, seconds: float = SCENE_SECONDS) -> Scene:
    """Draw one scene of any part.

    Scenes of up to 8 seconds have 0-2 events; longer ones a chain of about one every 4 seconds.

    Raises:
        ValueError: `seconds` is outside [4, 600].
    """
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise ValueError(f"a scene lasts 4 to 600 seconds, got {seconds}")
    while (drawn := _try_scene(rng, seconds)) is None:
        pass
    return drawn


def _try_scene(rng: Random, seconds: float) -> Scene | None:
    count = rng.choices((1, 2, 3), weights=(0.25, 0.40, 0.35))[0]
    shapes, colours = rng.sample(SHAPES, count), rng.sample(COLOURS, count)
    times = _event_times(rng, seconds)
    plan = _plan_events(rng, count, len(times))
    spare = [colour for colour in COLOURS if colour not in colours]
    taken: set[Place] = set()
    objects: list[Look] = []
    events: list[Event] = []
    for target in range(count):
        kinds = [(times[i], kind) for i, (who, kind) in enumerate(plan) if who == target]
        track = _track(rng, sum(kind == "moves" for _, kind in kinds))
        if track is None or taken & set(track[0]):
            return None
        cells, moves = track
        taken |= set(cells)
        events += _details(rng, target, kinds, moves, spare)
        size = {"grows": "small", "shrinks": "big"}.get(
            next((kind for _, kind in kinds if kind in ("grows", "shrinks")), ""), rng.choice(SIZES)
        )
        shown = not any(kind == "appears" for _, kind in kinds[:1])
        objects.append(Look(shapes[target], colours[target], size, cells[0], shown))
    events.sort(key=lambda event: event.time_s)
    background = rng.choice(BACKGROUNDS)
    silent = Scene(background, tuple(objects), tuple(events), (), seconds)
    return Scene(background, silent.objects, silent.events, _draw_sounds(rng, silent), seconds)


def _event_times(rng: Random, seconds: float) -> list[float]:
    """Times near whole seconds: frames at the half seconds never catch a change half done."""
    if seconds <= SCENE_SECONDS:
        count = rng.choices((0, 1, 2), weights=(0.08, 0.27, 0.65))[0]
    else:
        count = max(2, round(seconds / SECONDS_PER_EVENT * rng.uniform(0.7, 1.3)))
    slots = list(range(1, int(seconds)))
    picked = sorted(rng.sample(slots, count))
    return [round(slot + rng.uniform(-EVENT_JITTER_S, EVENT_JITTER_S), 2) for slot in picked]


def _plan_events(rng: Random, count: int, num_events: int) -> list[tuple[int, str]]:
    """Choose (object, kind) per event, such that each object can live through its own kinds."""
    plan: list[tuple[int, str]] = []
    last: dict[int, str] = {}
    fresh = list(range(count))
    rng.shuffle(fresh)
    for _ in range(num_events):
        alive = [who for who, kind in last.items() if kind in STAYING_KINDS]
        if fresh and (not alive or rng.random() < 0.8):
            target, kind = fresh.pop(), rng.choice(EVENT_KINDS)
        elif alive:
            target = rng.choice(alive)
            kind = rng.choice([k for k in STAYING_KINDS if _may_follow(plan, target, k)])
        else:
            break
        last[target] = kind
        plan.append((target, kind))
    return plan


def _may_follow(plan: list[tuple[int, str]], target: int, kind: str) -> bool:
    """An object neither repeats its last kind, nor grows when big or shrinks when small."""
    past = [k for who, k in plan if who == target]
    sizes = [k for k in past if k in ("grows", "shrinks")]
    return kind != past[-1] and (not sizes or kind != sizes[-1])


def _track(rng: Random, num_moves: int) -> tuple[list[Place], list[str]] | None:
    """A walk of `num_moves` moves, each from one edge of the grid to the other."""
    if num_moves == 0:
        return [(rng.randrange(3), rng.randrange(3))], []
    direction = rng.choice(DIRECTIONS)
    fixed, sign = rng.randrange(3), 1 if direction in ("right", "down") else -1
    edge = 1 - sign
    place = (fixed, edge) if direction in ("left", "right") else (edge, fixed)
    cells = [place]
    moves: list[str] = []
    for _ in range(num_moves):
        if moves:
            options = [d for d in DIRECTIONS if _inside(place, d)]
            direction = rng.choice(options)
        step = _STEP[direction]
        place = (place[0] + step[0], place[1] + step[1])
        cells.append(place)
        moves.append(direction)
    return cells, moves


def _inside(place: Place, direction: str) -> bool:
    step = _STEP[direction]
    return 0 <= place[0] + step[0] <= 2 and 0 <= place[1] + step[1] <= 2


def _details(
    rng: Random,
    target: int,
    kinds: list[tuple[float, str]],
    moves: list[str],
    spare: list[str],
) -> list[Event]:
    """Turn kinds into events; takes the colours it uses out of `spare`."""
    moves = list(moves)
    events = []
    for time_s, kind in kinds:
        detail = ""
        if kind == "moves":
            detail = moves.pop(0)
        elif kind == "changes colour":
            if not spare:
                continue
            detail = spare.pop(rng.randrange(len(spare)))
        events.append(Event(time_s, kind, target, detail))
    return events


def _draw_sounds(rng: Random, scene: Scene) -> tuple[Sound, ...]:
    """0-2 sounds, one in each half of the scene, a third of them from off screen."""
    count = rng.choices((0, 1, 2), weights=(0.1, 0.6, 0.3))[0]
    half = scene.duration_s / 2
    slots = sorted(rng.sample((0, 1), count))
    sounds: list[Sound] = []
    for slot in slots:
        length = min(rng.uniform(*SOUND_SECONDS), half)
        start = round(slot * half + rng.uniform(0, half - length), 2)
        end = min(round(start + length, 2), scene.duration_s)
        shown = _always_visible(scene, start, end)
        hidden = [s for s in SHAPES if all(s != look.shape for look in scene.objects)]
        used = {sound.shape for sound in sounds}
        off_screen = rng.random() < OFF_SCREEN_SHARE or not shown
        choices = [s for s in (hidden if off_screen else shown) if s not in used]
        if choices:
            sounds.append(Sound(rng.choice(choices), start, end, not off_screen))
    return tuple(sounds)


def _always_visible(scene: Scene, start_s: float, end_s: float) -> list[str]:
    moments = [start_s, *(e.time_s for e in scene.events if start_s < e.time_s < end_s)]
    states = [scene.at(moment) for moment in moments]
    return [
        look.shape
        for index, look in enumerate(scene.objects)
        if all(state[index].visible for state in states)
    ]
