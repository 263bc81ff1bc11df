"""`textreel synth tiny`: the embedded models from nothing, as Hugging Face directories.

    DIR/towers    dual encoder: config, weights, tokenizer, picture settings, mean statistics, card
    DIR/decoder   causal decoder: config, weights, tokenizer, card
    DIR/run       a run aligned on textual videos, ready to answer
    DIR/work      the training runs; a killed build goes on from them

Weights are float16. Times and results of the shipped build are in docs/LOG.md.
"""

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np

from textreel.data.files import atomic_directory, write_atomic
from textreel.models.encoder_statistics import EncoderStatistics, save_statistics
from textreel.models.encoders import load_encoder
from textreel.models.tiny_decoder import TinyDecoder
from textreel.models.tiny_towers import TinyTowers
from textreel.models.tokenizer import save_tokenizer
from textreel.recipes.tiny_cards import DECODER_CARD, TOWERS_CARD
from textreel.recipes.tiny_decoder import build_decoder
from textreel.recipes.tiny_towers import IMAGE_MEAN, IMAGE_STD, build_towers
from textreel.synth.world.captions import frame_caption
from textreel.synth.world.render import TOWER_PX, draw_still
from textreel.synth.world.scene import draw_scenes
from textreel.synth.world.tokens import world_tokenizer
from textreel.synth.world.vocabulary import BOS, EOS, PAD, UNK
from textreel.train.primitives import keep_few_primitives

STATISTICS_STILLS = 4000
PIL_BOX = 4
"""Pillow's number of the box filter: 192 px to 48 px is then the exact 4 x 4 mean."""

Show = Callable[[str], None]


def save_towers(towers: TinyTowers, folder: Path, *, num_stills: int = STATISTICS_STILLS) -> None:
    """Write the dual encoder as a Hugging Face directory, with its mean statistics.

    Args:
        towers: trained.
        folder: replaced if it is there.
        num_stills: see `measure_statistics`.
    """
    with atomic_directory(folder, overwrite=True) as draft:
        towers.half().save_pretrained(draft)
        towers.float()
        _save_tokenizer(draft, towers.config.max_position_embeddings)
        pixels = {
            "image_processor_type": "CLIPImageProcessor",
            "do_resize": True,
            "size": {"height": TOWER_PX, "width": TOWER_PX},
            "resample": PIL_BOX,
            "do_center_crop": False,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": [IMAGE_MEAN] * 3,
            "image_std": [IMAGE_STD] * 3,
            "do_convert_rgb": True,
        }
        write_atomic(draft / "preprocessor_config.json", json.dumps(pixels, indent=2) + "\n")
        write_atomic(draft / "README.md", TOWERS_CARD)
        measure_statistics(draft, num_stills=num_stills)


def measure_statistics(folder: Path, *, num_stills: int = STATISTICS_STILLS) -> None:
    """Store the mean picture vector and the mean text vector of the encoder in `folder`.

    Both are taken over stills of the training part and captions of the same stills. `MeanShift`
    uses them.

    Args:
        folder: of the encoder.
        num_stills: one of a scene.
    """
    encoder = load_encoder(folder)
    rng, noise = Random("statistics"), np.random.default_rng(0)
    pictures, texts = [], []
    for scene in islice(draw_scenes(20_000), num_stills):
        looks = scene.at(rng.uniform(0, scene.duration_s))
        pictures.append(draw_still(scene.background, looks, rng, noise))
        texts.append(frame_caption(scene.background, looks, rng))
    image = encoder.encode_frames(np.stack(pictures).transpose(0, 3, 1, 2))
    text = encoder.encode_texts(texts)
    means = EncoderStatistics(image_mean=image.mean(0), text_mean=text.mean(0))
    save_statistics(folder, means)


def save_decoder(decoder: TinyDecoder, folder: Path) -> None:
    """Write the decoder as a Hugging Face directory."""
    with atomic_directory(folder, overwrite=True) as draft:
        decoder.half().save_pretrained(draft)
        decoder.float()
        _save_tokenizer(draft, decoder.config.max_position_embeddings)
        write_atomic(draft / "README.md", DECODER_CARD)


def _save_tokenizer(folder: Path, longest: int) -> None:
    tokenizer = world_tokenizer()
    save_tokenizer(tokenizer, folder, pad=PAD, bos=BOS, eos=EOS, unk=UNK, longest=longest)


def build_tiny(out: Path, *, seed: int = 0, show: Show = lambda _: None) -> None:
    """Build all embedded models into `out`; safe to kill and to call again.

    Args:
        out: folder.
        seed: of weights and data.
        show: told what happens.
    """
    from textreel.recipes.tiny_run import build_run

    keep_few_primitives()
    for name, build in (("towers", _towers), ("decoder", _decoder)):
        if (out / name / "config.json").is_file():
            show(f"{name}: there already")
            continue
        show(f"{name}: training; goes on where a killed build stopped")
        build(out, seed)
    show("run: aligning the decoder on textual videos")
    build_run(out, seed=seed)


def _towers(out: Path, seed: int) -> None:
    save_towers(build_towers(out / "work", seed=seed), out / "towers")


def _decoder(out: Path, seed: int) -> None:
    save_decoder(build_decoder(out / "work", seed=seed), out / "decoder")
