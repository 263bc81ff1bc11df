"""Frozen sound-and-text encoders, such as CLAP: sounds and captions in one space.

    texts                     --encode_texts-->   (N, F)
    mono sounds (samples,)    --encode_sounds-->  (N, F)      unit-norm float32, on the CPU

A sound-text model of transformers is one with `get_audio_features` and `get_text_features`, and a
feature extractor beside it. CLAP hears at most ten seconds at a time; a longer sound must be cut by
the caller (`window_s`), for the model's own way is to take a random piece of it. A shorter one is
repeated, as published.

CLAP's weights are under free licences where ImageBind's are for non-commercial use only.
Source: arXiv:2211.06687.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoTokenizer,
    FeatureExtractionMixin,
    PreTrainedModel,
)

from textreel.models.encoder_errors import EncoderError
from textreel.models.encoder_files import EncoderFiles, find_encoder
from textreel.models.encoder_inputs import TextInputs
from textreel.models.encoders import pooled
from textreel.models.tower_runner import Prepared, TowerRunner, unit_norm


class SoundTextEncoder:
    """A frozen encoder of sounds and texts.

    Attributes:
        name: Hugging Face id or folder name.
        revision: commit, or hash of the folder's files.
        path: the folder with its files.
        device: where the towers run; results come back to the CPU.
        dim: feature width F.
        sound_rate_hz: samples per second of the sounds that it takes.
        window_s: longest sound that it takes, in seconds.
        statistics: None; means are stored for encoders of pictures only.
    """

    statistics: None = None

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        files: EncoderFiles,
        texts: TextInputs,
        extractor: FeatureExtractionMixin,
    ) -> None:
        self.name, self.revision, self.path = files.name, files.revision, files.path
        self._model = model.eval().requires_grad_(False)
        self._texts, self._extractor = texts, extractor
        self._runner = TowerRunner(self._model, name=self.name)
        self.device: torch.device = model.device
        self.sound_rate_hz = int(extractor.sampling_rate)
        self.window_s = float(extractor.max_length_s)

    @functools.cached_property
    def dim(self) -> int:
        """Feature width F."""
        return self._text_vectors(self._texts.tokenize(["a"])).shape[1]

    @property
    def max_text_tokens(self) -> int:
        """Longest text the text tower takes, special tokens included."""
        return self._texts.max_tokens

    def count_tokens(self, text: str) -> int:
        """Return how many tokens `text` has, special tokens included."""
        return len(self._texts.tokenize([text])[0])

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit-norm float32 (N, F), one row per text.

        Raises:
            TextTooLongError: a text has more than `max_text_tokens` tokens; nothing is cut.
        """
        ids = self._texts.tokenize(texts)
        self._texts.check_lengths(texts, ids)
        return self._text_vectors(ids) if ids else torch.zeros(0, self.dim)

    def encode_sounds(self, sounds: Sequence[NDArray[np.float32]]) -> Tensor:
        """Return unit-norm float32 (N, F), one row per sound; see `prepare_sounds`."""
        return self.encode_prepared_sounds(self.prepare_sounds(sounds))

    def prepare_sounds(self, sounds: Sequence[NDArray[np.float32]]) -> Prepared:
        """Return what the sound tower takes.

        Args:
            sounds: mono (samples,) at `sound_rate_hz`, of at most `window_s`.

        Raises:
            EncoderError: a sound is empty, not mono, or too long.
        """
        most = round(self.window_s * self.sound_rate_hz)
        for number, sound in enumerate(sounds):
            if sound.ndim != 1 or not 0 < len(sound) <= most:
                raise EncoderError(
                    f"sound {number} for {self.name} must be mono with 1 to {most} samples "
                    f"({self.window_s:g} s), got {sound.shape}",
                    hint="cut it into windows of that length",
                )
        if not sounds:
            return {}
        inputs = dict(
            self._extractor(list(sounds), sampling_rate=self.sound_rate_hz, return_tensors="pt")
        )
        # spectrograms come in float64: kept as the tower takes them, they need half the memory
        mels = inputs["input_features"]
        inputs["input_features"] = mels.to(self._runner.dtype)
        if "is_longer" in inputs:  # one is drawn at random where none is longer
            inputs["is_longer"] = torch.zeros(len(sounds), 1, dtype=torch.bool)
        return inputs

    def encode_prepared_sounds(self, prepared: Prepared) -> Tensor:
        """Return unit-norm float32 (N, F) for what `prepare_sounds` made."""
        if not prepared:
            return torch.zeros(0, self.dim)
        return self._runner.run_rows(
            "sound",
            prepared,
            main="input_features",
            tower=unit_norm(lambda **inputs: pooled(self._model.get_audio_features(**inputs))),
            dim=self.dim,
        )

    def _text_vectors(self, ids: Sequence[Sequence[int]]) -> Tensor:
        return self._runner.run(
            "text",
            [self._texts.width(row) for row in ids],
            make=lambda rows: self._texts.pad([ids[i] for i in rows]),
            tower=unit_norm(lambda **inputs: pooled(self._model.get_text_features(**inputs))),
        )


def is_sound_text(folder: str | Path) -> bool:
    """Return whether a folder's configuration names a model that hears and reads, but sees not."""
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError):
        return False  # loading it will say why
    return hasattr(config, "audio_config") and not hasattr(config, "vision_config")


def load_sound_text_encoder(
    name_or_path: str | Path, *, device: torch.device | str = "cpu"
) -> SoundTextEncoder:
    """Load a frozen sound-text encoder by Hugging Face id or folder.

    Args:
        name_or_path: as `load_encoder` takes it.
        device: where its towers run.

    Raises:
        EncoderError: no such model, or it has no sound or no text tower.
        EncoderUnavailableError: its files cannot be had.
    """
    files = find_encoder(name_or_path)
    try:
        model, loaded = AutoModel.from_pretrained(
            files.path, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(files.path)
        extractor = AutoFeatureExtractor.from_pretrained(files.path)
    except (OSError, ValueError) as error:
        raise EncoderError(f"{files.name} cannot be loaded to hear and read: {error}") from error
    wanted = ("get_audio_features", "get_text_features")
    if missing := [name for name in wanted if not hasattr(model, name)]:
        raise EncoderError(
            f"{files.name} is a {type(model).__name__} and has no {' and no '.join(missing)}: "
            f"not an encoder of sounds and texts",
            hint="use a CLAP model",
        )
    if getattr(extractor, "max_length_s", None) is None:
        raise EncoderError(f"{files.name} does not say how long a sound it hears at a time")
    if absent := sorted(loaded["missing_keys"]):
        raise EncoderError(
            f"{files.name}: the file lacks {len(absent)} weights of its sound and text towers "
            f"(first: {absent[0]})"
        )
    texts = TextInputs(tokenizer, config=model.config)
    return SoundTextEncoder(model.to(device), files=files, texts=texts, extractor=extractor)
