"""`PageSettings`: everything about a page that is not its text. JSON values with a fingerprint."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, get_args

from textreel.data.files import fingerprint
from textreel.synth.pages.errors import LayoutError

LayoutName = Literal["fit", "published"]
Engine = Literal["basic", "raqm"]
Missing = Literal["refuse", "code"]
SMALLEST_FONT_PX = 8
"""Below this, DejaVu Sans has letters of three pixels' height."""
_WHOLE = (
    *("width_px", "height_px", "font_px", "margin_px", "ink", "paper"),
    *("words", "characters", "visual_tokens", "tokens_per_page"),
)
PUBLISHED_TOKENS = 115
"""Word tokens on a page (xjtupanda/T2Vid, `t2vid.py`; arXiv 2411.19951, section 4)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PageSettings:
    """How text becomes pages.

    Attributes:
        layout: `fit` keeps the text as it is and clips nothing; `published` repeats the paper.
        width_px: of a page.
        height_px: of a page.
        font_px: pixels per em; with `visual_tokens` the largest that is tried.
        margin_px: on all four sides; `published` has it on the left and right only.
        line_spacing: distance of baselines over the fonts' own; `fit` only.
        ink: grey level of the text, 0 to 255.
        paper: grey level of the page, 0 to 255.
        reflow: join the lines of paragraphs that were wrapped by hand (their line ends stay in the
            pages' text, and are drawn as spaces); `fit` only.
        missing: what becomes of characters that no font has: the text is refused, or they are
            drawn as their code, such as [U+1D8F]; `fit` only.
        engine: what measures and draws plain text. Pillow takes Raqm where it can, so the published
            pages were drawn by it; `fit` takes it only for scripts that need it.
        words: at most so many words on a page; `published`: word tokens, always given.
        characters: at most so many characters on a page, white space at its end not counted; `fit`
            only.
        visual_tokens: budget of all pages of a text together: the font shrinks until they fit into
            it; `fit` only.
        tokens_per_page: what a page costs the model that reads it; goes with `visual_tokens`.
    """

    layout: LayoutName = "fit"
    width_px: int = 448
    height_px: int = 448
    font_px: int = 20
    margin_px: int = 20
    line_spacing: float = 1.0
    ink: int = 0
    paper: int = 255
    reflow: bool = True
    missing: Missing = "refuse"
    engine: Engine = "basic"
    words: int | None = None
    characters: int | None = None
    visual_tokens: int | None = None
    tokens_per_page: int | None = None

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise LayoutError(problem, hint="see the fields of PageSettings")

    @property
    def fingerprint(self) -> str:
        """Name of these settings, 16 hexadecimal digits."""
        return fingerprint(self.to_json())

    @property
    def max_pages(self) -> int | None:
        """How many pages the budget of visual tokens pays for; None without one."""
        if self.visual_tokens is None or self.tokens_per_page is None:
            return None
        return self.visual_tokens // self.tokens_per_page

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read settings.

        Raises:
            LayoutError: a field that does not exist, or a value it cannot have.
        """
        if unknown := values.keys() - {field.name for field in fields(cls)}:
            raise LayoutError(f"page settings have no field {', '.join(sorted(unknown))}")
        try:
            return cls(**values)
        except TypeError as error:
            raise LayoutError(f"page settings of the wrong kind: {json.dumps(values)}") from error


def published(*, engine: Engine = "raqm") -> PageSettings:
    """Return the published layout: 115 word tokens, 448 px, 20 px letters, 20 px left and right."""
    return PageSettings(layout="published", words=PUBLISHED_TOKENS, reflow=False, engine=engine)


def with_font_px(settings: PageSettings, font_px: int) -> PageSettings:
    """Return settings of another size without a budget: what a shrunk layout is drawn with."""
    return replace(settings, font_px=font_px, visual_tokens=None, tokens_per_page=None)


def _problems(page: PageSettings) -> list[str]:
    """Return what is wrong, first things first."""
    wrong = _odd_kinds(page)
    if page.layout not in get_args(LayoutName):
        wrong.append(f"layout {page.layout!r} is none of {', '.join(get_args(LayoutName))}")
    if page.engine not in get_args(Engine):
        wrong.append(f"engine {page.engine!r} is none of {', '.join(get_args(Engine))}")
    if page.missing not in get_args(Missing):
        wrong.append(f"missing {page.missing!r} is none of {', '.join(get_args(Missing))}")
    if page.font_px < SMALLEST_FONT_PX:
        wrong.append(f"font_px={page.font_px}: letters below {SMALLEST_FONT_PX} px are unreadable")
    if page.margin_px < 0 or min(page.width_px, page.height_px) <= 2 * page.margin_px:
        wrong.append(
            f"margins of {page.margin_px} px leave nothing of a page of "
            f"{page.width_px} x {page.height_px} px"
        )
    if not 0 <= page.ink <= 255 or not 0 <= page.paper <= 255 or page.ink == page.paper:
        wrong.append(f"ink={page.ink} on paper={page.paper}: two different grey levels of 0 to 255")
    if not 0.5 <= page.line_spacing <= 4:
        wrong.append(f"line_spacing={page.line_spacing} is not between 0.5 and 4")
    counts = {"words": page.words, "characters": page.characters}
    counts |= {"visual_tokens": page.visual_tokens, "tokens_per_page": page.tokens_per_page}
    wrong += [f"{name}={n}: must be at least 1" for name, n in counts.items() if (n or 1) < 1]
    wrong += [f"{name}=0: must be at least 1" for name, n in counts.items() if n == 0]
    return wrong + (
        _published_problems(page) if page.layout == "published" else _fit_problems(page)
    )


def _odd_kinds(page: PageSettings) -> list[str]:
    """Return which numbers are not whole, and which yes or no is neither."""
    parts = asdict(page)
    odd = [
        f"{name}={parts[name]!r} must be a whole number"
        for name in _WHOLE
        if isinstance(parts[name], float | bool)
    ]
    if not isinstance(page.reflow, bool):
        odd.append(f"reflow={page.reflow!r} must be true or false")
    return odd


def _fit_problems(page: PageSettings) -> list[str]:
    if page.engine != "basic":
        return ["the fit layout takes Raqm where a script needs it: engine='raqm' has no effect"]
    if (page.visual_tokens is None) != (page.tokens_per_page is None):
        return ["visual_tokens and tokens_per_page go together: a budget, and what a page costs"]
    if page.max_pages == 0:
        return [
            f"a budget of {page.visual_tokens} visual tokens pays for no page of "
            f"{page.tokens_per_page}"
        ]
    return []


def _published_problems(page: PageSettings) -> list[str]:
    plain = PageSettings()
    wrong = [
        f"the published layout has no {name}: it would have no effect"
        for name in ("line_spacing", "missing", "characters", "visual_tokens", "tokens_per_page")
        if getattr(page, name) != getattr(plain, name)
    ]
    if page.reflow:
        wrong.append("the published layout flattens all line ends: reflow=True has no effect")
    if page.words is None:
        wrong.append("the published layout needs words: its word tokens on a page (115)")
    return wrong
