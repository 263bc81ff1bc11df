"""`VideoLlama`: pictures and sound through Q-Formers into one prompt of a frozen decoder.

    image features (B, T, P, F)  --Video Q-Former, linear-->  Q soft tokens
    sound features (B, K, 1, F)  --Audio Q-Former, linear-->  Q soft tokens
    both, in their places in the prompt  --frozen decoder-->  logits

Either branch may be missing. The places of soft tokens are told by masks (`image_slots`,
`sound_slots`): where a batch has features of a sense, every row has exactly Q places for it, in a
row. The decoder and the encoders are frozen; what learns is named by branch.

The published sound branch learns from pictures: give it picture vectors of ImageBind as
`sound.features`. Those have length 1, its sounds have length 20 (models/imagebind.py).

Source: arXiv:2306.02858; Video-LLaMA@64888c0, video_llama/models/video_llama.py `forward`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from textreel.models import checkpoint
from textreel.models import decoder as decoders
from textreel.models.attention import AttentionCall
from textreel.models.batch import IGNORE
from textreel.models.errors import BatchError, CheckpointError, ModelConfigError
from textreel.models.qformer_connector import QFormerConnector, QFormerConnectorConfig
from textreel.models.video_llama_checkpoint import Branch, BranchWeights

KIND = "textreel-video-llama"


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderSource:
    """Which frozen encoder a branch reads.

    Attributes:
        name: of the encoder, as its features carry it.
        revision: of its weights.
        weights: its published files, where they were when the run was written.
    """

    name: str = ""
    revision: str = ""
    weights: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoLlamaConfig:
    """Everything that rebuilds a `VideoLlama` around its decoder; JSON values only.

    Attributes:
        decoder: where the frozen decoder is; see `decoder.locate`.
        decoder_weights: its `decoder.weight_fingerprint`; empty where it came from no file.
        image: shape of the picture branch, None without one.
        sound: shape of the sound branch, None without one.
        image_encoder: whose features the picture branch reads.
        sound_encoder: whose features the sound branch reads.
    """

    decoder: str
    decoder_weights: str = ""
    image: QFormerConnectorConfig | None = None
    sound: QFormerConnectorConfig | None = None
    image_encoder: EncoderSource = field(default_factory=EncoderSource)
    sound_encoder: EncoderSource = field(default_factory=EncoderSource)

    def __post_init__(self) -> None:
        if self.image is None and self.sound is None:
            raise ModelConfigError("VideoLlamaConfig: neither a picture nor a sound branch")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Track:
    """Features of one sense for every row of a batch.

    Attributes:
        features: float (B, T, P, F).
        mask: bool (B, T), false at padding steps; None: no padding.
        times_s: float (B, T), seconds, where positions are made from them.
    """

    features: Tensor
    mask: Tensor | None = None
    times_s: Tensor | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SensesBatch:
    """Prompts with places for soft tokens of two senses; rows are padded on the right.

    Attributes:
        input_ids: int64 (B, L); any valid id where soft tokens go.
        labels: int64 (B, L), the id wanted AT this position, `IGNORE` elsewhere.
        ids: one name per row, for messages.
        image_slots: bool (B, L), or None.
        sound_slots: bool (B, L), or None.
        image: what the picture branch reads, or None.
        sound: what the sound branch reads, or None.
    """

    input_ids: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    image_slots: Tensor | None = None
    sound_slots: Tensor | None = None
    image: Track | None = None
    sound: Track | None = None


class VideoLlama(nn.Module):
    """A frozen decoder that watches and listens through trained Q-Formers.

    Args:
        decoder: loaded by `decoder.load_decoder`, or given to `decoder.prepare`.
        config: the shapes.
        generator: draws the start values; None: one seeded with 0.
    """

    def __init__(
        self,
        decoder: PreTrainedModel,
        config: VideoLlamaConfig,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.config, self.decoder = config, decoder
        shapes = {"image": config.image, "sound": config.sound}
        width = decoders.width(decoder)
        self.branches = nn.ModuleDict(
            {
                name: QFormerConnector(shape, model_dim=width, generator=generator)
                for name, shape in shapes.items()
                if shape is not None
            }
        )
        self.branches.to(decoder.device)
        self.train(False)

    def train(self, mode: bool = True) -> "VideoLlama":
        """Switch the branches to training; the frozen decoder keeps no dropout."""
        super().train(mode)
        self.decoder.eval()
        return self

    def branch(self, name: Branch) -> QFormerConnector:
        """Return one branch.

        Raises:
            ModelConfigError: this model has no such branch.
        """
        if name not in self.branches:
            raise ModelConfigError(f"this model has no {name} branch")
        found = self.branches[name]
        assert isinstance(found, QFormerConnector)
        return found

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that learn."""
        return (p for p in self.parameters() if p.requires_grad)

    def soft_tokens(self, name: Branch, track: Track) -> Tensor:
        """Return (B, Q, D), what the decoder reads of one sense."""
        return self.branch(name)(track.features, mask=track.mask, times_s=track.times_s)

    def embeddings(self, batch: SensesBatch) -> Tensor:
        """Return (B, L, D) with soft tokens in their places.

        Raises:
            BatchError: places that do not match the soft tokens, or are not in a row.
        """
        with torch.no_grad():
            embedded: Tensor = self.decoder.get_input_embeddings()(batch.input_ids)
        senses: tuple[tuple[Branch, Tensor | None, Track | None], ...] = (
            ("image", batch.image_slots, batch.image),
            ("sound", batch.sound_slots, batch.sound),
        )
        for name, slots, track in senses:
            if track is None:
                if slots is not None and bool(slots.any()):
                    raise BatchError(f"places for {name} tokens in a batch without {name} features")
                continue
            soft = self.soft_tokens(name, track)
            slots = torch.zeros_like(batch.input_ids, dtype=torch.bool) if slots is None else slots
            _check_slots(slots, name=name, wanted=soft.shape[1], ids=batch.ids)
            where = slots[..., None].expand_as(embedded)
            embedded = embedded.masked_scatter(where, soft.to(embedded.dtype))
        return embedded

    def loss(self, batch: SensesBatch) -> Tensor:
        """Return the mean cross-entropy over all targets, a float32 scalar in nats.

        Raises:
            BatchError: no target, or places that do not match the soft tokens.
        """
        wanted = batch.labels[:, 1:]
        is_target = wanted != IGNORE
        if not bool(is_target.any()):
            raise BatchError(f"no target among {len(batch.ids)} prompts of two senses")
        out = decoders.run_body(
            self.decoder,
            self.embeddings(batch),
            textreel=AttentionCall(kernel="sdpa"),
            use_cache=False,
        )
        hidden = out.last_hidden_state[:, :-1][is_target]
        return cross_entropy(decoders.logits(self.decoder, hidden), wanted[is_target])

    def load_branch(self, name: Branch, weights: BranchWeights, *, path: str | Path) -> None:
        """Take a released branch.

        Args:
            name: which one.
            weights: as `read_branch` returned them.
            path: the file, for messages.

        Raises:
            CheckpointError: it was trained on a decoder of another width.
        """
        check_width(weights, width=decoders.width(self.decoder), path=path)
        self.branch(name).load_state_dict(weights.tensors)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` and `model.safetensors` (the branches only), atomically."""
        tensors = {name: p.detach() for name, p in self.branches.named_parameters()}
        checkpoint.save(directory, config=self.config, tensors=tensors, kind=KIND)

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        *,
        decoder: PreTrainedModel | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "VideoLlama":
        """Read a saved model and load its decoder.

        Args:
            directory: what `save_pretrained` wrote.
            decoder: a prepared decoder; None: the one the config names.
            dtype: of the decoder's weights.

        Raises:
            CheckpointError: the folder holds no such model, or its tensors do not fit.
            DecoderNotFoundError: see `decoder.load_decoder`.
        """
        config = _config(checkpoint.read_header(directory, kind=KIND), directory)
        config = replace(config, decoder=decoders.beside(config.decoder, Path(directory)))
        if decoder is None:
            decoder = checkpoint.load_decoder(config, dtype=dtype)
        model = cls(decoder, config)
        checkpoint.load_tensors(directory, model.branches)
        return model


def check_width(weights: BranchWeights, *, width: int, path: str | Path) -> None:
    """Refuse a released branch that was trained on a decoder of another width.

    Raises:
        CheckpointError: names both widths.
    """
    if weights.model_dim != width:
        raise CheckpointError(
            f"{path} was trained on a decoder of width {weights.model_dim}, this one has {width}",
            hint="give the decoder it was trained on (4096 wide: 7B, 5120: 13B)",
        )


def _config(values: dict[str, Any], directory: str | Path) -> VideoLlamaConfig:
    try:
        for name in ("image", "sound"):
            if values[name] is not None:
                values[name] = QFormerConnectorConfig(**values[name])
            source = values[f"{name}_encoder"]
            values[f"{name}_encoder"] = EncoderSource(
                **{**source, "weights": tuple(source["weights"])}
            )
        return VideoLlamaConfig(**values)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{directory}: fields are not those of VideoLlamaConfig ({error})"
        ) from error


def _check_slots(slots: Tensor, *, name: str, wanted: int, ids: tuple[str, ...]) -> None:
    """Refuse rows that have some, but not exactly `wanted` places, all in a row."""
    counts = slots.sum(1)
    if wrong := (counts != wanted).nonzero().flatten().tolist():
        row = wrong[0]
        raise BatchError(
            f"{len(wrong)} of {len(ids)} prompts have another number of {name} places than the "
            f"{wanted} soft tokens (first: {ids[row]}, {int(counts[row])})",
            hint="keep as many places as the branch makes soft tokens",
        )
    edges = (slots[:, 1:] & ~slots[:, :-1]).sum(1) + slots[:, 0]
    if split := (edges != 1).nonzero().flatten().tolist():
        raise BatchError(
            f"{len(split)} of {len(ids)} prompts have {name} places that are not in a row "
            f"(first: {ids[split[0]]})"
        )
