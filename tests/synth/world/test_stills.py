from collections import Counter
from random import Random

import pytest

from textreel.synth.world import stills
from textreel.synth.world.scene import Look, Scene, draw_scene
from textreel.synth.world.stills import GROUP_SIZE, WORD_PAIRS, Moment, draw_group, word_pairs


@pytest.fixture(scope="module")
def groups() -> list[list[Moment]]:
    rng = Random(13)
    return [draw_group(rng) for _ in range(250)]


def test_every_edit_differs_in_a_fact_and_in_two_objects_at_most(groups) -> None:
    for first, *edits in groups:
        assert len(edits) == GROUP_SIZE - 1 == 7
        facts = {(m.background, frozenset(m.looks)) for m in (first, *edits)}
        assert len(facts) == GROUP_SIZE
        for edited in edits:
            gone, new = set(first.looks) - set(edited.looks), set(edited.looks) - set(first.looks)
            if edited.background != first.background:
                assert not gone
                assert not new
            else:
                assert 1 <= max(len(gone), len(new)) <= 2


def test_edits_stay_in_the_world(groups) -> None:
    for moment in (moment for group in groups for moment in group):
        assert len(moment.looks) <= 3
        assert all(look.visible for look in moment.looks)
        for what in ("shape", "colour", "place"):
            assert len({getattr(look, what) for look in moment.looks}) == len(moment.looks)


def test_edits_are_of_all_kinds(groups) -> None:
    kinds: Counter[str] = Counter()
    for first, *edits in groups:
        for edited in edits:
            gone, new = set(first.looks) - set(edited.looks), set(edited.looks) - set(first.looks)
            kinds[f"{len(gone)} for {len(new)}"] += 1
    assert set(kinds) == {"0 for 0", "0 for 1", "1 for 0", "1 for 1", "2 for 2"}
    assert min(kinds.values()) > 30


def test_stills_come_from_the_training_part(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Scene] = []

    def record(rng: Random) -> Scene:
        drawn.append(draw_scene(rng))
        return drawn[-1]

    monkeypatch.setattr(stills, "draw_scene", record)
    rng = Random(1)
    for _ in range(40):
        draw_group(rng)
        assert drawn[-1].part == "training"
    assert any(scene.part != "training" for scene in drawn)


def test_pairs_of_words_hold_what_belongs_together(groups) -> None:
    circle = Look("circle", "red", "small", (0, 0), visible=True)
    square = Look("square", "blue", "big", (1, 1), visible=True)
    found = set(word_pairs(Moment("grey", (circle, square))))
    assert len(found) == 13
    assert {("grey", "grey"), ("red", "circle"), ("circle", "top left"), ("big", "blue")} <= found
    assert ("red", "square") not in found
    assert len(WORD_PAIRS) == len(set(WORD_PAIRS)) == 171
    said = {pair for group in groups for moment in group for pair in word_pairs(moment)}
    assert said == set(WORD_PAIRS)


def test_moments_of_other_facts_have_other_pairs(groups) -> None:
    for group in groups:
        assert len({frozenset(word_pairs(moment)) for moment in group}) == GROUP_SIZE
