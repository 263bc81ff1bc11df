"""`textreel synth textvid` and `synth prompts`: textual videos written by a language model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textreel.cli import textvid_options as opt
from textreel.cli.checking import checker_of
from textreel.cli.errors import OptionError
from textreel.cli.output import JsonOption, emit, emit_failed
from textreel.cli.progress import Display
from textreel.cli.words import count_all

if TYPE_CHECKING:
    from textreel.data.budget import Budget
    from textreel.synth.textvid.answering import Tally
    from textreel.synth.textvid.plan import Estimate, Plan
    from textreel.synth.textvid.synthesis import Synthesis
    from textreel.synth.textvid.topics import TopicSource


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
    from textreel.data.budget import Budget, Limits, Prices
    from textreel.data.shards import parse_shard
    from textreel.models.endpoint import PoolSettings
    from textreel.synth.textvid.answer import ANSWER_SCHEMA, Origin
    from textreel.synth.textvid.card import Licences
    from textreel.synth.textvid.job import Job, RunOptions, check_topics
    from textreel.synth.textvid.plan import DEFAULT_PILOT
    from textreel.synth.textvid.prompt_files import load_prompts
    from textreel.synth.textvid.state import Asking
    from textreel.synth.textvid.synthesis import Output, plan_synthesis, synthesise
    from textreel.synth.textvid.writers import WriterOptions, check_writer, make_writer

    if pilot is not None and not plan:
        raise OptionError("--pilot has no effect without --plan")
    prices = (
        None
        if usd_per_mtok is None
        else Prices(usd_per_mtok_in=usd_per_mtok[0], usd_per_mtok_out=usd_per_mtok[1])
    )
    money = Limits(max_usd=max_usd, max_tokens=max_tokens, max_minutes=max_minutes)
    budget = Budget(money, prices=prices)
    who = WriterOptions(
        llm=tuple(llm or ["world"]),
        model=model,
        key_variable=key_env,
        pool=PoolSettings(in_flight=in_flight, timeout_s=timeout_s, patience_s=patience_s),
        device=device,
    )
    check_writer(who)
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
    texts = load_prompts(prompts)
    asking = Asking(
        prompts=texts,
        origin=Origin(writer=who.name, prompt="" if who.kind == "world" else texts.hash),
        language=language,
        max_tokens=answer_tokens,
        temperature=temperature,
        schema=ANSWER_SCHEMA if json_schema and who.kind == "endpoint" else None,
    )
    sources = read_sources(topics or [], column=column, licences=topics_licence or [])
    job = Job(asking=asking, sources=sources, count=n, seed=seed, shard=parse_shard(shard))
    checker = checker_of(limits=limits, benchmarks=benchmarks, encoder=encoder)
    with Display() as display:

        def show(tally: "Tally", account: "Budget") -> None:
            note = f"{tally.failed} failed, {account.told()}"
            display.update("topics", tally.topics, pilot or n, note)

        options = RunOptions(budget=budget, retry_failed=retry_failed, show=show)
        writer = make_writer(who)
        if plan:
            planned = plan_synthesis(
                out, job, writer=writer, options=options, pilot=pilot or DEFAULT_PILOT
            )
            emit(planned, as_json=as_json, text=_describe_plan(planned))
            return
        output = Output(
            checker=checker,
            licences=Licences(data=licence, model=model_licence),
            released=released,
        )
        made = synthesise(out, job, writer=writer, options=options, output=output)
    _report(made, budget, max_bad=max_bad, as_json=as_json)


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
    from dataclasses import asdict

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
