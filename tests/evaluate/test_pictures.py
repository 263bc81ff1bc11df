"""Frames as data URIs and the chart's geometry."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from textreel.evaluate.pictures import bar_chart, png_data_uri
from textreel.evaluate.score import Score


def decode(uri: str) -> np.ndarray:
    kind, data = uri.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_a_frame_survives_pixel_for_pixel() -> None:
    frame = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
    assert (decode(png_data_uri(frame)) == frame.transpose(1, 2, 0)).all()


def test_a_small_frame_is_enlarged_by_a_whole_factor() -> None:
    frame = np.array([[[0, 255, 9]]] * 3, dtype=np.uint8)
    large = decode(png_data_uri(frame, min_side_px=2))
    assert large[..., 0].tolist() == [[0, 0, 255, 255, 9, 9]] * 2


@pytest.mark.parametrize("bad", [np.zeros((2, 2, 3), np.uint8), np.zeros((3, 2, 2), np.float32)])
def test_what_is_no_frame_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a frame must be uint8 \(3, H, W\)"):
        png_data_uri(bad)


def test_bars_are_as_long_as_their_values() -> None:
    def score(value: float) -> Score:
        return Score(metric="macro", value=value, stderr=0.01, n=9, clusters=9, fingerprint="f")

    bars = [("a<b", "", score(0.4), "headline"), ("c", "&", score(0.8), "other")]
    svg = bar_chart(bars, chance=0.25, title="x & y")
    short, long = (float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', svg))
    assert long == pytest.approx(2 * short)
    assert "a&lt;b" in svg
    assert "x &amp; y" in svg
    assert "chance 25%" in svg
    assert "chance" not in bar_chart(bars, chance=None, title="t")
