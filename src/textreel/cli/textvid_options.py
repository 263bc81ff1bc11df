"""The options of `synth textvid`, with their help."""

from typing import Annotated

import typer

Topics = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[KIND:]FILE[@WEIGHT]",
        help="Topics: lines, captions, titles, objects, scenes; .txt, .csv, .tsv, .jsonl. Again "
        "for more files, mixed by weight. KIND: line, caption, title, object, scene.",
    ),
]
Column = Annotated[
    str | None, typer.Option(metavar="NAME", help="Which column or key holds the topics.")
]
Llm = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL|DIR|world",
        help="Who writes: base URLs (again for more servers), a model's folder, or the built-in "
        "world's grammar (the default).",
    ),
]
Model = Annotated[str, typer.Option(metavar="NAME", help="The model's name at the endpoints.")]
KeyEnv = Annotated[
    str, typer.Option(metavar="VARIABLE", help="Environment variable that holds the key.")
]
Count = Annotated[int, typer.Option("--n", metavar="N", help="How many topics to ask about.")]
Language = Annotated[str, typer.Option(metavar="NAME", help="Of the output, such as German.")]
PromptsDir = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Own prompt files; `synth prompts` copies the package's."),
]
Temperature = Annotated[float, typer.Option(metavar="T", help="0: the likeliest words.")]
AnswerTokens = Annotated[int, typer.Option(metavar="N", help="Most tokens of one answer.")]
JsonSchema = Annotated[
    bool, typer.Option(help="Send a JSON schema; without, answers are parsed tolerantly.")
]
InFlight = Annotated[
    int, typer.Option(metavar="N", help="Requests under way per endpoint, at most.")
]
TimeoutS = Annotated[float, typer.Option("--timeout", metavar="S", help="For one answer.")]
PatienceS = Annotated[
    float, typer.Option("--patience", metavar="S", help="End when nobody answers for so long.")
]
MaxUsd = Annotated[
    float | None, typer.Option(metavar="USD", help="Of this run; needs --usd-per-mtok.")
]
MaxTokens = Annotated[int | None, typer.Option(metavar="N", help="Of this run, in and out.")]
MaxMinutes = Annotated[float | None, typer.Option(metavar="MIN", help="Of this run.")]
UsdPerMtok = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="IN OUT", help="The model's price: dollars per million tokens."),
]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Run a pilot and say what N topics will cost.")
]
Pilot = Annotated[int | None, typer.Option(metavar="N", help="Topics of the pilot (20).")]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Ask again about topics that were given up.")
]
Shard = Annotated[
    str, typer.Option(metavar="I/N", help="Only part I of N of the topics, for many clients.")
]
Encoder = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Whose text length captions must fit (CLIP's 77 tokens)."),
]
Benchmarks = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark",
        metavar="FILE",
        help="Questions that must not be among these; again for more.",
    ),
]
LimitOptions = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="NAME=VALUE", help="A check's threshold; again for more."),
]
MaxBad = Annotated[
    str, typer.Option(metavar="N", help="Topics that may fail, 20 or 30%; more: exit 3.")
]
Released = Annotated[bool, typer.Option("--released", help="Also write the released TextVid JSON.")]
LicenceOption = Annotated[str, typer.Option("--licence", metavar="NAME", help="Of the records.")]
ModelLicence = Annotated[
    str, typer.Option(metavar="NAME", help="Or terms, of the model's outputs.")
]
TopicsLicence = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Of each --topics file, in their order."),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="For a model's folder: cpu, cuda.")]
