"""Answers hold as many numbers as options."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

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


def test_a_notebook_shows_frames_times_odds_and_sound() -> None:
    frames = np.zeros((2, 3, 40, 60), dtype=np.uint8)
    answer = Answer(
        text="red & <blue>",
        frame_times_s=(0.5, 1.25),
        sound_status="unused",
        bridge="none",
        encoder="tiny",
        chosen=1,
        options=("green", "red & <blue>"),
        log_likelihoods=(-2.0, -0.1),
        probabilities=(0.13, 0.87),
        note="knows only circles",
        question="which <one> ?",
        frames=frames,
    )
    page = answer._repr_html_()
    for text in (
        "red &amp; &lt;blue&gt;",
        "which &lt;one&gt; ?",
        "0.50 s",
        "1.25 s",
        "87.0%",
        "13.0%",
        "sound unused; through tiny, bridge none; knows only circles",
    ):
        assert text in page
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    sizes = [Image.open(io.BytesIO(base64.b64decode(p))).size for p in pictures]
    assert sizes == [(60, 40), (60, 40)]
    bare = replace(OPEN, frame_times_s=(0.5, 1.25))
    assert "<img" not in bare._repr_html_()
    assert "0.50 s, 1.25 s" in bare._repr_html_()
    assert answer == replace(answer, frames=None)
