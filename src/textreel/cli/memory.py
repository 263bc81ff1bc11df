"""`textreel memory`: the text vectors over which frames cross the modality gap."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from textreel.cli.errors import OptionError
from textreel.cli.loading import check_device
from textreel.cli.output import JsonOption, emit, keep_stderr_plain
from textreel.cli.sound_options import Tokenizer, Weights

if TYPE_CHECKING:
    from textreel.features.memory import Memory
    from textreel.models.open_encoder import TextEncoder

memory = typer.Typer(
    name="memory", help="Text vectors for the bridge across the gap.", rich_markup_mode=None
)
Source = Annotated[
    Path,
    typer.Option(
        "--from",
        metavar="DIR",
        help="Textual videos (a folder, .json, .jsonl), or captions (.txt, .csv, .tsv).",
    ),
]
EncoderName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="A folder, Hugging Face id, embedded:tiny/towers, imagebind-image or -audio.",
    ),
]
MakeUp = Annotated[
    Literal["frames", "captions"],
    typer.Option(help="Frames as in training (caption and objects), or captions alone."),
]
_TABLES = {".txt", ".csv", ".tsv"}


@memory.callback()
def _group() -> None:
    """Text vectors for the bridge across the gap."""


@memory.command("build")
def memory_build(
    source: Source,
    encoder: EncoderName,
    size: Annotated[int, typer.Option(metavar="N", help="Rows; distinct, chosen by the seed.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = Path(
        "memory.safetensors"
    ),
    of: MakeUp = "frames",
    seed: Annotated[int, typer.Option(metavar="N", help="Which rows stay.")] = 0,
    weights: Weights = None,
    tokenizer: Tokenizer = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Where to encode.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Build a memory: unit vectors, no two alike, float16, with what they were made of."""
    keep_stderr_plain()
    check_device(device)
    from textreel.data.files import content_hash
    from textreel.features.memory import save_memory
    from textreel.models.decoder import locate
    from textreel.models.open_encoder import open_text_encoder

    if source.suffix.lower() in _TABLES and of == "frames":
        raise OptionError(
            f"{source} holds captions, not frames", hint="give --of captions, or textual videos"
        )
    reader = open_text_encoder(
        locate(encoder), weights=weights or (), tokenizer=tokenizer, device=device
    )
    built = _built(source, reader, size, of, seed)
    save_memory(
        out,
        built.vectors,
        encoder=built.encoder,
        revision=built.revision,
        make_up=built.make_up,
    )
    told = {
        "ok": True,
        "file": out,
        "rows": len(built.vectors),
        "dim": built.vectors.shape[1],
        "encoder": built.encoder,
        "revision": built.revision,
        "make_up": built.make_up,
        "sha256": content_hash(out),
    }
    text = f"{told['rows']} rows of {told['dim']} in {out}: {built.make_up}, by {built.encoder}"
    emit(told, as_json=as_json, text=text)


def _built(source: Path, towers: "TextEncoder", size: int, of: str, seed: int) -> "Memory":
    """Return the memory of captions, or of the frames of textual videos."""
    from textreel.features.memory_of import memory_of_texts, memory_of_videos
    from textreel.synth.check.report import read_any
    from textreel.synth.textvid.topic_files import read_topics

    if source.suffix.lower() in _TABLES:
        texts = read_topics(source).texts
        return memory_of_texts(texts, towers, size=size, seed=seed, source=source.name)
    return memory_of_videos(
        read_any(source),
        towers,
        size=size,
        mode="caption+objects" if of == "frames" else "caption",
        seed=seed,
        source=source.name,
    )


@memory.command("use")
def memory_use(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `memory build` wrote.")],
    temperature: Annotated[
        float | None,
        typer.Option(
            metavar="T", help="Small: the nearest row; 0.01, as published, or 0.1 with --centred."
        ),
    ] = None,
    top_k: Annotated[int | None, typer.Option(metavar="K", help="Only the K nearest rows.")] = None,
    centred: Annotated[
        bool, typer.Option("--centred", help="About both modalities' means.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Give a run a memory; from then on its answers go over it."""
    from textreel.serve.run_memory import use_memory

    used = use_memory(run, file, temperature=temperature, top_k=top_k, centred=centred)
    told = {"ok": True, "run": run, "rows": len(used.vectors), "make_up": used.make_up}
    emit(told, as_json=as_json, text=f"{run} now crosses over {told['rows']} rows: {used.make_up}")
