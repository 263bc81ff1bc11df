"""From a frame's texts to one vector: what is read, how long texts are split, how rows fuse."""

from collections.abc import Callable

import pytest
import torch

from textreel.data.textual_video import TextualFrame
from textreel.features.fuse import FusionError, average, frame_texts, split_text

FRAME = TextualFrame(caption="A man saws.", objects=(("saw", "steel"), ("bench", "")))


def words_at_most(limit: int) -> Callable[[str], bool]:
    return lambda text: len(text.split()) <= limit


def letters_at_most(limit: int) -> Callable[[str], bool]:
    return lambda text: len(text) <= limit


def test_a_frame_is_its_caption_and_where_asked_its_objects() -> None:
    assert frame_texts(FRAME, mode="caption") == ("A man saws.",)
    assert frame_texts(FRAME, mode="caption+objects") == ("A man saws.", "saw: steel", "bench")


def test_a_text_that_fits_is_left_as_it_is() -> None:
    assert split_text(" a  b ", fits=words_at_most(2)) == (" a  b ",)
    assert split_text("", fits=words_at_most(2)) == ("",)


@pytest.mark.parametrize(
    ("text", "limit", "pieces"),
    [
        ("A b c. D e. F g h.", 5, ("A b c. D e.", "F g h.")),
        ("A b, c d e, f. G h.", 4, ("A b,", "c d e, f.", "G h.")),
        ("a b c d e f g", 3, ("a b c", "d e f", "g")),
        ("One. a b c d e f, g h. Two.", 3, ("One.", "a b c", "d e f,", "g h.", "Two.")),
    ],
)
def test_sentences_are_kept_before_clauses_before_words(
    text: str, limit: int, pieces: tuple[str, ...]
) -> None:
    assert split_text(text, fits=words_at_most(limit)) == pieces


def test_a_word_that_does_not_fit_is_halved() -> None:
    assert split_text("ab abcdefg", fits=letters_at_most(4)) == ("ab", "abc", "defg")


def test_text_without_spaces_is_split_at_its_own_marks() -> None:
    assert split_text("一二三。四五六。", fits=letters_at_most(4)) == ("一二三。", "四五六。")


def test_a_tower_that_takes_nothing_is_refused() -> None:
    with pytest.raises(FusionError, match="the character 'a' alone has more tokens"):
        split_text("ab", fits=lambda _: False)


@pytest.mark.parametrize("limit", [1, 3, 7, 40])
def test_pieces_fit_and_hold_every_word_in_order(limit: int) -> None:
    text = "He said: well, (perhaps) yes; no? Then -- 3.5 km later, e.g. here.\nEnd! " * 6
    pieces = split_text(text, fits=words_at_most(limit))
    assert len(pieces) > 1
    assert all(len(piece.split()) <= limit for piece in pieces)
    assert " ".join(pieces).split() == text.split()
    assert all(piece == piece.strip() for piece in pieces)


def test_ten_thousand_words_without_a_mark_are_split_quickly() -> None:
    pieces = split_text("word " * 10_000, fits=words_at_most(75))
    assert len(pieces) == 134
    assert sum(len(piece.split()) for piece in pieces) == 10_000


def test_fusion_normalises_averages_and_normalises() -> None:
    rows = torch.tensor([[2.0, 0.0], [0.0, 5.0], [0.0, -3.0]])
    fused = average(rows, torch.tensor([0, 0, 1]), count=2)
    half = 0.5**0.5
    torch.testing.assert_close(fused, torch.tensor([[half, half], [0.0, -1.0]]))


def test_every_row_of_a_frame_weighs_the_same_and_order_does_not_matter() -> None:
    rows = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    owner = torch.tensor([0, 1, 0, 1, 1, 2])
    fused = average(rows, owner, count=3)
    torch.testing.assert_close(average(rows * 7, owner, count=3), fused)
    turned = torch.tensor([5, 3, 1, 2, 4, 0])
    torch.testing.assert_close(average(rows[turned], owner[turned], count=3), fused)
    torch.testing.assert_close(fused[2], rows[5] / rows[5].norm())


def test_what_has_no_direction_is_refused() -> None:
    with pytest.raises(FusionError, match="1 of 2 vectors to fuse are zero"):
        average(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]), count=1)
    with pytest.raises(FusionError, match="2 of 3 results have no vector"):
        average(torch.ones(1, 2), torch.tensor([1]), count=3)
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(FusionError, match="vectors of 1 of 1 results cancel"):
        average(opposite, torch.tensor([0, 0]), count=1)
