import json
from pathlib import Path

import pytest
from PIL import Image

from tests.synth.textvid.fakes import FakeWriter, job_of, output_of, source_of, synthesise_here
from textreel.data.errors import TooManyBadError
from textreel.data.textual_jsonl import read_videos
from textreel.data.textvid import read_textvid
from textreel.recipes.bench_stories import story
from textreel.synth.check.checker import Checker
from textreel.synth.textvid.build import build
from textreel.synth.textvid.card import Licences
from textreel.synth.textvid.figures import cluster_entropy
from textreel.synth.textvid.job import RunOptions
from textreel.synth.textvid.synthesis import check_failures, synthesise


def spoiled(topic, request) -> str:
    """Every third story asks about frames, every seventh has objects nobody mentions."""
    number = int(topic.text.split()[2])
    made = story(topic.text)
    if number % 3 == 0:
        made["questions"][1]["question"] = "What is in the third frame?"
    if number % 7 == 0:
        for frame in made["frames"]:
            frame["objects"] = [{"name": "zeppelin", "description": "grey"}]
    return json.dumps(made)


def test_rejections_are_counted_listed_and_never_replaced(tmp_path: Path) -> None:
    made = synthesise_here(tmp_path, job_of(21), FakeWriter(spoiled))
    counts = made.built.counts
    assert (counts.records, counts.rejected) == (18, {"object-caption": 3})
    assert counts.questions_rejected == {"frame-number": 7}
    assert counts.questions + 7 + counts.questions_lost == 21 * 5
    entries = [json.loads(line) for line in made.built.quarantine.read_text().splitlines()]
    assert (
        sorted(entry["code"] for entry in entries) == ["frame-number"] * 7 + ["object-caption"] * 3
    )
    card = (tmp_path / "README.md").read_text()
    assert "| question | frame-number | 7 |" in card and "| record | object-caption | 3 |" in card


def test_letters_are_balanced_when_data_is_built(tmp_path: Path) -> None:
    synthesise_here(tmp_path, job_of(20), FakeWriter())
    asked = [q for video in read_videos(tmp_path / "videos") for q in video.questions]
    counts = [sum(q.answer == letter for q in asked) for letter in range(4)]
    assert sum(counts) == 100 and max(counts) - min(counts) <= 1
    for q in asked:
        assert q.open_answer == f"It is {q.options[q.answer]}."


def test_the_released_format_holds_the_same_records(tmp_path: Path) -> None:
    options, output = RunOptions(), output_of(released=True)
    synthesise(tmp_path, job_of(5), writer=FakeWriter(), options=options, output=output)
    ours = list(read_videos(tmp_path / "videos"))
    assert list(read_textvid(tmp_path / "textvid.json")) == ours
    assert ours[0].prompt and ours[0].topic.startswith("mending thing")
    build(tmp_path, job_of(5), checker=Checker(), licences=Licences())
    assert not (tmp_path / "textvid.json").exists()


def test_the_card_states_sources_prompts_licences_and_figures(tmp_path: Path) -> None:
    job = job_of(8, sources=(source_of(30, name="a|b.txt"),))
    output = output_of(licences=Licences(data="CC-BY-4.0"))
    synthesise(tmp_path, job, writer=FakeWriter(), options=RunOptions(), output=output)
    card = (tmp_path / "README.md").read_text()
    assert card.startswith('---\nlicense: "CC-BY-4.0"\n')
    for line in (
        "| writer | fake |",
        f"| prompts | {job.asking.prompts.hash} |",
        "| a\\|b.txt | title | 30 | 1 | none |",
        "| outputs of the model | not stated |",
        "| records | 8 |",
        "| topics | title:a\\|b.txt@1 a\\|b.txt |",
        "![figures](figures.png)",
    ):
        assert line in card, line
    with Image.open(tmp_path / "figures.png") as picture:
        assert picture.size == (920, 750)
    figures = json.loads((tmp_path / "report.json").read_text())["figures"]
    assert figures["questions"] == 40 and figures["kinds"]["order"] == 8


def test_too_many_failures_are_an_error_after_the_output_is_written(tmp_path: Path) -> None:
    made = synthesise_here(tmp_path, job_of(21), FakeWriter(spoiled))
    check_failures(made.built, max_bad="50%")
    with pytest.raises(TooManyBadError, match="3 of 21 samples are bad, 10% allowed"):
        check_failures(made.built, max_bad="10%")


def test_cluster_entropy_is_high_for_even_topics_and_zero_for_one() -> None:
    words = [[f"w{i % 10}a", f"w{i % 10}b", f"w{i % 10}c"] for i in range(100)]
    clusters, even = cluster_entropy(words)
    assert clusters == 20 and even > 0.5
    one = [["same", "words"]] * 90 + [[f"x{i}"] for i in range(10)]
    assert cluster_entropy(one)[1] < even
    assert cluster_entropy([["a"]]) == (1, 0.0)
