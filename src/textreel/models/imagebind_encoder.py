"""ImageBind as an encoder: pictures, texts and two-second clips of sound in one space.

    texts                             --encode_texts-->     (N, F)
    frames uint8 (N, 3, H, W)         --encode_frames-->    (N, F)
    mels (N, 1, 128, 204)             --encode_prepared_sounds--> (N, F)

All are of unit length, except sounds where `sound_scale` is "published" (20). Frames are resized to
224 px on the short side, bicubic, and cut at the centre. Only the towers asked for are in memory.

`imagebind_huge.pth` brings no tokenizer; texts are read with CLIP's.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPTextConfig

from textreel.models.encoder_errors import EncoderError, EncoderUnavailableError
from textreel.models.encoder_files import EncoderFiles, published_files
from textreel.models.encoder_inputs import TextInputs, prepared_frames
from textreel.models.imagebind import (
    MAX_TEXT_TOKENS,
    MEL_FRAMES,
    NUM_MELS,
    VOCABULARY,
    ImageBind,
    ImageBindConfig,
    Sense,
    SoundScale,
)
from textreel.models.imagebind_files import load_imagebind
from textreel.models.tower_runner import Prepared, TowerRunner

NAME = "imagebind"
SCALED_SUFFIX = "#x20"
"""Ends the name of an encoder whose sound vectors have their published length."""


class ImageBindEncoder:
    """The frozen towers of ImageBind that were asked for.

    Attributes:
        name: `imagebind`, or `imagebind#x20` where sounds have their published length.
        revision: hash of the weight file.
        path: the weight file.
        dim: feature width F.
        device: where the towers run; results come back to the CPU.
        sound_rate_hz: samples per second that its spectrograms are drawn from.
        statistics: None; nothing is stored beside the weights.
        sound_scale: length of sound vectors.
        senses: which towers there are.
    """

    sound_rate_hz = 16_000
    statistics: None = None  # no means are stored beside one file

    def __init__(
        self,
        model: ImageBind,
        *,
        files: EncoderFiles,
        texts: TextInputs | None,
        sound_scale: SoundScale,
    ) -> None:
        self.name = files.name + (SCALED_SUFFIX if sound_scale == "published" else "")
        self.revision, self.path = files.revision, files.path
        self.dim, self.sound_scale = model.config.dim, sound_scale
        self.senses: tuple[Sense, ...] = model.senses
        self._model, self._texts = model, texts
        self._runner = TowerRunner(model, name=self.name)
        self.device: torch.device = self._runner.device
        self._processor = CLIPImageProcessorPil()

    @property
    def hears(self) -> bool:
        """Whether files are given to it by their sound: it was loaded without its picture tower."""
        return "sound" in self.senses and "image" not in self.senses

    @property
    def max_text_tokens(self) -> int:
        """Longest text the text tower takes, special tokens included."""
        return MAX_TEXT_TOKENS if self._texts is None else self._texts.max_tokens

    def count_tokens(self, text: str) -> int:
        """Return how many tokens `text` has, special tokens included."""
        return len(self._reader().tokenize([text])[0])

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit-norm float32 (N, F), one row per text.

        Raises:
            TextTooLongError: a text has more than 77 tokens; nothing is cut.
            EncoderError: the text tower or its tokenizer was not loaded.
        """
        reader = self._reader()
        ids = reader.tokenize(texts)
        reader.check_lengths(texts, ids)
        if not ids:
            return torch.zeros(0, self.dim)
        return self._runner.run(
            "text",
            [len(row) for row in ids],
            make=lambda rows: {"ids": reader.pad([ids[i] for i in rows])["input_ids"]},
            tower=lambda ids: self._model.text_vectors(ids).float(),
        )

    def encode_frames(self, frames: NDArray[np.uint8] | Tensor) -> Tensor:
        """Return unit-norm float32 (N, F), one row per uint8 RGB frame of (N, 3, H, W).

        Raises:
            EncoderError: another shape or type, or the picture tower was not loaded.
        """
        return self.encode_prepared(self.prepare_frames(frames))

    def prepare_frames(self, frames: NDArray[np.uint8] | Tensor) -> Prepared:
        """Return what the picture tower takes; see `DualEncoder.prepare_frames`."""
        return prepared_frames(frames, self._processor, name=self.name)

    def encode_prepared(self, prepared: Prepared) -> Tensor:
        """Return unit-norm float32 (N, F) for what `prepare_frames` made."""
        self._require("image")
        if not prepared:
            return torch.zeros(0, self.dim)
        return self._runner.run_rows(
            "image",
            prepared,
            main="pixel_values",
            tower=lambda pixel_values: self._model.image_vectors(pixel_values).float(),
        )

    def encode_prepared_sounds(self, prepared: Prepared) -> Tensor:
        """Return float32 (N, F) for `{"mels": (N, 1, 128, 204)}`, one row per clip.

        Raises:
            EncoderError: another shape, or the sound tower was not loaded.
        """
        self._require("sound")
        mels = prepared["mels"]
        if mels.shape[1:] != (1, NUM_MELS, MEL_FRAMES):
            raise EncoderError(
                f"mels for {self.name} must be (N, 1, {NUM_MELS}, {MEL_FRAMES}), "
                f"got {tuple(mels.shape)}"
            )
        if not len(mels):
            return torch.zeros(0, self.dim)
        return self._runner.run_rows("sound", prepared, main="mels", tower=self._sound_tower)

    def _sound_tower(self, mels: Tensor) -> Tensor:
        return self._model.sound_vectors(mels, scale=self.sound_scale).float()

    def _reader(self) -> TextInputs:
        self._require("text")
        if self._texts is None:
            raise EncoderError(
                f"{self.name} was loaded without a tokenizer, so it cannot read texts",
                hint="give CLIP's, as a folder or as openai/clip-vit-large-patch14",
            )
        return self._texts

    def _require(self, sense: Sense) -> None:
        if sense not in self.senses:
            raise EncoderError(
                f"{self.name} was loaded without its {sense} tower (it has: "
                f"{', '.join(self.senses)})"
            )


