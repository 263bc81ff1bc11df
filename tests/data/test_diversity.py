from pathlib import Path

import numpy as np
import pytest

from textreel.data.diversity import (
    DiversityError,
    cluster,
    entropy,
    hash_embed,
    instruction_of,
    instructions_by_source,
    mean_similarity,
    measure_diversity,
    template_share,
    unit,
)
from textreel.data.diversity_plot import plot_diversity
from textreel.data.record import Message, Part, Record

TEMPLATES = [f"Describe the video number {n} in detail, please." for n in range(30)]
QUESTIONS = [
    f"{ask} {what}?"
    for ask in ("Who wrote", "Why does the author praise", "Where is", "How many people saw")
    for what in ("the treaty", "a comet", "this algorithm", "the second chapter", "his garden")
]


def test_varied_questions_are_more_diverse_than_a_template() -> None:
    made = measure_diversity({"captions": TEMPLATES, "texts": QUESTIONS}, clusters=8)
    captions, texts = made.sources
    assert captions.template_share == 1.0
    assert texts.template_share == 0.0
    assert texts.cluster_entropy > captions.cluster_entropy + 0.1
    assert texts.mean_similarity < captions.mean_similarity - 0.2
    assert (captions.instructions, texts.instructions, made.clusters) == (30, 20, 8)
    assert {name: places.shape for name, places in made.places.items()} == {
        "captions": (30, 2),
        "texts": (20, 2),
    }


def test_the_same_input_gives_the_same_figures_and_places() -> None:
    one, two = (measure_diversity({"a": QUESTIONS}, clusters=4, seed=3) for _ in range(2))
    assert one.sources == two.sources
    np.testing.assert_array_equal(one.places["a"], two.places["a"])


def test_figures_by_hand() -> None:
    assert entropy(np.array([0, 0, 1, 1]), clusters=2) == pytest.approx(1.0)
    assert entropy(np.array([1, 1]), clusters=2) == 0.0
    assert entropy(np.array([0, 1]), clusters=4) == pytest.approx(0.5)
    assert template_share(["Describe 1.", "Describe 22.", 'Say "a".']) == pytest.approx(2 / 3)
    assert template_share(['Say "a".', "Say “b c”."]) == 1.0
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert mean_similarity(vectors) == pytest.approx(1 / 3)


def test_clusters_find_what_is_apart() -> None:
    random = np.random.default_rng(0)
    centres = np.eye(3, dtype=np.float32)
    vectors = unit(np.repeat(centres, 20, axis=0) + random.normal(0, 0.05, (60, 3)))
    labels = cluster(vectors, clusters=3, seed=0)
    groups = [set(labels[i * 20 : i * 20 + 20].tolist()) for i in range(3)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(*groups)) == 3
    equal = np.ones((5, 2), dtype=np.float32)
    assert len(cluster(unit(equal), clusters=3, seed=0)) == 5


def test_hashed_vectors_are_unit_and_know_spelling() -> None:
    one, same, near, far = hash_embed(["A red fox", "a RED  fox", "a red fax", "quantum theory"])
    assert np.linalg.norm(one) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_array_equal(one, same)
    assert one @ near > 0.4 > one @ far
    assert not hash_embed([""]).any() or hash_embed([""]).shape == (1, 512)


def test_too_little_to_compare_is_refused() -> None:
    with pytest.raises(DiversityError, match=r"at least two instructions, got \{'a': 1\}"):
        measure_diversity({"a": ["one"]})
    with pytest.raises(DiversityError, match="1 clusters have no entropy"):
        measure_diversity({"a": ["one", "two"]}, clusters=1)


def test_the_instruction_is_what_the_user_says_first() -> None:
    user = Message(
        role="user",
        parts=(Part(kind="pages", value="long"), Part(kind="text", value="Why? ")),
    )
    assert instruction_of(Record(id="a", messages=(user,))) == "Why?"
    answer = Message(role="assistant", parts=(Part(kind="text", value="x"),))
    assert instruction_of(Record(id="a", messages=(answer,))) == ""


def test_sources_are_corpora_and_files_of_any_fields() -> None:
    asked = Message(role="user", parts=(Part(kind="text", value="Why?"),))
    places = (
        "longalpaca: a.json line 1",
        "fields: b: c.jsonl line 2",
        "fields: d.jsonl line 3",
        "",
    )
    found = instructions_by_source(
        [Record(id=place or "-", source=place, messages=(asked,)) for place in places], sample=5
    )
    assert list(found) == ["longalpaca", "b: c.jsonl", "d.jsonl", "unknown"]


@pytest.mark.parametrize("name", ["plot.gif", "plot"])
def test_a_picture_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    made = measure_diversity({"a": QUESTIONS, "b": TEMPLATES}, clusters=4)
    with pytest.raises(DiversityError, match=r"pictures are not drawn as '(gif|a file without)"):
        plot_diversity(made, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_the_picture_is_written(tmp_path: Path, ending: str) -> None:
    made = measure_diversity({"a": QUESTIONS, "b": TEMPLATES}, clusters=4)
    path = tmp_path / f"plot{ending}"
    plot_diversity(made, path)
    start = path.read_bytes()[:8]
    assert start == b"\x89PNG\r\n\x1a\n" if ending == ".png" else start.startswith(b"<?xml")
