"""`textreel data check`: what is wrong with textual videos, by reason."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli import textvid_options as opt
from textreel.cli.checking import checker_of
from textreel.cli.corpus_words import CORPORA_HELP, FIELDS_HELP
from textreel.cli.errors import OptionError
from textreel.cli.loading import check_device
from textreel.cli.output import JsonOption, emit, emit_failed
from textreel.cli.words import count_all

if TYPE_CHECKING:
    from textreel.synth.check.blind import BlindReport
    from textreel.synth.check.report import DataReport


File = Annotated[
    Path, typer.Argument(metavar="FILE", help="TextVid JSON, textual videos (.jsonl), a folder.")
]
BlindQuestions = Annotated[int, typer.Option(metavar="N", help="How many questions it is asked.")]
Corpus = Annotated[
    str | None,
    typer.Option("--as", metavar="CORPUS", help=f"It is an annotation file: {CORPORA_HELP}."),
]
Fields = Annotated[str | None, typer.Option(metavar="FIELDS", help=FIELDS_HELP)]
Media = Annotated[
    Path | None, typer.Option(metavar="DIR", help="With --as: look for pictures and videos there.")
]
ListTo = Annotated[
    Path | None, typer.Option("--list", metavar="FILE", help="Write every finding there.")
]
KeepTo = Annotated[
    Path | None, typer.Option("--keep", metavar="FILE", help="Write what passes (.jsonl).")
]
BlindLlm = Annotated[
    list[str] | None,
    typer.Option(metavar="URL|DIR", help="Ask this model the questions without the video."),
]
BlindAnswers = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Journal of its answers; asked again for nothing."),
]


def data_check(
    file: File,
    corpus: Corpus = None,
    fields: Fields = None,
    media: Media = None,
    encoder: opt.Encoder = None,
    benchmarks: opt.Benchmarks = None,
    limits: opt.LimitOptions = None,
    list_to: ListTo = None,
    keep_to: KeepTo = None,
    blind_llm: BlindLlm = None,
    model: opt.Model = "",
    key_env: opt.KeyEnv = "",
    blind_questions: BlindQuestions = 200,
    blind_answers: BlindAnswers = None,
    max_bad: opt.MaxBad = "1%",
    device: opt.Device = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Check textual videos, whoever wrote them; every fault is counted with its reason.

    With --as or --fields, check an annotation file: every bad row with its line and the way out.
    """
    from dataclasses import asdict

    if corpus is not None or fields is not None:
        others = (encoder, benchmarks, limits, list_to, keep_to, blind_llm, blind_answers)
        if model or key_env or device != "cpu" or any(other is not None for other in others):
            raise OptionError("--as and --fields go with --media and --max-bad only")
        kind = corpus or "fields"
        _check_corpus(file, kind, fields, media=media, max_bad=max_bad, as_json=as_json)
        return
    if media is not None:
        raise OptionError("--media has no effect without --as or --fields")

    from textreel.data.errors import TooManyBadError
    from textreel.synth.check.report import check_file

    if blind_llm is None and (model or key_env or blind_answers or device != "cpu"):
        raise OptionError(
            "--model, --key-env, --device and --blind-answers have no effect without --blind-llm"
        )
    checker = checker_of(limits=limits, benchmarks=benchmarks, encoder=encoder)
    report, bad = check_file(file, checker, list_to=list_to, keep_to=keep_to, max_bad=max_bad)
    blind = None
    if blind_llm is not None:
        blind = _blind(
            file,
            tuple(blind_llm),
            names=(model, key_env, device),
            count=blind_questions,
            answers=blind_answers,
        )
    told = {"ok": True, **asdict(report), "blind": None if blind is None else asdict(blind)}
    text = "\n".join(_describe(report, blind))
    try:
        bad.check(report.records)
    except TooManyBadError as error:
        emit_failed(told, error, as_json=as_json, text=text)
    emit(told, as_json=as_json, text=text)


def _check_corpus(
    file: Path,
    corpus: str,
    fields: str | None,
    *,
    media: Path | None,
    max_bad: str,
    as_json: bool,
) -> None:
    from dataclasses import asdict

    from textreel.data.corpora import CorpusFile
    from textreel.data.corpus_check import check_corpus
    from textreel.data.errors import TooManyBadError
    from textreel.data.named_fields import read_field_names

    names = None if fields is None else read_field_names(fields)
    opened = CorpusFile(path=file, corpus=corpus, fields=names)
    report, bad = check_corpus(opened, media=media, max_bad=max_bad)
    lines = [
        f"{report.records} of {report.rows} rows are samples, with {report.messages} messages and "
        f"{report.media} pictures and videos"
    ]
    if report.rejected:
        lines.append(f"set aside: {count_all(report.rejected)}")
    text = "\n".join([*lines, *(f"  {one}" for one in report.first)])
    told = {"ok": True, **asdict(report)}
    try:
        bad.check(report.rows)
    except TooManyBadError as error:
        emit_failed(told, error, as_json=as_json, text=text)
    emit(told, as_json=as_json, text=text)


def _blind(
    file: Path,
    llm: tuple[str, ...],
    *,
    names: tuple[str, str, str],
    count: int,
    answers: Path | None,
) -> "BlindReport":
    from textreel.synth.check.blind import ask_blind
    from textreel.synth.check.report import read_any
    from textreel.synth.textvid.writers import WriterOptions, check_writer, make_writer

    model, key_variable, device = names
    options = WriterOptions(llm=llm, model=model, key_variable=key_variable, device=device)
    if options.kind == "world":
        raise OptionError("the world's grammar answers no questions", hint="name a language model")
    check_writer(options)
    check_device(device)
    return ask_blind(
        read_any(file), writer=make_writer(options), name=options.name, count=count, answers=answers
    )


def _describe(report: "DataReport", blind: "BlindReport | None") -> list[str]:
    lines = [
        f"{report.passed} of {report.records} records pass, with {report.questions_passed} of "
        f"{report.questions} questions"
    ]
    for what, counts in (
        ("unreadable", report.unreadable),
        ("records rejected", report.rejected),
        ("questions rejected", report.questions_rejected),
    ):
        if counts:
            lines.append(f"{what}: {count_all(counts)}")
    lines += [f"  {one}" for one in report.first]
    letters = "; ".join(f"{k} options: {count_all(c)}" for k, c in report.letters.items())
    lines.append(f"right letters: {letters or 'none'}")
    lines += [f"warning: {warning}" for warning in report.warnings]
    if blind is not None:
        error = "unknown, one video" if blind.stderr is None else f"{blind.stderr:.1%}"
        lines.append(
            f"blind: {blind.model} answers {blind.share:.1%} (standard error {error}) of "
            f"{blind.asked} questions about {blind.videos} videos without them, by chance "
            f"{blind.chance:.1%}; {blind.unreadable} answers were no letter"
        )
    return lines
