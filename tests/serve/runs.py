"""A whole run folder with tiny random models, and short videos to ask about."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.models.encoder_fakes import save_clip
from textreel.data.prompt import PromptTemplate
from textreel.features.memory import save_memory
from textreel.media.clip import Clip
from textreel.media.sampling import SamplingSpec
from textreel.media.write import write_clip
from textreel.models.config import TrackLMConfig
from textreel.models.connectors import ConnectorConfig
from textreel.models.decoder import load_decoder
from textreel.models.encoder_statistics import EncoderStatistics, save_statistics
from textreel.models.encoders import load_encoder
from textreel.models.track_lm import TrackLM
from textreel.serve.run_files import (
    MEMORY_FILE,
    BridgeSettings,
    RunSettings,
    save_run,
    save_settings,
)

WORDS = "video question choices answer summary which colour is the what : ) ? a b c d".split()
WORDS += "red green blue circle square one two three moves then left right".split()
TEMPLATE = PromptTemplate(
    name="test",
    choice_instruction="",
    open_instruction="",
    summary_instruction="",
    video_lead="video : ",
    question="question : {question} ",
    choices_lead="choices : ",
    option="{letter_low} ) {text} ",
    choice_lead="answer : ",
    choice_target="{text}",
    open_lead="answer : ",
)
POSITIONS = 64
NUM_FRAMES = 4


def save_decoder(folder: Path, *, positions: int = POSITIONS) -> None:
    ids = {word: i for i, word in enumerate(["<pad>", "<unk>", "<s>", "</s>", *WORDS])}
    core = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
    )
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=positions,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        LlamaForCausalLM(config).save_pretrained(folder)


def make_run(
    home: Path, *, name: str = "run", bridge: BridgeSettings | None = None, knows: str = ""
) -> Path:
    """Write `home/towers` and `home/decoder` if needed, and a run beside them; return the run."""
    towers, decoder, run = home / "towers", home / "decoder", home / name
    if not towers.is_dir():
        save_clip(towers)
        save_decoder(decoder)
    encoder = load_encoder(towers)
    config = TrackLMConfig(
        decoder=str(decoder),
        connector=ConnectorConfig(feature_dim=encoder.dim, max_frames=6, temporal_std=0.1),
        encoder=encoder.name,
        encoder_revision=encoder.revision,
    )
    settings = RunSettings(
        encoder=str(towers),
        template=TEMPLATE,
        sampling=SamplingSpec(num_frames=NUM_FRAMES),
        bridge=bridge or BridgeSettings(),
        knows=knows,
    )
    model = TrackLM(load_decoder(str(decoder)), config)
    if settings.bridge.name == "memory":
        model.save_pretrained(run)
        save_settings(run, settings)
    else:
        save_run(run, model, settings)
    return run


def add_memory(run: Path, texts: list[str]) -> torch.Tensor:
    encoder = load_encoder(run.parent / "towers")
    vectors = encoder.encode_texts(texts)
    save_memory(
        run / MEMORY_FILE, vectors, encoder=encoder.name, revision=encoder.revision, make_up="test"
    )
    return vectors


def add_statistics(run: Path) -> None:
    mean = torch.zeros(10)
    save_statistics(run.parent / "towers", EncoderStatistics(image_mean=mean, text_mean=mean + 0.3))


def video(path: Path, *, seed: int, num_frames: int = 8, sound: bool = False) -> Path:
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 256, (num_frames, 3, 2, 2), dtype=np.uint8), 16, axis=2)
    clip = Clip(
        frames=frames.repeat(16, axis=3),
        frame_times_s=np.arange(num_frames) * 0.5,
        duration_s=num_frames * 0.5,
        source=path.name,
        sound=rng.normal(0, 0.1, (1, 8000)).astype(np.float32) if sound else None,
        sound_rate_hz=16000 if sound else None,
    )
    write_clip(path, clip)
    return path
