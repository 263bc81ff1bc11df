"""Bench: option scoring that shares the prompt, against one full forward pass per option.

    textreel bench scoring

Frozen decoder of 8 layers x 512, vocabulary 32,000; questions of 50-150 and of 600 tokens, five
options of 4-12 tokens; float32, same batches and threads on both sides.

    ours   every prompt once, its options packed behind it, logits of option tokens only
    plain  for each option a batch of (prompt + option), padded, through the plain model; all logits

`floor` in the notes is the time of the layers alone on the prompts alone.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from textreel.models.attention import PLAIN
from textreel.models.batch import Batch
from textreel.models.decoder import run_body
from textreel.models.track_lm import TrackLM
from textreel.recipes.bench import BenchCase, BenchReport, compare, make_case, make_report
from textreel.recipes.bench_models import (
    FULL,
    DecoderSize,
    Prompt,
    build_decoder,
    build_track,
    collate,
    draw_prompts,
    plain_embeddings,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringCase:
    """One comparison.

    Attributes:
        name: of the case.
        lengths: fewest and most tokens of a prompt.
        questions: per round.
        batch_size: questions read together.
        option_lengths: fewest and most tokens of an option.
        options: of each question.
    """

    name: str
    lengths: tuple[int, int]
    questions: int
    batch_size: int
    option_lengths: tuple[int, int] = (4, 12)
    options: int = 5


CASES = (
    ScoringCase(name="50-150 tokens", lengths=(50, 150), questions=64, batch_size=16),
    ScoringCase(name="600 tokens", lengths=(600, 600), questions=8, batch_size=4),
)


def run_bench_scoring(
    *,
    size: DecoderSize = FULL,
    cases: tuple[ScoringCase, ...] = CASES,
    rounds: int = 3,
    seed: int = 0,
) -> BenchReport:
    """Compare both sides on every case.

    Args:
        size: of the decoder.
        cases: what to compare on.
        rounds: of the whole comparison.
        seed: of weights and questions.

    Returns:
        `differences["nats_per_token"]` is the largest difference of an option's mean
        log-likelihood between the sides.
    """
    model, plain = build_track(size, seed=seed), build_decoder(size, seed=seed)
    found = [_compare(case, size, model, plain, rounds=rounds, seed=seed) for case in cases]
    return make_report("scoring", tuple(found))


@dataclass(frozen=True, slots=True, eq=False)
class _Questions:
    """A batch of prompts, and the token ids of their options."""

    prompts: list[Prompt]
    batch: Batch
    options: list[list[list[int]]]


@torch.no_grad()
def _compare(
    case: ScoringCase,
    size: DecoderSize,
    model: TrackLM,
    plain: PreTrainedModel,
    *,
    rounds: int,
    seed: int,
) -> BenchCase:
    questions = _draw(case, vocabulary=size.vocabulary, seed=seed)
    sides: dict[str, Callable[[list[_Questions]], Tensor]] = {
        "ours": partial(_ours, model),
        "plain": partial(_one_forward_per_option, model, plain),
        "floor": partial(_prompts_alone, model),
    }
    first = {name: side(questions[:1]) for name, side in sides.items()}
    timings = compare({n: partial(side, questions) for n, side in sides.items()}, rounds=rounds)
    floor = timings[-1].median_cpu_s
    return make_case(
        case.name,
        timings[:-1],
        settings=asdict(size) | asdict(case) | {"precision": "fp32"},
        differences={"nats_per_token": float((first["ours"] - first["plain"]).abs().max())},
        notes={
            "floor_cpu_s": floor,
            "most_that_plain_could_gain": timings[1].median_cpu_s / floor,
        },
    )


def _draw(case: ScoringCase, *, vocabulary: int, seed: int) -> list[_Questions]:
    prompts = draw_prompts(
        case.questions, lengths=case.lengths, answers=(0, 0), vocabulary=vocabulary, seed=seed
    )
    generator = torch.Generator().manual_seed(seed)
    low, high = case.option_lengths

    def option() -> list[int]:
        length = int(torch.randint(low, high + 1, (), generator=generator))
        return torch.randint(0, vocabulary, (length,), generator=generator).tolist()

    batches = [prompts[i : i + case.batch_size] for i in range(0, len(prompts), case.batch_size)]
    return [
        _Questions(batch, collate(batch), [[option() for _ in range(case.options)] for _ in batch])
        for batch in batches
    ]


def _ours(model: TrackLM, questions: list[_Questions]) -> Tensor:
    """Return mean log-likelihoods, (questions, options)."""
    scores = [score for q in questions for score in model.score(q.batch, q.options)]
    return torch.stack([score.mean for score in scores])


def _one_forward_per_option(
    model: TrackLM, plain: PreTrainedModel, questions: list[_Questions]
) -> Tensor:
    """Return the same from full forward passes."""
    return torch.cat(
        [
            torch.stack([_score(model, plain, q, number) for number in range(len(q.options[0]))], 1)
            for q in questions
        ]
    )


def _score(model: TrackLM, plain: PreTrainedModel, questions: _Questions, number: int) -> Tensor:
    """Score option `number` of every question: mean log-likelihoods, (questions,)."""
    answered = [
        Prompt(
            ids=torch.cat([prompt.ids, torch.tensor(options[number])]),
            answer=len(options[number]),
            features=prompt.features,
        )
        for prompt, options in zip(questions.prompts, questions.options, strict=True)
    ]
    batch = collate(answered)
    logits = plain(
        inputs_embeds=plain_embeddings(model, plain, batch),
        attention_mask=batch.attention_mask,
        use_cache=False,
    ).logits
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), reduction="none"
    )
    answers = torch.tensor([prompt.answer for prompt in answered])
    return -losses.view(len(answered), -1).sum(1) / answers


def _prompts_alone(model: TrackLM, questions: list[_Questions]) -> Tensor:
    """Return the hidden states behind the prompts, (questions, D), without any logits."""
    last = []
    for q in questions:
        prompted = model.prompted(q.batch, bridged=True)
        out = run_body(model.decoder, prompted.embeddings, textreel=PLAIN, use_cache=False)
        last.append(out.last_hidden_state[:, -1])
    return torch.cat(last)
