"""What the demo leaves behind: a run that answers, metrics.json, report.html, the questions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textreel.data.files import write_atomic
from textreel.data.templates import TEMPLATES
from textreel.evaluate.report import Example, ReportData, pick_examples, write_report
from textreel.evaluate.rows import ChoiceRow, write_rows
from textreel.features.memory import Memory
from textreel.media.decode import read_clip
from textreel.media.sampling import SamplingSpec
from textreel.models.track_lm import TrackLM
from textreel.recipes.demo_result import DemoResult
from textreel.recipes.demo_systems import NOTES
from textreel.recipes.recipe import AlignRecipe
from textreel.serve.run_files import BridgeSettings, RunSettings, save_run

CHART = ("captions_as_text", "text_only", "blind")
EXAMPLES = 4
MOVED_APART = "features that were moved apart for a study, which no file has"
"""What a run of a wide gap says with every answer about a file."""


def save_recipe_run(
    run: Path,
    model: TrackLM,
    recipe: AlignRecipe,
    *,
    bridge: BridgeSettings,
    memory: Memory | None,
) -> None:
    """Write a run that `ask` and `load` take, with the recipe that repeats it."""
    settings = RunSettings(
        encoder=recipe.encoder,
        weights=recipe.encoder_weights,
        tokenizer=recipe.encoder_tokenizer,
        template=TEMPLATES[recipe.template],
        sampling=SamplingSpec(num_frames=recipe.num_frames),
        bridge=bridge,
        knows=MOVED_APART if recipe.wide_gap else recipe.knows,
    )
    kept = memory if bridge.name == "memory" else None
    write_atomic(run / "recipe.json", json.dumps(recipe.to_json(), indent=2) + "\n")
    save_run(run, model, settings, memory=kept)


def to_json(result: DemoResult) -> dict[str, Any]:
    """Return what `textreel demo --json` prints and metrics.json holds."""
    return {
        "rows": [scores.to_json() for scores in result.scores],
        "headline": result.headline,
        "bridge": {
            "name": result.bridge.settings.name,
            "temperature": result.bridge.settings.temperature,
            "centred": result.bridge.settings.centred,
            "validation": result.bridge.tried,
        },
        "seconds": result.seconds,
        "cpu_s": result.cpu_s,
        "peak_rss_mb": result.peak_rss_mb,
        "gap": result.gap.distance,
        "paired_cosine": result.gap.paired_cosine,
        "noise": result.noise,
        "run": str(result.run),
        "videos": str(result.videos),
        "report": str(result.run / "report.html"),
    }


def save_demo(
    result: DemoResult, *, model: TrackLM, recipe: AlignRecipe, memory: Memory, seed: int
) -> None:
    """Write the run's folder, its metrics and report, and the questions beside the videos."""
    save_recipe_run(result.run, model, recipe, bridge=result.bridge.settings, memory=memory)
    for name, rows in result.rows.items():
        write_rows(result.run / "answers" / f"{name}.jsonl", rows)
    write_atomic(result.videos / "questions.jsonl", _question_lines(result))
    write_report(result.run / "report.html", _report(result, recipe, seed))
    write_atomic(result.run / "README.md", _card(result, recipe))
    write_atomic(result.run / "metrics.json", json.dumps(to_json(result), indent=2) + "\n")


def _question_lines(result: DemoResult) -> str:
    chosen = {row.question_id: row.chosen for row in result.rows[result.headline]}
    lines = [
        json.dumps(
            {
                "video": f"{scene.id}.mp4",
                "question": question.question,
                "options": question.options,
                "answer": question.answer,
                "chosen": chosen[id],
                "type": question.kind,
            }
        )
        for id, scene, question in result.exam.items()
    ]
    return "\n".join(lines) + "\n"


def _report(result: DemoResult, recipe: AlignRecipe, seed: int) -> ReportData:
    right, wrong = pick_examples(
        result.rows[result.headline],
        right=EXAMPLES,
        wrong=EXAMPLES,
        generator=np.random.default_rng(seed),
    )
    macro = {scores.system: scores.macro.value for scores in result.scores}
    chart = [result.headline if name == "text_only" else name for name in CHART]
    lead = (
        f"A frozen language model, aligned on {recipe.data.removeprefix('world:')} textual videos "
        f"and no picture, answers {macro[result.headline]:.0%} of the questions about real mp4 "
        f"files; one that learned without a video {macro['blind']:.0%}; reading the true captions "
        f"gives {macro['captions_as_text']:.0%}. Plain mean over the question types."
    )
    return ReportData(
        title="Video learned from text alone",
        lead=lead,
        systems=result.scores,
        headline=result.headline,
        chart=chart,
        notes=NOTES,
        chance=macro["chance"],
        facts=_facts(result),
        right=[_example(row, result) for row in right],
        wrong=[_example(row, result) for row in wrong],
    )


def _facts(result: DemoResult) -> list[tuple[str, str]]:
    tried = ", ".join(f"{name} {value:.3f}" for name, value in result.bridge.tried.items())
    return [
        ("gap between the towers' means", f"{result.gap.distance:.3f}"),
        ("mean cosine of a frame and its caption", f"{result.gap.paired_cosine:.3f}"),
        ("noise in training, per dimension", f"{result.noise}"),
        ("bridges on validation scenes", tried),
        ("picture mean of the mean-shift", "from statistics stored with the tower"),
        ("CPU seconds in all", f"{result.cpu_s:.0f}"),
        ("most memory", f"{result.peak_rss_mb:.0f} MiB"),
        *((f"seconds: {name}", f"{value:.1f}") for name, value in result.seconds.items()),
    ]


def _example(row: ChoiceRow, result: DemoResult) -> Example:
    scene, question = next(
        (scene, question) for id, scene, question in result.exam.items() if id == row.question_id
    )
    sampling = SamplingSpec(num_frames=8)
    clip = read_clip(result.videos / f"{scene.id}.mp4", sampling)
    return Example(
        row=row,
        question=question.question,
        options=question.options,
        frames=clip.frames,
        times_s=clip.frame_times_s.tolist(),
        sound=clip.sound_status,
    )


def _card(result: DemoResult, recipe: AlignRecipe) -> str:
    """Write the run's model card."""
    lines = [
        "---",
        "library_name: textreel",
        "pipeline_tag: video-text-to-text",
        f"base_model: {recipe.decoder}",
        "license: apache-2.0",
        "---",
        "",
        f"# {recipe.name}",
        "",
        f"`{recipe.decoder}`, frozen, aligned on textual videos only (`{recipe.data}`); it never",
        f"met a picture in training. Frames are read by `{recipe.encoder}`.",
    ]
    if recipe.knows:
        lines += ["", f"**It knows only {recipe.knows}.**"]
    lines += ["", "| system | accuracy (mean of types) | standard error |", "|---|---|---|"]
    lines += _score_lines(result)
    lines += ["", f"Bridge: {result.bridge.settings.name}, chosen on validation scenes.", ""]
    return "\n".join(lines)


def _score_lines(result: DemoResult) -> Sequence[str]:
    return [
        f"| {scores.system} | {scores.macro.value:.3f} | {scores.macro.stderr:.3f} |"
        for scores in result.scores
    ]
