"""The table of sizes in docs/ENCODERS.md is what the meta tensors give."""

import pytest

from tests.source import ROOT
from textreel.models.encoder_sizes import EncoderSize, encoder_sizes


def row(size: EncoderSize) -> str:
    cells = [
        size.tower,
        size.item,
        f"{size.parameters / 1e6:.1f} M",
        f"{size.float32_bytes / 1e9:.2f} GB",
        f"{size.float16_bytes / 1e9:.2f} GB",
        f"{size.flops / 1e9:.0f} G",
        f"{size.flops / 1e11:.2f} s",
        f"{size.stored_bytes / 1e3:.1f} kB",
    ]
    return f"| {' | '.join(cells)} |"


@pytest.mark.slow  # builds every tower at its full size, without weights
def test_the_documented_sizes_are_the_computed_ones() -> None:
    text = (ROOT / "docs" / "ENCODERS.md").read_text(encoding="utf-8")
    sizes = encoder_sizes()
    assert len(sizes) == 6
    missing = [row(size) for size in sizes if row(size) not in text]
    assert not missing, "\n".join(missing)


def test_bytes_follow_from_the_counts() -> None:
    size = EncoderSize(tower="t", item="i", parameters=10, flops=3, vectors=(32, 768))
    assert (size.float32_bytes, size.float16_bytes, size.stored_bytes) == (40, 20, 49_152)
