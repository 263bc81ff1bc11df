"""HDR pictures to ordinary 8-bit RGB: the stated conversion.

1. The transfer function is undone: PQ gives cd/m2 (SMPTE ST 2084); HLG gives scene light, which
   its system gamma of 1.2 turns into light of a display of 1,000 cd/m2 (ITU-R BT.2100).
2. Diffuse white, 203 cd/m2 (ITU-R BT.2408), becomes 1.
3. Highlights are rolled off by extended Reinhard on the brightest of R, G and B, with 1,000 cd/m2
   becoming 1: L (1 + L / W^2) / (1 + L). Hues stay.
4. BT.2020 primaries become BT.709 (ITU-R BT.2087); what lies outside is clipped.
5. The BT.1886 display's gamma is undone: v^(1 / 2.4).
"""

import functools

import numpy as np
from numpy.typing import NDArray

PQ = 16
HLG = 18
HDR_TRANSFERS = (PQ, HLG)
"""ITU-T H.273, transfer characteristics."""
WHITE_NITS = 203.0
PEAK_NITS = 1000.0
DISPLAY_GAMMA = 2.4
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    dtype=np.float32,
)
HLG_LUMA = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
HLG_SYSTEM_GAMMA = 1.2
_OUTPUT_STEPS = 65_536


def to_sdr(picture: NDArray[np.uint16], *, transfer: int) -> NDArray[np.uint8]:
    """Tone-map one picture.

    Args:
        picture: uint16 (H, W, 3), R'G'B' over the full 16-bit range, BT.2020 primaries.
        transfer: `PQ` or `HLG`.

    Returns:
        uint8 (H, W, 3), BT.709.
    """
    light = _linear_table(transfer)[picture]
    if transfer == HLG:
        luma = (light @ HLG_LUMA)[..., None]
        light *= np.maximum(luma, 1e-6) ** (HLG_SYSTEM_GAMMA - 1) * (PEAK_NITS / WHITE_NITS)
    top = light.max(axis=-1, keepdims=True)
    peak = PEAK_NITS / WHITE_NITS
    light *= (1 + top / peak**2) / (1 + top)
    steps = np.clip(light @ BT2020_TO_BT709.T, 0, 1) * (_OUTPUT_STEPS - 1) + 0.5
    return _gamma_table()[steps.astype(np.uint16)]


@functools.cache
def _linear_table(transfer: int) -> NDArray[np.float32]:
    """Light for each of 65,536 code values: in units of diffuse white (PQ), or 0 to 1 (HLG)."""
    signal = np.arange(65_536) / 65_535
    if transfer == PQ:
        return (_pq_nits(signal) / WHITE_NITS).astype(np.float32)
    return _hlg_scene(signal).astype(np.float32)


def _pq_nits(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084, equation 4.1."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = signal ** (1 / m2)
    return 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg_scene(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100, table 5, inverse OETF."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


@functools.cache
def _gamma_table() -> NDArray[np.uint8]:
    light = np.arange(_OUTPUT_STEPS) / (_OUTPUT_STEPS - 1)
    return (255 * light ** (1 / DISPLAY_GAMMA) + 0.5).astype(np.uint8)
