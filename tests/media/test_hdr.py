import numpy as np
import pytest

from textreel.media.hdr import HLG, PQ, to_sdr


def pq_code(nits: float) -> int:
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    y = (nits / 10_000) ** m1
    return round(65_535 * ((c1 + c2 * y) / (1 + c3 * y)) ** m2)


def grey(code: int) -> np.ndarray:
    return np.full((1, 1, 3), code, np.uint16)


def test_black_stays_black_and_the_peak_becomes_white() -> None:
    assert to_sdr(grey(0), transfer=PQ).tolist() == [[[0, 0, 0]]]
    assert to_sdr(grey(pq_code(1000)), transfer=PQ).min() >= 254
    assert to_sdr(grey(65_535), transfer=PQ).min() == 255
    assert to_sdr(grey(65_535), transfer=HLG).min() >= 254


def test_diffuse_white_lands_where_the_stated_curve_puts_it() -> None:
    light = (1 + (203 / 1000) ** 2) / 2
    assert to_sdr(grey(pq_code(203)), transfer=PQ)[0, 0, 0] == pytest.approx(
        255 * light ** (1 / 2.4), abs=1
    )


def test_brighter_never_becomes_darker() -> None:
    ramp = np.arange(0, 65_536, 64, dtype=np.uint16)
    for transfer in (PQ, HLG):
        out = to_sdr(np.repeat(ramp, 3).reshape(1, -1, 3), transfer=transfer)
        assert (np.diff(out[0, :, 0].astype(int)) >= 0).all()
