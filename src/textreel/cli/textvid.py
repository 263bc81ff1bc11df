"""`textreel synth textvid` and `synth prompts`: textual videos written by a language model."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli import textvid_options as opt
from textreel.cli.checking import checker_of
from textreel.cli.errors import OptionError
from textreel.cli.loading import check_device
from textreel.cli.output import JsonOption, emit, emit_failed
from textreel.cli.progress import Display
from textreel.cli.words import count_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from textreel.data.budget import Budget, Limits
    from textreel.synth.textvid.answering import Tally
    from textreel.synth.textvid.job import Job
    from textreel.synth.textvid.plan import Estimate, Plan
    from textreel.synth.textvid.state import Asking
    from textreel.synth.textvid.synthesis import Output, Synthesis
    from textreel.synth.textvid.topics import TopicSource
    from textreel.synth.textvid.writers import WriterOptions


def synth_textvid(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where; a killed run goes on there.")],
    topics: opt.Topics = None,
    llm: opt.Llm = None,
    model: opt.Model = "",
    n: opt.Count = 100,
    seed: Annotated[int, typer.Option(metavar="N", help="Of topics and option order.")] = 0,
    language: opt.Language = "English",
    prompts: opt.PromptsDir = None,
    column: opt.Column = None,
    key_env: opt.KeyEnv = "",
    temperature: opt.Temperature = 0.8,
    answer_tokens: opt.AnswerTokens = 3072,
    json_schema: opt.JsonSchema = True,
    in_flight: opt.InFlight = 16,
    timeout_s: opt.TimeoutS = 180.0,
    patience_s: opt.PatienceS = 300.0,
    max_usd: opt.MaxUsd = None,
    max_tokens: opt.MaxTokens = None,
    max_minutes: opt.MaxMinutes = None,
    usd_per_mtok: opt.UsdPerMtok = None,
    plan: opt.PlanOnly = False,
    pilot: opt.Pilot = None,
    retry_failed: opt.RetryFailed = False,
    shard: opt.Shard = "0/1",
    encoder: opt.Encoder = None,
    benchmarks: opt.Benchmarks = None,
    limits: opt.LimitOptions = None,
    max_bad: opt.MaxBad = "50%",
    released: opt.Released = False,
    licence: opt.LicenceOption = "",
    model_licence: opt.ModelLicence = "",
    topics_licence: opt.TopicsLicence = None,
    device: opt.Device = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Have a language model write textual videos about topics; every answer is kept."""
    from textreel.data.budget import Limits
    from textreel.data.shards import parse_shard
    from textreel.models.endpoint import PoolSettings
    from textreel.synth.textvid.card import Licences
    from textreel.synth.textvid.job import Job, check_topics
    from textreel.synth.textvid.synthesis import Output
    from textreel.synth.textvid.writers import WriterOptions, check_writer

    if pilot is not None and not plan:
        raise OptionError("--pilot has no effect without --plan")
    limits_of_run = Limits(max_usd=max_usd, max_tokens=max_tokens, max_minutes=max_minutes)
    budget = _budget(limits_of_run, usd_per_mtok)
    pool = PoolSettings(in_flight=in_flight, timeout_s=timeout_s, patience_s=patience_s)
    llms = tuple(llm or ["world"])
    who = WriterOptions(llm=llms, model=model, key_variable=key_env, pool=pool, device=device)
    check_writer(who)
    check_device(device)
    asked = {
        "--language": language != "English",
        "--prompts": prompts is not None,
        "--column": column is not None,
        "--topics-licence": bool(topics_licence),
        "--model-licence": bool(model_licence),
        "--max-usd": max_usd is not None,
        "--max-tokens": max_tokens is not None,
    }
    check_topics(topics or (), world=who.kind == "world", asked=asked)
    asking = _asking(who, prompts, json_schema=json_schema)
    asking = replace(asking, language=language, max_tokens=answer_tokens, temperature=temperature)
    sources = read_sources(topics or [], column=column, licences=topics_licence or [])
    job = Job(asking=asking, sources=sources, count=n, seed=seed, shard=parse_shard(shard))
    checker = checker_of(limits=limits, benchmarks=benchmarks, encoder=encoder)
    if plan:
        planned = _plan(out, job, who, budget, pilot)
        return emit(planned, as_json=as_json, text=_describe_plan(planned))
    licences = Licences(data=licence, model=model_licence)
    output = Output(checker=checker, licences=licences, released=released)
    made = _synthesise(out, job, who, budget, output, retry_failed=retry_failed)
    _report(made, budget, max_bad=max_bad, as_json=as_json)


def _budget(limits: "Limits", usd_per_mtok: tuple[float, float] | None) -> "Budget":
    from textreel.data.budget import Budget, Prices

    if usd_per_mtok is None:
        return Budget(limits)
    prices = Prices(usd_per_mtok_in=usd_per_mtok[0], usd_per_mtok_out=usd_per_mtok[1])
    return Budget(limits, prices=prices)


def _asking(who: "WriterOptions", prompts: str | None, *, json_schema: bool) -> "Asking":
    from textreel.synth.textvid.answer import ANSWER_SCHEMA, Origin
    from textreel.synth.textvid.prompt_files import load_prompts
    from textreel.synth.textvid.state import Asking

    texts = load_prompts(prompts)
    return Asking(
        prompts=texts,
        origin=Origin(writer=who.name, prompt="" if who.kind == "world" else texts.hash),
        schema=ANSWER_SCHEMA if json_schema and who.kind == "endpoint" else None,
    )


