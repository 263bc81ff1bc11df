"""The picture of instruction diversity: a dot for each instruction, a colour for each source."""

from pathlib import Path

from textreel.data.diversity import Diversity, DiversityError
from textreel.data.files import atomic_file

_INCHES, _DPI = (7.0, 5.5), 150
KINDS = ("png", "svg", "pdf")
_MARKERS = "o^sDvP*X"


def check_ending(path: Path | str) -> str:
    """Return the kind of picture that a file's name asks for.

    Raises:
        DiversityError: none that is drawn.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in KINDS:
        raise DiversityError(
            f"{path}: pictures are not drawn as {kind or 'a file without an ending'!r}",
            hint=f"its name ends in .{', .'.join(KINDS)}",
        )
    return kind


def plot_diversity(diversity: Diversity, path: Path | str) -> None:
    """Write a picture of where the sources' instructions lie.

    Args:
        diversity: measured.
        path: a file whose ending names its kind: .png, .svg or .pdf.

    Raises:
        DiversityError: another ending.
    """
    kind = check_ending(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, source in enumerate(diversity.sources):
        places = diversity.places[source.name]
        axes.scatter(
            places[:, 0],
            places[:, 1],
            s=9,
            alpha=0.5,
            linewidths=0,
            marker=_MARKERS[number % len(_MARKERS)],
            label=f"{source.name} (entropy {source.cluster_entropy:.2f})",
        )
    axes.set(xticks=[], yticks=[], title=f"Instructions by {diversity.encoder}, two components")
    axes.legend(fontsize=8, markerscale=2)
    metadata = {"png": {"Software": None}, "svg": {"Date": None}}.get(kind)
    with atomic_file(path) as file:
        figure.savefig(file, format=kind, metadata=metadata)
