from collections import Counter
from itertools import islice
from random import Random

import pytest

from tests.synth.world.by_hand import busy_scene, look, replay, scene
from textreel.synth.world.scene import Event, Scene, Sound, changed, draw_scene, draw_scenes


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    rng = Random(11)
    return [draw_scene(rng) for _ in range(500)]


def test_facts_change_at_the_events() -> None:
    facts = busy_scene()
    assert facts.at(2.09)[0].place == (0, 0)
    assert facts.at(2.1)[0].place == (0, 2)
    assert [looks[1].colour for looks in facts.looks] == ["blue", "blue", "pink"]
    assert facts.at(8.0)[1] == look("square", "pink", "big", (2, 1))
    assert facts.events_of(1) == (Event(5.0, "changes colour", 1, "pink"),)
    assert facts.events_of(0) == facts.events[:1]


@pytest.mark.parametrize(
    ("kind", "detail", "after"),
    [
        ("moves", "left", look(place=(1, -1))),
        ("moves", "right", look(place=(1, 3))),
        ("moves", "up", look(place=(-1, 1))),
        ("moves", "down", look(place=(3, 1))),
        ("appears", "", look(place=(1, 1))),
        ("disappears", "", look(place=(1, 1), visible=False)),
        ("grows", "", look(size="big", place=(1, 1))),
        ("shrinks", "", look(place=(1, 1))),
        ("changes colour", "pink", look(colour="pink", place=(1, 1))),
    ],
)
def test_an_event_changes_one_thing(kind: str, detail: str, after) -> None:
    assert changed(look(place=(1, 1)), Event(1.0, kind, 0, detail)) == after


def test_the_part_of_a_scene_never_changes() -> None:
    assert busy_scene().id == "16903cb92758beac"
    assert busy_scene().part == "training"
    silent = scene(*busy_scene().objects, events=busy_scene().events, background="grey")
    assert silent.id != busy_scene().id


@pytest.mark.slow
def test_parts_have_their_shares_and_nothing_in_common() -> None:
    rng = Random(5)
    parts = Counter(draw_scene(rng).part for _ in range(4800))
    for part in ("test", "validation", "memory"):
        assert 230 < parts[part] < 370, parts  # 300 expected, standard deviation 17
    ids = {
        part: {s.id for s in islice(draw_scenes(1, part=part), 40)}
        for part in ("test", "validation", "memory", "training")
    }
    assert all(len(own) == 40 for own in ids.values())
    assert len(set.union(*ids.values())) == 160
    assert all(s.part == "memory" for s in islice(draw_scenes(1, part="memory"), 10))


def test_a_seed_gives_its_scenes_again_and_none_twice() -> None:
    first, again, other = ([s.id for s in islice(draw_scenes(seed), 50)] for seed in (3, 3, 4))
    assert first == again
    assert not set(first) & set(other)


def test_a_scene_that_is_drawn_twice_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = islice(draw_scenes(0), 2)
    draws = iter([a, a, b])
    monkeypatch.setattr("textreel.synth.world.scene.draw_scene", lambda rng, seconds: next(draws))
    assert list(islice(draw_scenes(0), 2)) == [a, b]


def test_no_two_objects_share_shape_colour_or_cell_at_any_time(drawn: list[Scene]) -> None:
    for facts in drawn:
        for time_s in (0.0, *(event.time_s for event in facts.events)):
            now = replay(facts, time_s)
            for what in ("shape", "colour", "place"):
                assert len({thing[what] for thing in now}) == len(now), (facts, time_s)
            assert all(0 <= n <= 2 for thing in now for n in thing["place"])


def test_looks_are_what_the_events_say(drawn: list[Scene]) -> None:
    for facts in drawn:
        for time_s in (0.0, 0.5, 3.5, 5.0, 7.5, *(event.time_s for event in facts.events)):
            assert [(o.shape, o.colour, o.size, o.place, o.visible) for o in facts.at(time_s)] == [
                tuple(thing.values()) for thing in replay(facts, time_s)
            ]


def test_every_event_changes_what_is_seen_near_a_whole_second(drawn: list[Scene]) -> None:
    kinds: Counter[str] = Counter()
    for facts in drawn:
        assert 1 <= len(facts.objects) <= 3
        assert len(facts.events) <= 2
        for before, after, event in zip(facts.looks, facts.looks[1:], facts.events, strict=False):
            assert before != after
            if event.kind not in ("appears",):
                assert before[event.target].visible
            assert 0.85 <= event.time_s <= 7.15
            assert abs(event.time_s - round(event.time_s)) <= 0.1501
            kinds[event.kind] += 1
    assert len(kinds) == 6
    assert min(kinds.values()) > 0.1 * sum(kinds.values())


@pytest.mark.slow
def test_a_third_of_the_sounds_comes_from_off_screen() -> None:
    rng = Random(3)
    scenes = [draw_scene(rng) for _ in range(1500)]
    for facts in scenes:
        assert len({sound.shape for sound in facts.sounds}) == len(facts.sounds)
        for sound in facts.sounds:
            assert 0 <= sound.start_s < sound.end_s <= 8
            shown = {
                thing["shape"]
                for time_s in (sound.start_s, sound.end_s - 1e-6)
                for thing in replay(facts, time_s)
                if thing["seen"]
            }
            if sound.on_screen:
                assert sound.shape in shown
            else:
                assert sound.shape not in {o.shape for o in facts.objects}
    sounds = [sound for facts in scenes for sound in facts.sounds]
    assert 0.29 < sum(not s.on_screen for s in sounds) / len(sounds) < 0.38


@pytest.mark.parametrize("seconds", [4.0, 4.333, 5.0, 9.37, 60.0, 600.0])
def test_scenes_of_any_length_keep_within_it(seconds: float) -> None:
    rng = Random(2)
    for _ in range(40 if seconds < 100 else 3):
        facts = draw_scene(rng, seconds=seconds)
        assert all(0 < event.time_s < seconds for event in facts.events)
        assert all(0 <= s.start_s < s.end_s <= seconds for s in facts.sounds)
        for looks in facts.looks:
            assert len({o.place for o in looks}) == len({o.colour for o in looks}) == len(looks)
    if seconds == 600:
        assert len(facts.events) > 20


@pytest.mark.parametrize("seconds", [3.9, 600.1, float("nan")])
def test_a_length_that_no_scene_has(seconds: float) -> None:
    with pytest.raises(ValueError, match="a scene lasts 4 to 600 seconds, got"):
        draw_scene(Random(0), seconds=seconds)


def test_a_sound_belongs_to_the_facts() -> None:
    heard = scene(look(), sounds=(Sound("cross", 0.0, 2.0, on_screen=False),))
    assert heard.id != scene(look()).id
