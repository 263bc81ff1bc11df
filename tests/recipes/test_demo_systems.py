from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from textreel.data.textual_video import TextualQuestion
from textreel.evaluate.rows import ChoiceRow
from textreel.models.batch import Features
from textreel.models.bridges import Identity, MeanShift, Memory
from textreel.models.encoder_statistics import EncoderStatistics
from textreel.recipes import demo_systems
from textreel.recipes.answering import ExamItem
from textreel.recipes.demo_systems import (
    NOTES,
    ROW_OF_BRIDGE,
    answer_by_similarity,
    choose_bridges,
    make_bridges,
    score_all,
)
from textreel.synth.world.questions import QUESTION_TYPES

VECTORS = {
    "right": torch.tensor([1.0, 0.0, 0.0]),
    "up": torch.tensor([0.0, 1.0, 0.0]),
    "far": torch.tensor([0.0, 0.0, 1.0]),
    "not right": torch.tensor([-1.0, 0.0, 0.0]),
}


@dataclass
class Encoder:
    statistics: EncoderStatistics | None = None
    read: list[list[str]] = field(default_factory=list)

    def encode_texts(self, texts: list[str]) -> Tensor:
        self.read.append(texts)
        return torch.stack([VECTORS[text] for text in texts])


def track(*rows: list[float]) -> Features:
    return Features(
        values=torch.tensor(rows).half()[:, None],
        times_s=torch.arange(len(rows), dtype=torch.float64),
        modality="image",
        encoder="e",
        revision="r",
    )


def item(id: str, video: str, *options: str) -> ExamItem:
    question = TextualQuestion(question="where ?", options=options, answer=0, kind="place")
    return ExamItem(id=id, video_id=video, question=question)


def test_similarity_takes_the_option_nearest_to_the_mean_frame() -> None:
    features = {
        "a": track([1.0, 0.0, 0.0], [0.6, 0.8, 0.0]),  # mean (0.8, 0.4, 0): nearest to right
        "b": track([0.0, 0.6, 0.8], [0.0, 0.0, 1.0]),  # mean (0, 0.3, 0.9): nearest to far
    }
    items = [
        item("1", "a", "up", "right", "far"),
        item("2", "b", "far", "up"),
        item("3", "a", "not right", "far"),
        item("4", "a", "far", "up"),
    ]
    encoder = Encoder()
    rows = answer_by_similarity(items, features, encoder)  # type: ignore[arg-type]
    assert [row.chosen for row in rows] == [1, 0, 1, 1]
    assert rows[0] == ChoiceRow(
        question_id="1",
        video_id="a",
        kind="place",
        answer=0,
        chosen=1,
        num_options=3,
        prompt="where ?",
    )
    assert encoder.read == [["far", "not right", "right", "up"]]  # each text once


def test_every_bridge_is_made_from_what_the_encoder_has() -> None:
    means = EncoderStatistics(image_mean=torch.zeros(3), text_mean=torch.ones(3))
    memory = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    made = make_bridges(Encoder(means), memory)  # type: ignore[arg-type]
    assert [(name, settings.name) for name, settings, _ in made] == [
        ("none", "none"),
        ("memory at 0.01", "memory"),
        ("memory at 0.03", "memory"),
        ("centred memory at 0.1", "memory"),
        ("mean_shift", "mean_shift"),
    ]
    assert [type(module) for *_, module in made] == [Identity, Memory, Memory, Memory, MeanShift]
    assert [settings.temperature for _, settings, _ in made[1:4]] == [0.01, 0.03, 0.1]
    assert [settings.centred for _, settings, _ in made[1:4]] == [False, False, True]
    assert torch.equal(made[3][2].picture_mean, torch.zeros(3))  # type: ignore[arg-type]
    bare = make_bridges(Encoder(), memory)  # type: ignore[arg-type]
    assert [name for name, *_ in bare] == ["none", "memory at 0.01", "memory at 0.03"]


def rows(right: int) -> list[ChoiceRow]:
    """Four questions of each type, `right` of them answered rightly."""
    return [
        ChoiceRow(
            question_id=f"{kind}-{i}",
            video_id=f"v{i}",
            kind=kind,
            answer=0,
            chosen=0 if i < right else 1,
            num_options=4,
        )
        for kind in QUESTION_TYPES
        for i in range(4)
    ]


@pytest.mark.parametrize(
    ("right", "headline", "temperature"),
    [
        ([2, 1, 3, 2, 2], "memory", 0.03),
        ([2, 2, 2, 2, 2], "none", None),  # the simpler one of equals
        ([1, 3, 3, 2, 2], "memory", 0.01),
        ([1, 0, 0, 4, 3], "memory", 0.1),
        ([1, 0, 0, 3, 4], "mean_shift", None),
    ],
)
def test_the_best_bridge_on_validation_is_chosen(
    right: list[int], headline: str, temperature: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = EncoderStatistics(image_mean=torch.zeros(3), text_mean=torch.ones(3))
    made = make_bridges(Encoder(means), torch.eye(3))  # type: ignore[arg-type]
    answers = {id(module): rows(n) for (*_, module), n in zip(made, right, strict=True)}
    monkeypatch.setattr(
        demo_systems,
        "answer_exam",
        lambda model, collator, items, pictures: answers[id(model.bridge)],
    )
    learner = SimpleNamespace(model=SimpleNamespace(bridge=nn.Identity()), collator=None)
    exam = SimpleNamespace(items=(), pictures={})
    chosen, by_kind = choose_bridges(learner, exam, made)  # type: ignore[arg-type]
    assert chosen.settings.name == headline
    if temperature is not None:
        assert chosen.settings.temperature == temperature
    assert chosen.tried == {name: n / 4 for (name, *_), n in zip(made, right, strict=True)}
    assert by_kind.keys() == ROW_OF_BRIDGE.keys()
    assert by_kind[headline] is chosen.module is learner.model.bridge
    best = max((1, 2, 3), key=lambda i: right[i])  # the first of equals
    assert by_kind["memory"] is made[best][2]


def test_every_system_is_scored_in_the_tables_order() -> None:
    scores = score_all({"text_only": rows(3), "blind": rows(1), "similarity": rows(2)})
    assert [(s.system, s.macro.value) for s in scores] == [
        ("chance", 0.25),
        ("blind", 0.25),
        ("text_only", 0.75),
        ("similarity", 0.5),
    ]
    assert next(iter(NOTES)) == "chance"
    assert set(ROW_OF_BRIDGE.values()) < set(NOTES)