def load_imagebind_encoder(
    weights: str | Path,
    *,
    sound_scale: SoundScale,
    senses: Sequence[Sense] = ("image", "sound", "text"),
    tokenizer: str | Path | None = None,
    config: ImageBindConfig | None = None,
    device: torch.device | str = "cpu",
) -> ImageBindEncoder:
    """Load ImageBind's towers from the published file.

    Args:
        weights: `imagebind_huge.pth`.
        sound_scale: "unit", or "published" for vectors of length 20 as Video-LLaMA's sound branch
            meets them; there is no default because its training met unit vectors.
        senses: which towers to keep in memory.
        tokenizer: folder or Hugging Face id of CLIP's tokenizer; texts cannot be read without.
        config: shapes, `imagebind_huge` where None.
        device: where the towers run.

    Raises:
        PublishedFileError: no such file, or not ImageBind's.
        EncoderUnavailableError: the tokenizer cannot be had.
        EncoderError: the tokenizer is not of CLIP's kind.
    """
    model = load_imagebind(weights, config=config, senses=senses)
    return ImageBindEncoder(
        model.to(device),
        files=published_files([weights], name=NAME),
        texts=None if tokenizer is None else _texts(tokenizer),
        sound_scale=sound_scale,
    )


def _texts(name: str | Path) -> TextInputs:
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise EncoderUnavailableError(
            f"the tokenizer {name} cannot be loaded: {error}",
            hint="give a folder with CLIP's tokenizer files",
        ) from error
    last = max(tokenizer.get_vocab().values(), default=-1)
    if tokenizer.eos_token_id != last or last >= VOCABULARY:  # a text is read at its highest id
        raise EncoderError(
            f"the tokenizer {name} is not CLIP's: its {last + 1} tokens do not end with the end of "
            f"a text, or are more than {VOCABULARY}",
            hint="give CLIP's, as a folder or as openai/clip-vit-large-patch14",
        )
    config = CLIPTextConfig(max_position_embeddings=MAX_TEXT_TOKENS)
    return TextInputs(tokenizer, config=config)
