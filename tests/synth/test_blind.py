"""Whoever has not seen the video is at chance, even after training on many thousand questions.

The guesser reads the question and all four options as bags of hashed words and pairs of words, and
lets them look at each other (self-attention without positions), so it can use any odd habit of the
question writer: words that go with answers, options that stick out, options that belong together.
"""

import re
from collections.abc import Iterator
from itertools import islice, pairwise
from random import Random
from zlib import crc32

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.synth.world.by_hand import PLACE_NAMES
from textreel.data.textual_video import TextualQuestion
from textreel.synth.world.exam import draw_exam
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES, ask_all
from textreel.synth.world.scene import Scene, draw_scenes

pytestmark = pytest.mark.slow

TRAIN_SCENES, PER_KIND, EAR_QUESTIONS = 50_000, 1500, 600
BUCKETS, WIDTH, LONGEST = 4096, 64, 40
Asked = tuple[str, TextualQuestion]
"""What the guesser is told besides, and the question."""


def features(text: str) -> list[int]:
    """Hashed words and pairs of words, 1 to `BUCKETS`; 0 is padding."""
    words = re.findall(r"\w+", text)
    grams = words + [" ".join(pair) for pair in pairwise(words)]
    return [1 + crc32(gram.encode()) % BUCKETS for gram in grams][:LONGEST]


class Guesser(nn.Module):
    """Scores four options from (N, 5, LONGEST) features: the question first."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(BUCKETS + 1, WIDTH, mode="sum", padding_idx=0)
        self.is_option = nn.Parameter(torch.zeros(WIDTH))
        layer = nn.TransformerEncoderLayer(
            WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.mix = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.score = nn.Linear(WIDTH, 1)

    def forward(self, ids: Tensor) -> Tensor:
        n, five, _ = ids.shape
        x = self.words(ids.flatten(0, 1)).view(n, five, -1)
        x = torch.cat([x[:, :1], x[:, 1:] + self.is_option], dim=1)
        return self.score(self.mix(x)[:, 1:]).squeeze(-1)


def encode(asked: list[Asked]) -> tuple[Tensor, Tensor]:
    known: dict[str, list[int]] = {}
    ids = torch.zeros(len(asked), 5, LONGEST, dtype=torch.int64)
    for row, (told, question) in zip(ids, asked, strict=True):
        for i, text in enumerate((f"{question.question} {told}", *question.options)):
            if text not in known:
                known[text] = features(text)
            row[i, : len(known[text])] = torch.tensor(known[text])
    return ids, torch.tensor([question.answer for _, question in asked])


def train(asked: list[Asked], *, epochs: int) -> Guesser:
    ids, right = encode(asked)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        guesser = Guesser()
    optimizer = torch.optim.AdamW(guesser.parameters(), lr=2e-3, weight_decay=0.01)
    generator = torch.Generator().manual_seed(0)
    steps = epochs * (len(ids) // 256)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(ids), generator=generator)
        for rows in order[: len(ids) // 256 * 256].view(-1, 256):
            cross_entropy(guesser(ids[rows]), right[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return guesser


@torch.no_grad()
def accuracy(guesser: Guesser, asked: list[Asked]) -> float:
    ids, right = encode(asked)
    return float((guesser(ids).argmax(-1) == right).float().mean())


def heard_in(scene: Scene) -> str:
    return " ".join(f"heard {sound.shape}" for sound in scene.sounds)


def asked_in_training(kinds: tuple[str, ...], *, ear: bool = False) -> Iterator[Asked]:
    rng = Random("blind")
    for scene in islice(draw_scenes(50), TRAIN_SCENES):
        for question in ask_all(scene, rng, kinds):
            yield heard_in(scene) if ear else "", question


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_trained_guesser_that_sees_nothing_is_at_chance() -> None:
    training = list(asked_in_training(QUESTION_TYPES))
    assert len(training) > 20_000 * 8
    guesser = train(training, epochs=2)
    exam = draw_exam(60, part="test", num_scenes=1, per_kind=PER_KIND)
    found = {}
    for kind in QUESTION_TYPES:
        asked = [("", question) for _, _, question in exam.items() if question.kind == kind]
        assert len(asked) == PER_KIND
        found[kind] = accuracy(guesser, asked)
    macro = sum(found.values()) / len(found)
    assert all(abs(value - 0.25) <= 0.04 for value in found.values()), found
    assert abs(macro - 0.25) <= 0.02, found


def test_the_guesser_finds_a_habit_where_there_is_one() -> None:
    """Options that stick out, as a check on the guesser: the right one is the only new colour."""
    rng = Random(1)
    colours = ["red", "green", "blue", "yellow", "purple", "orange", "pink"]
    asked = []
    for _ in range(20_000):
        first, second, third, right = rng.sample(colours, 4)
        options = [f"{first} {second}", f"{second} {third}", f"{first} {third}", f"{right} {first}"]
        rng.shuffle(options)
        question = TextualQuestion(
            question="which ?",
            options=tuple(options),
            answer=next(i for i, option in enumerate(options) if right in option),
        )
        asked.append(("", question))
    assert accuracy(train(asked[:18_000], epochs=4), asked[18_000:]) > 0.6


def test_neither_eye_nor_ear_alone_tells_what_is_seen_and_heard() -> None:
    kinds = (SOUND_TYPES[1],)
    exam = draw_exam(61, part="test", num_scenes=1, per_kind=EAR_QUESTIONS, kinds=kinds)
    ear = [(heard_in(scene), question) for _, scene, question in exam.items()]
    by_ear = accuracy(train(list(asked_in_training(kinds, ear=True)), epochs=8), ear)
    by_eye = sum(1 / len(shown_options(s, q)) for _, s, q in exam.items()) / EAR_QUESTIONS
    assert by_ear <= 0.35
    assert by_eye <= 0.35


def shown_options(scene: Scene, question: TextualQuestion) -> set[str]:
    """The options that some visible object fits; all fit equally well for who hears nothing."""
    looks = scene.at(0.0)
    shown = {look.colour for look in looks} | {PLACE_NAMES[look.place] for look in looks}
    assert question.open_answer in shown
    return shown & set(question.options)
