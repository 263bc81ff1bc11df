"""Pages that do not all look alike: size, font, density and contrast drawn for each text.

What is drawn depends on the seed and the text's id alone, so a resumed run and every worker see the
same pages.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

from textreel.synth.pages.errors import LayoutError
from textreel.synth.pages.fonts import FontFile
from textreel.synth.pages.settings import SMALLEST_FONT_PX, PageSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Jitter:
    """By how much pages differ; the values that were not given stay as the settings have them.

    Attributes:
        font_px: smallest and largest letters, both possible.
        line_spacing: smallest and largest, for the density of lines.
        margin_px: smallest and largest, for the density of pages.
        contrast: smallest difference of ink and paper, in grey levels; the ink gets lighter and the
            paper darker.
        seed: of all draws.
    """

    font_px: tuple[int, int] | None = None
    line_spacing: tuple[float, float] | None = None
    margin_px: tuple[int, int] | None = None
    contrast: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("font_px", "line_spacing", "margin_px"):
            span = getattr(self, name)
            if span is not None and not span[0] <= span[1]:
                raise LayoutError(f"jitter of {name} from {span[0]} to {span[1]}: nothing between")
        if self.font_px is not None and self.font_px[0] < SMALLEST_FONT_PX:
            raise LayoutError(f"jitter of font_px: below {SMALLEST_FONT_PX} px is unreadable")
        if self.contrast is not None and not 1 <= self.contrast <= 255:
            raise LayoutError(f"jitter to a contrast of {self.contrast}: 1 to 255 grey levels")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def check_jitter(settings: PageSettings, jitter: Jitter) -> None:
    """Refuse jitter that would lead to settings that cannot be.

    Raises:
        LayoutError: at one end of a span, or in the published layout, where nothing may differ.
    """
    if settings.layout == "published":
        raise LayoutError("the published layout has no jitter", hint="take the fit layout")
    spans = {name: getattr(jitter, name) for name in ("font_px", "line_spacing", "margin_px")}
    for end in (0, 1):
        replace(settings, **{name: span[end] for name, span in spans.items() if span is not None})


def jitter_settings(settings: PageSettings, jitter: Jitter, *, id: str) -> PageSettings:
    """Return the settings of the pages of one text; `check_jitter` has passed them."""
    generator = Random(f"{jitter.seed}:{id}")
    sizes = {"font_px": jitter.font_px, "margin_px": jitter.margin_px}
    drawn: dict[str, Any] = {
        name: generator.randint(*span) for name, span in sizes.items() if span is not None
    }
    if jitter.line_spacing is not None:
        drawn["line_spacing"] = round(generator.uniform(*jitter.line_spacing), 3)
    if jitter.contrast is not None:
        room = 255 - generator.randint(jitter.contrast, 255)
        drawn["ink"] = generator.randint(0, room)
        drawn["paper"] = 255 - (room - drawn["ink"])
    return replace(settings, **drawn)


def jitter_fonts(fonts: Sequence[FontFile], jitter: Jitter, *, id: str) -> tuple[FontFile, ...]:
    """Return the fonts with a drawn one first; the others stay behind it for what it lacks."""
    if len(fonts) < 2:
        return tuple(fonts)
    first = Random(f"{jitter.seed}:font:{id}").randrange(len(fonts))
    return (fonts[first], *(font for font in fonts if font != fonts[first]))
