"""The figures of a data card as one PNG: bars, drawn with Pillow and its built-in font."""

import io
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from textreel.synth.textvid.figures import Figures

_PANEL_PX = (460, 250)
_MARGIN_PX, _BAR_PX, _LABEL_PX = 16, 15, 150
_INK, _SOFT, _BAR, _PAPER = "#222222", "#777777", "#4c78a8", "#ffffff"
_MOST_BARS = 10


def draw_figures(figures: Figures, *, rejected: Mapping[str, int]) -> bytes:
    """Return a PNG with six panels.

    Args:
        figures: of the records.
        rejected: records and questions that were left out, by reason.
    """
    letters: dict[str, float] = {}
    for options, counts in figures.letters.items():
        total = sum(counts.values())
        letters |= {f"{letter} of {options}": n / total for letter, n in counts.items()}
    panels: list[tuple[str, Mapping[str, float]]] = [
        ("records by frames", figures.frames_per_record),
        ("questions by kind", figures.kinds),
        ("right answers by letter (share)", letters),
        ("left out, by reason", rejected or {"nothing": 0}),
        ("records by source", figures.sources),
        (
            f"diversity of {figures.captions_sampled} captions (0 to 1)",
            {
                "distinct words": figures.distinct_1,
                "distinct pairs": figures.distinct_2,
                "distinct triples": figures.distinct_3,
                f"entropy, {figures.clusters} clusters": figures.cluster_entropy,
            },
        ),
    ]
    width, height = _PANEL_PX
    picture = Image.new("RGB", (2 * width, 3 * height), _PAPER)
    pen = ImageDraw.Draw(picture)
    for number, (title, bars) in enumerate(panels):
        _panel(pen, number % 2 * width, number // 2 * height, title, bars)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _panel(
    pen: ImageDraw.ImageDraw, left: int, top: int, title: str, bars: Mapping[str, float]
) -> None:
    titles, font = ImageFont.load_default(15), ImageFont.load_default(12)
    pen.text((left + _MARGIN_PX, top + _MARGIN_PX), title, fill=_INK, font=titles)
    shown = list(bars.items())[:_MOST_BARS]
    if len(bars) > _MOST_BARS:
        rest = list(bars.values())[_MOST_BARS - 1 :]
        shown = [*shown[:-1], (f"{len(rest)} others", sum(rest))]
    largest = max((value for _, value in shown), default=0) or 1
    room = _PANEL_PX[0] - 2 * _MARGIN_PX - _LABEL_PX - 60
    for row, (name, value) in enumerate(shown):
        y = top + 46 + row * (_BAR_PX + 4)
        x = left + _MARGIN_PX + _LABEL_PX
        label = name if len(name) <= 22 else name[:20] + ".."
        pen.text((x - 8, y), label.encode("ascii", "replace").decode(), _SOFT, font, anchor="ra")
        pen.rectangle((x, y, x + round(room * value / largest), y + _BAR_PX), fill=_BAR)
        text = f"{value:.2f}" if isinstance(value, float) else str(value)
        pen.text((x + round(room * value / largest) + 6, y), text, _INK, font)