def _plan(
    out: Path, job: "Job", who: "WriterOptions", budget: "Budget", pilot: int | None
) -> "Plan":
    from textreel.synth.textvid.job import RunOptions
    from textreel.synth.textvid.plan import DEFAULT_PILOT
    from textreel.synth.textvid.synthesis import plan_synthesis
    from textreel.synth.textvid.writers import make_writer

    pilot = DEFAULT_PILOT if pilot is None else pilot
    with Display() as display:
        options = RunOptions(budget=budget, show=_showing(display, pilot))
        return plan_synthesis(out, job, writer=make_writer(who), options=options, pilot=pilot)


def _synthesise(
    out: Path,
    job: "Job",
    who: "WriterOptions",
    budget: "Budget",
    output: "Output",
    *,
    retry_failed: bool,
) -> "Synthesis":
    from textreel.synth.textvid.job import RunOptions
    from textreel.synth.textvid.synthesis import synthesise
    from textreel.synth.textvid.writers import make_writer

    total = -(-job.count // job.shard[1])
    with Display() as display:
        show = _showing(display, total)
        options = RunOptions(budget=budget, retry_failed=retry_failed, show=show)
        return synthesise(out, job, writer=make_writer(who), options=options, output=output)


def _showing(display: Display, total: int) -> "Callable[[Tally, Budget], None]":
    def show(tally: "Tally", account: "Budget") -> None:
        note = f"{tally.failed} failed, {account.told()}"
        display.update("topics", tally.topics, max(total, tally.topics), note)

    return show


def synth_prompts(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where; files there are kept.")],
    as_json: JsonOption = False,
) -> None:
    """Copy the prompt files, to change them and give the folder to `synth textvid --prompts`."""
    from textreel.synth.textvid.prompt_files import copy_prompts

    written = copy_prompts(out)
    told = "\n".join(map(str, written)) or f"all prompt files are in {out} already"
    emit({"ok": True, "written": written}, as_json=as_json, text=told)


def read_sources(
    topics: list[str], *, column: str | None, licences: list[str]
) -> "tuple[TopicSource, ...]":
    """Read every file that `--topics` names."""
    from textreel.synth.textvid.topic_files import read_topics
    from textreel.synth.textvid.topics import parse_source

    if len(licences) > len(topics):
        raise OptionError(
            f"{len(licences)} licences for {len(topics)} topics files",
            hint="give --topics-licence at most once for each --topics",
        )
    found = []
    for number, text in enumerate(topics):
        kind, path, weight = parse_source(text)
        stated = licences[number] if number < len(licences) else ""
        found.append(read_topics(path, kind=kind, weight=weight, column=column, licence=stated))
    return tuple(found)


def _report(made: "Synthesis", budget: "Budget", *, max_bad: str, as_json: bool) -> None:
    from textreel.data.budget import BudgetReachedError
    from textreel.data.errors import TooManyBadError
    from textreel.synth.textvid.synthesis import check_failures

    spent = {
        "tokens_in": budget.tokens_in,
        "tokens_out": budget.tokens_out,
        "usd": budget.usd,
        "minutes": round(budget.minutes, 3),
    }
    told = {"ok": True, **asdict(made), "spent": spent}
    told["built"] = None if made.built is None else {**asdict(made.built)}
    text = _describe(made, budget)
    try:
        if made.run.limit:
            raise budget.error(made.run.limit, done=made.run.tally.topics, total=made.run.own)
        if made.built is not None:
            check_failures(made.built, max_bad=max_bad)
    except (BudgetReachedError, TooManyBadError) as error:
        emit_failed(told, error, as_json=as_json, text=text)
    emit(told, as_json=as_json, text=text)


def _describe(made: "Synthesis", budget: "Budget") -> str:
    tally = made.run.tally
    lines = [
        f"{tally.topics} of {made.run.own} topics settled ({tally.kept} before, {tally.failed} "
        f"without a usable answer); {tally.received} answers received: {budget.told()}"
    ]
    if made.built is None:
        return "\n".join([*lines, f"nothing was built: {made.waiting_for}"])
    counts, figures = made.built.counts, made.built.figures
    lines.append(
        f"{counts.records} textual videos with {counts.questions} questions in {made.built.out}"
    )
    if every := counts.left_out():
        lines.append(f"left out: {count_all(every)}; see {made.built.quarantine}")
    lines.append(
        f"vocabulary {figures.vocabulary}, distinct-3 {figures.distinct_3:.2f}, cluster entropy "
        f"{figures.cluster_entropy:.2f}; the card is {made.built.out / 'README.md'}"
    )
    return "\n".join(lines)


def _describe_plan(plan: "Plan") -> str:
    lines = [
        f"{plan.topics} topics, from a pilot of {plan.pilot} ({plan.usable_share:.0%} usable)",
        f"tokens in   {_range(plan.tokens_in)}",
        f"tokens out  {_range(plan.tokens_out)}"
        + (" (estimated: the server does not count)" if plan.estimated_tokens else ""),
    ]
    if plan.usd is not None:
        lines.append(f"money       {_range(plan.usd, digits=2)} USD")
    if plan.minutes is None:
        lines.append("time        unknown: the pilot's answers were there before")
    else:
        rate = "" if plan.tokens_per_s is None else f" at {plan.tokens_per_s:.0f} tokens/s"
        lines.append(f"time        {plan.minutes:.1f} min more{rate}")
    return "\n".join(lines)


def _range(estimate: "Estimate", *, digits: int = 0) -> str:
    low, high = f"{estimate.low:,.{digits}f}", f"{estimate.high:,.{digits}f}"
    return f"{estimate.value:,.{digits}f} ({low} to {high})"
