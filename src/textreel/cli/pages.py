"""`textreel synth pages`: long text as page pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textreel.cli.errors import OptionError
from textreel.cli.output import JsonOption, emit
from textreel.cli.pairs import read_pairs
from textreel.cli.words import count_all

if TYPE_CHECKING:
    from textreel.synth.pages.export_records import PagesReport
    from textreel.synth.pages.jitter import Jitter
    from textreel.synth.pages.settings import PageSettings


_OTHERS = ("line_spacing", "ink", "paper", "reflow", "engine")
Others = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="line_spacing=1.2, ink=40, paper=230, reflow=false, engine=basic; again for more.",
    ),
]
Spans = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=A:B", help="font_px, margin_px, line_spacing; contrast=A; seed=N."),
]


def synth_pages(
    texts: Annotated[
        Path,
        typer.Argument(metavar="TEXTS", help="A mix, records (.jsonl), or a .txt or .md file."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR|TAR", help="A folder goes on where it was.")],
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="fit, or published: as the paper has it.")
    ] = "fit",
    size: Annotated[str, typer.Option(metavar="WxH", help="Of a page, in pixels.")] = "448x448",
    font: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Fonts by preference; else DejaVu Sans."),
    ] = None,
    font_px: Annotated[int, typer.Option(metavar="N", help="Pixels per em.")] = 20,
    margin_px: Annotated[int, typer.Option(metavar="N", help="On all sides.")] = 20,
    words: Annotated[
        int | None, typer.Option(metavar="N", help="At most so many on a page.")
    ] = None,
    characters: Annotated[
        int | None, typer.Option(metavar="N", help="At most so many on a page.")
    ] = None,
    visual_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="Budget of a text; letters shrink to stay within it."),
    ] = None,
    tokens_per_page: Annotated[
        int | None, typer.Option(metavar="N", help="What a page costs, for --visual-tokens.")
    ] = None,
    draw_codes: Annotated[
        bool,
        typer.Option("--draw-codes", help="Draw characters without a font as their codes."),
    ] = False,
    set_: Others = None,
    jitter: Spans = None,
    format: Annotated[str, typer.Option(metavar="NAME", help="png or webp.")] = "png",
    max_bad: Annotated[
        str, typer.Option(metavar="N", help="How many may be set aside: 20, or 1%.")
    ] = "1%",
    as_json: JsonOption = False,
) -> None:
    """Draw pages as files. Training needs none: it draws its pages as it goes."""
    from textreel.data.quarantine import Quarantine
    from textreel.synth.pages.drawer import PageDrawer
    from textreel.synth.pages.export_records import export_records, read_texts
    from textreel.synth.pages.fonts import open_font

    values = {"font_px": font_px, "margin_px": margin_px, "words": words, "characters": characters}
    values |= {"visual_tokens": visual_tokens, "tokens_per_page": tokens_per_page}
    values |= {"missing": "code" if draw_codes else "refuse"} | _others(set_)
    settings = _settings(layout, size, values)
    fonts = tuple(map(open_font, font or ()))
    drawer = PageDrawer.of_fonts(settings, fonts, jitter=_jitter(jitter))
    picture: Any = format  # whatever was typed: the writer checks it
    place = out if out.name else out.resolve()  # `.` has no name
    quarantine = Quarantine(place.with_name(f"{place.name}.quarantine.jsonl"), max_bad=max_bad)
    report = export_records(read_texts(texts), out, drawer, format=picture, quarantine=quarantine)
    emit(report, as_json=as_json, text=describe(report))


def describe(report: "PagesReport") -> str:
    """Return a report as lines for people."""
    files = report.files
    lines = [
        f"{files.out}: {files.pages} pages of {files.texts} texts"
        + (f" ({files.kept} texts were there)" if files.kept else "")
    ]
    if report.without_pages:
        lines.append(f"  {report.without_pages} records have no text for pages")
    if report.bad:
        lines.append(f"  set aside: {count_all(report.bad)}")
    return "\n".join(lines)


def _settings(layout: str, size: str, values: dict[str, Any]) -> "PageSettings":
    from textreel.synth.pages.settings import PageSettings, published

    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise OptionError(
            f"--size {size!r} is not of the form WIDTHxHEIGHT", hint="such as 448x448"
        )
    values = values | {"width_px": int(width), "height_px": int(height)}
    if layout == "published":
        base = published().to_json()
        if values["words"] is None:
            values["words"] = base["words"]
        return PageSettings.from_json(base | values)
    return PageSettings.from_json(PageSettings().to_json() | {"layout": layout} | values)


def _others(given: list[str] | None) -> dict[str, Any]:
    """Read settings that have no option of their own."""
    from textreel.data.files import json_or_text

    values = read_pairs(given, option="--set", kind=json_or_text)
    if unknown := values.keys() - set(_OTHERS):
        raise OptionError(
            f"--set {', '.join(sorted(unknown))}: no such setting, or one with its own option",
            hint=f"what can be set: {', '.join(_OTHERS)}",
        )
    return values


def _jitter(given: list[str] | None) -> "Jitter | None":
    from textreel.synth.pages.jitter import Jitter

    if not given:
        return None
    values: dict[str, Any] = {}
    for name, span in read_pairs(given, option="--jitter", kind=_span).items():
        if name in ("contrast", "seed") and len(span) == 1:
            values[name] = _whole(name, span)[0]
        elif name in ("font_px", "margin_px") and len(span) == 2:
            values[name] = _whole(name, span)
        elif name == "line_spacing" and len(span) == 2:
            values[name] = span
        else:
            raise OptionError(
                f"--jitter {name!r} with {len(span)} numbers is not known",
                hint="font_px=12:26, margin_px=8:40, line_spacing=0.9:1.4, contrast=100 or seed=1",
            )
    return Jitter(**values)


def _whole(name: str, span: tuple[float, ...]) -> tuple[int, ...]:
    if not all(number.is_integer() for number in span):
        raise OptionError(f"--jitter {name}={':'.join(map(str, span))}: whole numbers are needed")
    return tuple(map(int, span))


def _span(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(":")))
