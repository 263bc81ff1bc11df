from random import Random

from textreel.synth.world.captions import SHAPE_WORDS
from textreel.synth.world.packed import MOST_WORDS, SLOTS, packed_moment, weigh
from textreel.synth.world.scene import SHAPES, Event, Look, Scene, draw_scene
from textreel.synth.world.vocabulary import words

SQUARE = Look("square", "red", "small", (1, 1), True)
CROSS = Look("cross", "blue", "big", (1, 0), True)
FACTS = Scene("grey", (SQUARE, CROSS), (Event(4.0, "disappears", 1),), (), 8.0)


def test_a_moment_is_a_row_with_a_column_for_each_shape() -> None:
    row = packed_moment(FACTS, 1.0, 3, Random(0), named=False).split()
    assert len(row) == SLOTS == 4
    assert row[0] == "3+nothing+grey+background"
    assert row[1] in {
        f"3+{p}+{s}+red" for p in ("centre", "middle") for s in ("small", "little", "tiny")
    }
    assert row[2] == "3+nothing"
    assert row[3] in {f"3+left+{size}+blue" for size in ("big", "large", "huge")}


def test_what_is_not_visible_is_nothing() -> None:
    assert packed_moment(FACTS, 6.0, 8, Random(0), named=False).split()[3] == "8+nothing"


def test_named_columns_say_their_shape() -> None:
    row = packed_moment(FACTS, 1.0, 1, Random(0), named=True).split()
    for shape, position in zip(SHAPES, row, strict=True):
        assert position.split("+")[-1] in SHAPE_WORDS[shape]


def test_a_position_has_its_words_faint_strays_and_padding() -> None:
    known, rng = set(words()), Random(4)
    for _ in range(200):
        scene = draw_scene(rng)
        for position in packed_moment(scene, 5.0, 7, rng).split():
            found = weigh(position, rng)
            own = position.split("+")
            assert len(found) == MOST_WORDS
            assert {word for word, _ in found} <= known
            assert [word for word, _ in found[: len(own)]] == own
            assert all(0.6 <= weight <= 1.2 for _, weight in found[: len(own)])
            assert all(0 <= weight <= 0.4 for _, weight in found[len(own) :])
            assert found[len(own) + 2 :] == [("<pad>", 0.0)] * (MOST_WORDS - len(own) - 2)
