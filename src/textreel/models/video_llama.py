"""`VideoLlama`: pictures and sound through Q-Formers into one prompt of a frozen decoder.

    image features (B, T, P, F)  --Video Q-Former, linear-->  Q soft tokens
    sound features (B, K, 1, F)  --Audio Q-Former, linear-->  Q soft tokens
    both, in their places in the prompt  --frozen decoder-->  logits

Either branch may be missing. The places of soft tokens are told by masks (`image_slots`,
`sound_slots`): where a batch has features of a sense, every row has exactly Q places for it, in a
row. The decoder and the encoders are frozen; what learns is named (`learn`): `image`, `sound`, and,
where the config has one, the `adapter` (LoRA, not in the paper).

The published sound branch learns from pictures: give it picture vectors of ImageBind as
`sound.features`. Those have length 1, its sounds have length 20 (models/imagebind.py).

Source: arXiv:2306.02858; Video-LLaMA@64888c0, video_llama/models/video_llama.py `forward`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from textreel.models import checkpoint
from textreel.models import decoder as decoders
from textreel.models.adapters import LoraSettings, add_lora
from textreel.models.attention import AttentionCall, Kernel
from textreel.models.batch import IGNORE
from textreel.models.bridges import Identity
from textreel.models.errors import BatchError, CheckpointError, ModelConfigError
from textreel.models.generate import Sampling, generate_tokens
from textreel.models.qformer_connector import QFormerConnector, QFormerConnectorConfig
from textreel.models.scoring import Options, OptionScores, score_options
from textreel.models.senses_batch import SensesBatch, Track, check_slots
from textreel.models.token_losses import decoder_losses
from textreel.models.track_lm import Prompted
from textreel.models.video_llama_checkpoint import Branch, BranchWeights

__all__ = ["EncoderSource", "SensesBatch", "Track", "VideoLlama", "VideoLlamaConfig", "check_width"]

KIND = "textreel-video-llama"


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderSource:
    """Which frozen encoder a branch reads.

    Attributes:
        name: of the encoder, as its features carry it.
        revision: of its weights.
        weights: its published files, or the one folder or Hugging Face id of an encoder that goes
            by its own name, where they were when the run was written.
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
        lora: low-rank updates of the decoder's linear maps; None, as published, for none.
    """

    decoder: str
    decoder_weights: str = ""
    image: QFormerConnectorConfig | None = None
    sound: QFormerConnectorConfig | None = None
    image_encoder: EncoderSource = field(default_factory=EncoderSource)
    sound_encoder: EncoderSource = field(default_factory=EncoderSource)
    lora: LoraSettings | None = None

    def __post_init__(self) -> None:
        if self.image is None and self.sound is None:
            raise ModelConfigError("VideoLlamaConfig: neither a picture nor a sound branch")


class VideoLlama(nn.Module):
    """A frozen decoder that watches and listens through trained Q-Formers.

    Args:
        decoder: loaded by `decoder.load_decoder`, or given to `decoder.prepare`.
        config: the shapes.
        generator: draws the start values; None: one seeded with 0.

    Attributes:
        bridges: what features of a sense pass in `generate` and `score`, never in `loss`.
        kernel: how attention is computed, `sdpa` or `eager`; same numbers, other speed.
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
        if config.lora is not None:
            add_lora(decoder, config.lora, generator=generator)
        self.bridges = nn.ModuleDict({name: Identity() for name in self.branches})
        self.kernel: Kernel = "sdpa"
        self.train(False)

    def train(self, mode: bool = True) -> "VideoLlama":
        """Switch the branches that learn to training; what is frozen keeps no dropout."""
        super().train(mode)
        self.decoder.eval()
        for module in self.decoder.modules():
            if isinstance(dropout := getattr(module, "lora_dropout", None), nn.Module):
                dropout.train(mode and any(p.requires_grad for p in module.parameters()))
        for branch in self.branches.values():
            if not any(p.requires_grad for p in branch.parameters()):
                branch.eval()
        return self

    def learn(self, names: Sequence[str]) -> None:
        """Say what learns; everything else is frozen.

        Args:
            names: among `image`, `sound` and `adapter`.

        Raises:
            ModelConfigError: a name of something that this model does not have, or none.
        """
        parts: dict[str, list[nn.Parameter]] = {
            name: list(branch.parameters()) for name, branch in self.branches.items()
        }
        if adapter := [p for n, p in self.decoder.named_parameters() if "lora_" in n]:
            parts["adapter"] = adapter
        if not names or (unknown := [name for name in names if name not in parts]):
            raise ModelConfigError(
                f"this model cannot train {', '.join(unknown) if names else 'nothing'}",
                hint=f"it has {', '.join(parts)}",
            )
        for name, parameters in parts.items():
            for parameter in parameters:
                parameter.requires_grad_(name in names)

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

    def embeddings(self, batch: SensesBatch, *, bridged: bool = False) -> Tensor:
        """Return (B, L, D) with soft tokens in their places.

        Args:
            batch: on the model's device.
            bridged: whether features pass their bridges first (inference).

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
            soft = self.soft_tokens(name, self._crossed(name, track) if bridged else track)
            slots = torch.zeros_like(batch.input_ids, dtype=torch.bool) if slots is None else slots
            check_slots(slots, name=name, wanted=soft.shape[1], ids=batch.ids)
            where = slots[..., None].expand_as(embedded)
            embedded = embedded.masked_scatter(where, soft.to(embedded.dtype))
        return embedded

    def _crossed(self, name: Branch, track: Track) -> Track:
        mask = track.mask
        if mask is None:
            mask = torch.ones(track.features.shape[:2], dtype=torch.bool, device=self._device)
        bridge = self.bridges[name]
        return replace(track, features=bridge(track.features, mask, empty_frames=False))

    @property
    def _device(self) -> torch.device:
        return self.decoder.device

    def prompted(self, batch: SensesBatch, *, bridged: bool) -> Prompted:
        """Write soft tokens into the prompt; arguments and errors as `embeddings`.

        Raises:
            BatchError: the prompt is longer than the decoder takes.
        """
        limit = decoders.max_positions(self.decoder)
        if limit is not None and (length := batch.input_ids.shape[1]) > limit:
            worst = batch.ids[int(batch.lengths.argmax())]
            raise BatchError(
                f"{worst}: a prompt of {length} positions with what is seen and heard, but the "
                f"decoder takes {limit}",
                hint="ask a shorter question, or use another decoder",
            )
        return Prompted(
            embeddings=self.embeddings(batch, bridged=bridged),
            call=AttentionCall(kernel=self.kernel),
            lengths=batch.lengths,
        )

    @torch.no_grad()
    def score(self, batch: SensesBatch, options: Sequence[Options]) -> list[OptionScores]:
        """Say how likely each option is in the place where its prompt ends.

        Args:
            batch: prompts that end where the answer begins, on the model's device.
            options: for each prompt, the token ids of its options.

        Errors as `scoring.score_options` and `prompted`.
        """
        prompted = self.prompted(batch, bridged=True)
        return score_options(
            self.decoder,
            embeddings=prompted.embeddings,
            lengths=prompted.lengths,
            call=prompted.call,
            options=options,
        )

    @torch.no_grad()
    def generate(
        self, batch: SensesBatch, *, max_new_tokens: int, sampling: Sampling | None = None
    ) -> list[list[int]]:
        """Continue each prompt; see `generate.generate_tokens`, and `TrackLM.generate`."""
        prompted = self.prompted(batch, bridged=True)
        return generate_tokens(
            self.decoder,
            embeddings=prompted.embeddings,
            lengths=prompted.lengths,
            call=prompted.call,
            max_new_tokens=max_new_tokens,
            sampling=sampling or Sampling(),
        )

    def forward(self, batch: SensesBatch) -> Tensor:
        """Return `loss(batch)`; what wrappers for several devices call."""
        return self.loss(batch)

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
            textreel=AttentionCall(kernel=self.kernel),
            use_cache=False,
        )
        hidden = out.last_hidden_state[:, :-1][is_target]
        return decoder_losses(self.decoder, hidden, wanted[is_target]).mean()

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
        """Write `config.json` and `model.safetensors` (branches and adapter), atomically."""
        tensors = {name: p.detach() for name, p in self.learned().items()}
        checkpoint.save(directory, config=self.config, tensors=tensors, kind=KIND)

    def learned(self) -> dict[str, nn.Parameter]:
        """Return everything that is not the frozen decoder's own, by name."""
        found = dict(self.branches.named_parameters())
        updates = {n: p for n, p in self.decoder.named_parameters() if "lora_" in n}
        return found | {f"decoder.{name}": p for name, p in updates.items()}

    def load_learned(self, directory: str | Path) -> None:
        """Read branches and adapter from a folder that `save_pretrained` wrote.

        Raises:
            CheckpointError: its tensors do not fit.
        """
        checkpoint.load_named(directory, self.learned())

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
        config = read_video_llama_config(directory)
        config = replace(config, decoder=decoders.beside(config.decoder, Path(directory)))
        if decoder is None:
            decoder = checkpoint.load_decoder(config, dtype=dtype)
        model = cls(decoder, config)
        model.load_learned(directory)
        return model


def read_video_llama_config(directory: str | Path) -> VideoLlamaConfig:
    """Read a saved model's config.

    Raises:
        CheckpointError: the folder holds no such model.
    """
    return _config(checkpoint.read_header(directory, kind=KIND), directory)


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
        if (lora := values.get("lora")) is not None:
            values["lora"] = LoraSettings(**{**lora, "targets": tuple(lora["targets"])})
        return VideoLlamaConfig(**values)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{directory}: fields are not those of VideoLlamaConfig ({error})"
        ) from error
