"""Answers hold as many numbers as options."""

from dataclasses import replace

import pytest

from textreel.models.answer import Answer

OPEN = Answer(
    text="red", frame_times_s=(0.5, 1.5), sound_status="absent", bridge="none", encoder="tiny"
)
CHOSEN = replace(
    OPEN,
    chosen=1,
    options=("blue", "red"),
    log_likelihoods=(-2.0, -1.0),
    probabilities=(0.27, 0.73),
)


def test_open_and_chosen_answers() -> None:
    assert OPEN.chosen is None
    assert CHOSEN.options[CHOSEN.chosen] == CHOSEN.text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"probabilities": (1.0,)}, "2 options with 2 log-likelihoods and 1 probabilities"),
        ({"chosen": None}, "Answer: chosen=None among 2 options"),
        ({"chosen": 2}, "option 2 of 2 does not exist"),
    ],
)
def test_numbers_must_agree(fields, text) -> None:
    with pytest.raises(ValueError, match=text):
        replace(CHOSEN, **fields)
