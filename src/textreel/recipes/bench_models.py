"""What the benches of models share: a random decoder twice, ours and plain, and random prompts.

The decoder is a Llama of random weights; speed does not ask what they are. Both sides hold the same
numbers: ours with this package's attention, the plain one as transformers builds it (SDPA, masks
made from the padding).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from textreel.models.adapters import AdapterKind
from textreel.models.batch import IGNORE, Batch
from textreel.models.config import TrackLMConfig
from textreel.models.connectors import ConnectorConfig
from textreel.models.decoder import prepare
from textreel.models.track_lm import TrackLM

NUM_FRAMES = 10
"""TOPA's; each becomes one soft token."""
FEATURE_DIM = 768
"""Width of CLIP ViT-L/14's joint space."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderSize:
    """A decoder's shape; the default has 8 layers of width 512 and 32,000 tokens."""

    layers: int = 8
    width: int = 512
    heads: int = 8
    vocabulary: int = 32_000


FULL = DecoderSize()
TINY = DecoderSize(layers=2, width=32, heads=2, vocabulary=97)


def build_decoder(size: DecoderSize, *, seed: int) -> PreTrainedModel:
    """Return a frozen Llama of random weights, as transformers builds it."""
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=size.width * 11 // 4,  # Llama's 11008 / 4096, nearly
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=1024,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).requires_grad_(False).eval()


def build_track(size: DecoderSize, *, seed: int, adapter: AdapterKind = "none") -> TrackLM:
    """Return our model around such a decoder."""
    connector = ConnectorConfig(feature_dim=FEATURE_DIM, max_frames=NUM_FRAMES)
    config = TrackLMConfig(decoder="random llama", connector=connector, adapter=adapter)
    return TrackLM(prepare(build_decoder(size, seed=seed)), config)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prompt:
    """A prompt with a video in it, and perhaps its answer.

    Attributes:
        ids: int64 (L,); the first `NUM_FRAMES` places are the video's.
        answer: how many of the last tokens are targets.
        features: float32 (NUM_FRAMES, 1, FEATURE_DIM).
    """

    ids: Tensor
    answer: int
    features: Tensor


def draw_prompts(
    count: int, *, lengths: tuple[int, int], answers: tuple[int, int], vocabulary: int, seed: int
) -> list[Prompt]:
    """Draw prompts; `lengths` and `answers` give the fewest and the most tokens, inclusive."""
    generator = torch.Generator().manual_seed(seed)

    def between(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    return [
        Prompt(
            ids=torch.randint(0, vocabulary, (between(*lengths),), generator=generator),
            answer=between(*answers),
            features=torch.randn(NUM_FRAMES, 1, FEATURE_DIM, generator=generator),
        )
        for _ in range(count)
    ]


def collate(prompts: list[Prompt]) -> Batch:
    """Pad prompts on the right, to the longest of them."""
    width = max(len(prompt.ids) for prompt in prompts)
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.bool)
    labels = torch.full((len(prompts), width), IGNORE)
    for row, prompt in enumerate(prompts):
        end = len(prompt.ids)
        ids[row, :end] = prompt.ids
        mask[row, :end] = True
        labels[row, end - prompt.answer : end] = prompt.ids[end - prompt.answer :]
    slots = torch.zeros_like(mask)
    slots[:, :NUM_FRAMES] = True
    return Batch(
        input_ids=ids,
        attention_mask=mask,
        video_slots=slots,
        labels=labels,
        features=torch.stack([prompt.features for prompt in prompts]),
        feature_mask=torch.ones(len(prompts), NUM_FRAMES, dtype=torch.bool),
        ids=tuple(str(number) for number in range(len(prompts))),
    )


def plain_embeddings(model: TrackLM, plain: PreTrainedModel, batch: Batch) -> Tensor:
    """Return what the plain decoder reads: word embeddings, soft tokens in the video's place."""
    assert batch.features is not None
    words = plain.get_input_embeddings()(batch.input_ids)
    return torch.cat([model.connector(batch.features), words[:, NUM_FRAMES:]], dim=1)
