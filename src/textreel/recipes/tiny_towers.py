"""The tiny dual encoder, from nothing: stills and captions, then sounds tied to pictures.

    textreel synth tiny --out DIR        (this, the decoder and the aligned run; see `tiny_models`)

Pictures and texts: groups of eight minimal edits (`synth/world/stills`), 32 groups a step. Sounds:
afterwards, against the finished picture tower only. Results and times are in docs/LOG.md.
"""

from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from textreel.media.mel import MelSpec, log_mel
from textreel.models.contrastive import (
    ContrastiveTowers,
    SoundAfterPictures,
    SoundBatch,
    StillBatch,
)
from textreel.models.tiny_towers import TinyTowers, TinyTowersConfig
from textreel.synth.world.captions import frame_caption
from textreel.synth.world.render import draw_still
from textreel.synth.world.scene import BACKGROUNDS, COLOURS, SHAPES, SIZES, Look
from textreel.synth.world.sounds import SOUND_RATE_HZ, draw_voice
from textreel.synth.world.stills import (
    GROUP_SIZE,
    WORD_PAIRS,
    Moment,
    draw_group,
    word_pairs,
)
from textreel.synth.world.vocabulary import split, words
from textreel.train.config import TrainConfig
from textreel.train.loop import train

IMAGE_MEAN, IMAGE_STD = 0.5, 0.25
GROUPS = 32
NAMED_SOUND_SHARE = 0.25
"""A quarter of the captions name the sound of a visible object, as web captions do."""
SOUND_WINDOW_S = 2.0
SOUND_PAIRS = 64

TOWER_TRAINING = TrainConfig(
    steps=1200,
    batch_size=GROUPS * GROUP_SIZE,
    lr=2e-3,
    warmup=72,
    weight_decay=0.02,
    betas=(0.9, 0.98),
    checkpoint_every=50,
    evaluate_every=250,
    precision="bf16",
    threads=1,
)
SOUND_TRAINING = TrainConfig(
    steps=120,
    batch_size=SOUND_PAIRS,
    lr=2e-3,
    warmup=20,
    weight_decay=0.02,
    betas=(0.9, 0.98),
    precision="fp32",
    threads=1,
)
"""One thread, one type of arithmetic: a rebuild on the same kind of machine has the same bits."""

_IDS = {word: number for number, word in enumerate(words())}
_PAIRS = {pair: number for number, pair in enumerate(WORD_PAIRS)}


class StillData:
    """Groups of minimal edits with captions, a pure function of the step."""

    def __init__(self, *, groups: int = GROUPS, seed: int = 0) -> None:
        self.groups = groups
        self.seed = seed

    def __len__(self) -> int:
        return self.groups * GROUP_SIZE

    def batch(self, step: int) -> StillBatch:
        """Draw the batch of step `step`."""
        rng = Random(f"stills-{self.seed}-{step}")
        noise = np.random.default_rng((self.seed, step))
        moments = [moment for _ in range(self.groups) for moment in draw_group(rng)]
        pictures = [draw_still(m.background, m.looks, rng, noise) for m in moments]
        input_ids = pad_ids([caption_ids(moment, rng) for moment in moments])
        numbers: dict[object, int] = {}
        facts = [
            numbers.setdefault((m.background, frozenset(m.looks)), len(numbers)) for m in moments
        ]
        return StillBatch(
            pixel_values=pixel_values(np.stack(pictures)),
            input_ids=input_ids,
            attention_mask=input_ids > 0,
            facts=torch.tensor(facts),
            named=named_pairs(moments),
            ids=tuple(f"still-{step}-{i}" for i in range(len(moments))),
            group_size=GROUP_SIZE,
            noise_seed=step,
        )


class SoundData:
    """Sounds of single objects and stills that show them, a pure function of the step."""

    def __init__(self, *, pairs: int = SOUND_PAIRS, seed: int = 0) -> None:
        self.pairs = pairs
        self.seed = seed

    def __len__(self) -> int:
        return self.pairs

    def batch(self, step: int) -> SoundBatch:
        """Draw the batch of step `step`."""
        rng = Random(f"sounds-{self.seed}-{step}")
        noise = np.random.default_rng((self.seed, step, 1))
        kinds = [rng.randrange(len(SHAPES)) for _ in range(self.pairs)]
        pictures = [_lone_object(SHAPES[kind], rng, noise) for kind in kinds]
        return SoundBatch(
            pixel_values=pixel_values(np.stack(pictures)),
            spectrograms=spectrograms([draw_window(SHAPES[kind], noise) for kind in kinds]),
            kinds=torch.tensor(kinds),
            ids=tuple(f"sound-{step}-{i}" for i in range(self.pairs)),
        )


