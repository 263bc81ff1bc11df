"""`textreel encode sizes`: what each published encoder costs, counted on meta tensors."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from textreel.cli.output import JsonOption, emit, keep_stderr_plain

if TYPE_CHECKING:
    from textreel.models.encoder_sizes import EncoderSize

HEAD = (
    *("tower", "item", "parameters", "float32", "float16", "operations", "at 100 GFLOP/s"),
    "stored",
)


def encode_sizes(as_json: JsonOption = False) -> None:
    """Tell parameters, memory, arithmetic and stored bytes of each encoder; nothing is loaded."""
    keep_stderr_plain()
    from textreel.models.encoder_sizes import encoder_sizes

    sizes = encoder_sizes()
    told = {"ok": True, "sizes": [asdict(size) for size in sizes]}
    lines = [_line(HEAD), _line(("---",) * len(HEAD)).replace(" ", ""), *map(describe_size, sizes)]
    emit(told, as_json=as_json, text="\n".join(lines))


def describe_size(size: "EncoderSize") -> str:
    """Return one tower as a line of the table in docs/ENCODERS.md."""
    return _line(
        (
            size.tower,
            size.item,
            f"{size.parameters / 1e6:.1f} M",
            f"{size.float32_bytes / 1e9:.2f} GB",
            f"{size.float16_bytes / 1e9:.2f} GB",
            f"{size.flops / 1e9:.0f} G",
            f"{size.flops / 1e11:.2f} s",
            f"{size.stored_bytes / 1e3:.1f} kB",
        )
    )


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
