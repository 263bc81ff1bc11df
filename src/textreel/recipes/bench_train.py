"""Bench: our training step against the padded step that one would write with transformers.

    textreel bench train

Frozen decoder of 8 layers x 512, vocabulary 32,000, a trained connector, AdamW, 10 soft tokens and
8-24 answer tokens in prompts of 50-150 and of 600 tokens; same samples, optimiser, clipping, type
of arithmetic and threads on all sides.

    ours   batches of similar length; logits only where there are targets; attention computed in the
           way that is found faster, as training does
    plain  random order, padded to the longest of the batch; all logits; the model's own loss

`floor` in the notes is the time of the decoder's layers alone, forward and backward, on our
batches: no step that trains soft tokens through a frozen decoder can be faster.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from transformers import PreTrainedModel

from textreel.models.batch import IGNORE, Batch
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
from textreel.train.buckets import BucketedBatches
from textreel.train.config import TrainConfig
from textreel.train.optimizer import build_optimizer
from textreel.train.precision import (
    ComputePath,
    Precision,
    arithmetic,
    candidates,
    fastest,
    measure,
    take,
)

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainCase:
    """One comparison.

    Attributes:
        name: of the case.
        lengths: fewest and most tokens of a prompt, answer included.
        samples: prompts per round.
        batch_size: most of them in a batch.
        answers: fewest and most target tokens.
    """

    name: str
    lengths: tuple[int, int]
    samples: int
    batch_size: int
    answers: tuple[int, int] = (8, 24)


CASES = (
    TrainCase(name="50-150 tokens", lengths=(50, 150), samples=128, batch_size=16),
    TrainCase(name="600 tokens", lengths=(600, 600), samples=8, batch_size=4),
)


def run_bench_train(
    *,
    size: DecoderSize = FULL,
    cases: tuple[TrainCase, ...] = CASES,
    precisions: tuple[Precision, ...] = ("fp32", "bf16"),
    rounds: int = 3,
    seed: int = 0,
) -> BenchReport:
    """Compare the sides on every case in every type of arithmetic.

    Args:
        size: of the decoder.
        cases: what to compare on.
        precisions: types of arithmetic.
        rounds: of the whole comparison.
        seed: of weights and samples.

    Returns:
        Cases named `<case>, <precision>`; `differences["loss"]` is the largest relative difference
        of the loss between our and the plain step on the same batches.
    """
    found = [
        _Sides(case, size, precision=precision, seed=seed).compare(rounds)
        for case in cases
        for precision in precisions
    ]
    return make_report("train", tuple(found))


class _Sides:
    """The sides of one comparison, on the same weights and samples."""

    def __init__(
        self, case: TrainCase, size: DecoderSize, *, precision: Precision, seed: int
    ) -> None:
        self.case, self.precision = case, precision
        self.model, self.plain = build_track(size, seed=seed), build_decoder(size, seed=seed)
        config = TrainConfig(steps=1, lr=1e-6)
        self.optimizer = build_optimizer(self.model, config)
        prompts = draw_prompts(
            case.samples,
            lengths=case.lengths,
            answers=case.answers,
            vocabulary=size.vocabulary,
            seed=seed,
        )
        self.bucketed = self._bucketed(prompts, seed)
        self.path = self._faster_path()
        self.settings = asdict(size) | asdict(case) | asdict(self.path)
        in_order = [
            prompts[i : i + case.batch_size] for i in range(0, len(prompts), case.batch_size)
        ]  # the samples are drawn at random, so their own order is a random one
        self.padded = [collate(batch) for batch in in_order]

    def _bucketed(self, prompts: list[Prompt], seed: int) -> list[Batch]:
        batches = BucketedBatches(
            [len(prompt.ids) for prompt in prompts], batch_size=self.case.batch_size, seed=seed
        )
        return [
            collate([prompts[i] for i in batches.indices(step)])
            for step in range(batches.batches_per_epoch)
        ]

    def _faster_path(self) -> ComputePath:
        """Let our model compute attention in the way that is faster here; return it."""

        def step(path: ComputePath) -> None:
            take(path, self.model)
            with arithmetic(path, CPU):
                loss = self.model.loss(self.bucketed[0])
            torch.autograd.backward(loss)
            self.optimizer.zero_grad(set_to_none=True)

        paths = candidates(self.model, precision=self.precision, attention="auto")
        best = fastest(paths, measure(step, paths, device=CPU))
        take(best, self.model)
        return best

    def compare(self, rounds: int) -> BenchCase:
        """Warm every side up with one step, then time them on all samples."""
        ours, plain = partial(_our_loss, self.model), partial(_plain_loss, self.model, self.plain)
        sides = {
            "ours": (ours, self.bucketed),
            "plain": (plain, self.padded),
            "floor": (partial(_body_loss, self.model), self.bucketed),
        }
        for loss, batches in sides.values():
            self._steps(loss, batches[:1])
        difference = self._difference(ours, plain)
        timings = compare(
            {name: partial(self._steps, *side) for name, side in sides.items()}, rounds=rounds
        )
        floor = timings[-1].median_cpu_s
        tokens = sum(int(batch.attention_mask.sum()) for batch in self.bucketed)
        return make_case(
            f"{self.case.name}, {self.precision}",
            timings[:-1],
            settings=self.settings,
            differences={"loss": difference},
            notes={
                "floor_cpu_s": floor,
                "most_that_plain_could_gain": timings[1].median_cpu_s / floor,
                "tokens": tokens,
                "padding_ours": self._padding(self.bucketed, tokens),
                "padding_plain": self._padding(self.padded, tokens),
            },
        )

    def _steps(self, loss: Callable[[Batch], Tensor], batches: list[Batch]) -> None:
        """Train on `batches`, as `train.loop` does."""
        parameters = list(self.model.trainable_parameters())
        for batch in batches:
            with self._arithmetic():
                value = loss(batch)
            torch.autograd.backward(value)
            clip_grad_norm_(parameters, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)

    def _difference(
        self, ours: Callable[[Batch], Tensor], plain: Callable[[Batch], Tensor]
    ) -> float:
        with torch.no_grad(), self._arithmetic():
            pairs = [(float(ours(b)), float(plain(b))) for b in self.padded[:2]]
        return max(abs(one - two) / two for one, two in pairs)

    def _arithmetic(self) -> AbstractContextManager[None]:
        return arithmetic(self.path, CPU)

    @staticmethod
    def _padding(batches: list[Batch], tokens: int) -> float:
        """Return the share of positions that hold padding."""
        return 1 - tokens / sum(batch.input_ids.numel() for batch in batches)


def _our_loss(model: TrackLM, batch: Batch) -> Tensor:
    return model.loss(batch)


def _plain_loss(model: TrackLM, plain: PreTrainedModel, batch: Batch) -> Tensor:
    """Return the loss that a causal language model of transformers gives."""
    return plain(
        inputs_embeds=plain_embeddings(model, plain, batch),
        attention_mask=batch.attention_mask,
        labels=batch.labels,
        use_cache=False,
    ).loss


def _body_loss(model: TrackLM, batch: Batch) -> Tensor:
    """Return something to go backwards from, without any logits."""
    prompted = model.prompted(batch, bridged=False)
    out = run_body(model.decoder, prompted.embeddings, textreel=prompted.call, use_cache=False)
    return out.last_hidden_state[batch.labels != IGNORE].float().square().mean()