def caption_ids(moment: Moment, rng: Random) -> list[int]:
    """Write a caption of a moment, and tokenize it."""
    sounding = ""
    if moment.looks and rng.random() < NAMED_SOUND_SHARE:
        sounding = rng.choice(moment.looks).shape
    text = frame_caption(moment.background, moment.looks, rng, sounding=sounding)
    return [_IDS[word] for word in split(text)]


def named_pairs(moments: list[Moment]) -> Tensor:
    """Mark which pairs of words stand in each moment's lines: float32 (N, K)."""
    marks = torch.zeros(len(moments), len(WORD_PAIRS))
    for row, moment in zip(marks, moments, strict=True):
        row[[_PAIRS[pair] for pair in word_pairs(moment)]] = 1.0
    return marks


def pad_ids(rows: list[list[int]]) -> Tensor:
    """Pad token ids with 0 to int64 (N, L)."""
    padded = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for row, ids in zip(padded, rows, strict=True):
        row[: len(ids)] = ids
    return torch.from_numpy(padded)


def pixel_values(pictures: NDArray[np.uint8]) -> Tensor:
    """Normalise pictures uint8 (N, H, W, 3) to float32 (N, 3, H, W)."""
    values = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    return ((values - IMAGE_MEAN) / IMAGE_STD).contiguous()


def mel_spec() -> MelSpec:
    """Return the spectrogram of the sound tower."""
    return MelSpec(rate_hz=SOUND_RATE_HZ, num_mels=TinyTowersConfig().num_mel_bins)


def spectrograms(waves: list[NDArray[np.float32]]) -> Tensor:
    """Make float32 (N, frames, mels) of mono waves of one length."""
    return torch.from_numpy(np.stack([log_mel(wave, mel_spec()) for wave in waves])).float()


def draw_window(shape: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw `SOUND_WINDOW_S` of hiss with a part or all of it sounding like `shape`."""
    samples = round(SOUND_WINDOW_S * SOUND_RATE_HZ)
    wave = rng.standard_normal(samples) * 0.003
    length = int(rng.uniform(0.3, 1.0) * samples)
    start = int(rng.integers(0, samples - length + 1))
    wave[start : start + length] += draw_voice(shape, length, rng)
    return np.clip(wave, -1, 1).astype(np.float32)


def _lone_object(shape: str, rng: Random, noise: np.random.Generator) -> NDArray[np.uint8]:
    place = (rng.randrange(3), rng.randrange(3))
    look = Look(shape, rng.choice(COLOURS), rng.choice(SIZES), place, visible=True)
    return draw_still(rng.choice(BACKGROUNDS), (look,), rng, noise)


@torch.no_grad()
def group_accuracy(
    towers: TinyTowers, *, batches: int = 2, groups: int = GROUPS, seed: int = 1_000_000
) -> float:
    """Share of stills whose caption is found among the eight of their group (chance .125)."""
    data, right = StillData(groups=groups, seed=seed), []
    for step in range(batches):
        batch = data.batch(step)
        image = normalize(towers.get_image_features(batch.pixel_values).float(), dim=-1)
        text = towers.get_text_features(batch.input_ids, batch.attention_mask)
        text = normalize(text.float(), dim=-1)
        shape = (groups, GROUP_SIZE, -1)
        scores = image.view(shape) @ text.view(shape).transpose(1, 2)
        right.append((scores.argmax(-1) == torch.arange(GROUP_SIZE)).float().mean())
    return float(torch.stack(right).mean())


def build_towers(
    work: Path,
    *,
    config: TrainConfig = TOWER_TRAINING,
    sound_config: TrainConfig = SOUND_TRAINING,
    seed: int = 0,
) -> TinyTowers:
    """Train picture and text towers, then the sound tower; safe to kill and to call again.

    Args:
        work: folder for the two training runs.
        config: of the first, whose `batch_size` is a multiple of `GROUP_SIZE`.
        sound_config: of the second.
        seed: of weights and data.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        towers = TinyTowers(TinyTowersConfig(vocab_size=len(_IDS)))
        model = ContrastiveTowers(
            towers, feature_dim=towers.config.projection_dim, num_pairs=len(WORD_PAIRS)
        )
    groups = config.batch_size // GROUP_SIZE

    def evaluate() -> dict[str, float]:
        return {"one_of_eight": group_accuracy(towers, groups=groups)}

    stills = StillData(groups=groups, seed=seed)
    train(model, stills, config, work / "towers", evaluate=evaluate)
    sounds = SoundData(pairs=sound_config.batch_size, seed=seed)
    train(SoundAfterPictures(towers), sounds, sound_config, work / "sounds")
    return towers.eval()
