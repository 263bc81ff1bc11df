"""`TrackLM`: features -> connector -> any Hugging Face decoder. TOPA's and Video-LLaMA's family.

    Batch --bridge (inference)--> connector --> soft tokens in the prompt --> frozen decoder
                                                                              + adapter

The decoder is frozen; a connector and, if wanted, an adapter learn. Logits are made only where
there are targets: vocabularies are 32k to 256k wide, targets are few. Rows are padded on the right,
and attention is causal, so no real position ever sees padding and no mask is needed.

Shape letters as in `batch.py`; R targets in a batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from textreel.models import checkpoint
from textreel.models import decoder as decoders
from textreel.models.adapters import GatedAdapter, add_lora
from textreel.models.attention import AttentionCall, Kernel, PromptCache
from textreel.models.batch import IGNORE, Batch
from textreel.models.bridges import Identity
from textreel.models.config import TrackLMConfig
from textreel.models.connectors import LinearConnector
from textreel.models.errors import BatchError
from textreel.models.generate import Sampling, generate_tokens
from textreel.models.published import alter_decoder, pad_frames
from textreel.models.scoring import Options, OptionScores, score_options
from textreel.models.token_losses import decoder_losses

ROWS_MULTIPLE = 16
"""Target rows are padded to a multiple of this: few shapes for the matrix library to remember."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prompted:
    """A batch ready to go through the decoder's body.

    Attributes:
        embeddings: (B, L, D), soft tokens in place.
        call: what the layers are told; made for these L positions.
        lengths: int64 (B,), real positions of each row.
    """

    embeddings: Tensor
    call: AttentionCall
    lengths: Tensor


class TrackLM(nn.Module):
    """A frozen decoder that reads features through a trained connector.

    Args:
        decoder: loaded by `decoder.load_decoder`, or any model given to `decoder.prepare`.
        config: the shapes.
        generator: draws the start values; None: one seeded with 0.

    Attributes:
        bridge: applied to features in `generate` and `score`, never in `loss`.
        kernel: how attention is computed, `sdpa` or `eager`; same numbers, other speed.
    """

    def __init__(
        self,
        decoder: PreTrainedModel,
        config: TrackLMConfig,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.config = config
        self.decoder = decoder
        if config.published is not None:
            alter_decoder(decoder, config.published, num_layers=config.gated.num_layers)
        self.connector = LinearConnector(
            config.connector,
            model_dim=decoders.width(decoder),
            generator=generator,
            embedding_rms=decoders.embedding_rms(decoder),
        )
        self.adapter: GatedAdapter | None = None
        if config.adapter == "gated":
            self.adapter = GatedAdapter(config.gated, decoder=decoder, generator=generator)
        elif config.adapter == "lora":
            add_lora(decoder, config.lora, generator=generator)
        self.connector.to(decoder.device)
        if self.adapter is not None:
            self.adapter.to(decoder.device)
        self.bridge: nn.Module = Identity()
        self.kernel: Kernel = "sdpa"
        self.train(False)

    def train(self, mode: bool = True) -> "TrackLM":
        """Switch the trained parts to training; the frozen decoder keeps no dropout."""
        super().train(mode)
        self.decoder.eval()
        for module in self.decoder.modules():
            if isinstance(dropout := getattr(module, "lora_dropout", None), nn.Module):
                dropout.train(mode)
        return self

    def num_soft_tokens(self, num_frames: int) -> int:
        """Return the places that a video of `num_frames` frames takes in a prompt."""
        if self._pads_frames:
            num_frames = max(num_frames, self.config.connector.max_frames)
        return self.connector.num_soft_tokens(num_frames)

    @property
    def _pads_frames(self) -> bool:
        return self.config.published is not None and self.config.published.padded_frames

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that learn."""
        return (p for p in self.parameters() if p.requires_grad)

    def trainable_state_dict(self) -> dict[str, Tensor]:
        """Return the tensors that learn, by name; the decoder's own are not among them."""
        return {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}

    def prompted(self, batch: Batch, *, bridged: bool) -> Prompted:
        """Write soft tokens into the prompt and prepare what the layers are told.

        Args:
            batch: on the model's device.
            bridged: whether features pass the bridge first (inference).

        Raises:
            BatchError: slots do not match soft tokens, or the prompt is longer than the decoder
                takes.
        """
        limit = decoders.max_positions(self.decoder)
        if limit is not None and (length := batch.input_ids.shape[1]) > limit:
            worst = batch.ids[int(batch.attention_mask.sum(1).argmax())]
            raise BatchError(
                f"{worst}: a prompt of {length} positions, but the decoder takes {limit}",
                hint="ask a shorter question, use fewer frames or another decoder",
            )
        with torch.no_grad():
            embeddings = self.decoder.get_input_embeddings()(batch.input_ids)
        soft = self._soft_tokens(batch, bridged=bridged)
        if soft is not None:
            where = batch.video_slots[..., None].expand_as(embeddings)
            embeddings = embeddings.masked_scatter(where, soft.to(embeddings.dtype))
        return Prompted(
            embeddings=embeddings,
            call=self._call(batch.video_slots),
            lengths=batch.attention_mask.sum(1),
        )

    def _soft_tokens(self, batch: Batch, *, bridged: bool) -> Tensor | None:
        """Return the soft tokens of real frames, (slots in the batch, D), or None."""
        slots = batch.video_slots.sum(1)
        if batch.features is None or batch.feature_mask is None:
            if int(slots.sum()):
                raise BatchError(f"{int(slots.sum())} video slots in a batch without features")
            return None
        per_frame = self.config.connector.tokens_per_frame
        features, mask = batch.features, batch.feature_mask
        if self._pads_frames:
            num_frames = self.config.connector.max_frames
            features, mask = pad_frames(features, mask, num_frames=num_frames)
        wanted = mask.sum(1) * per_frame
        if wrong := (slots != wanted).nonzero().flatten().tolist():
            row = wrong[0]
            raise BatchError(
                f"{len(wrong)} of {len(batch.ids)} prompts have another number of video slots than "
                f"soft tokens (first: {batch.ids[row]}, {int(slots[row])} slots, "
                f"{int(wanted[row])} soft tokens)",
                hint="collate with this model's own num_soft_tokens",
            )
        if bridged:
            features = self.bridge(features, mask, empty_frames=self._pads_frames)
        soft = self.connector(features, times_s=batch.times_s)
        return soft[mask.repeat_interleave(per_frame, dim=1)]

    def _call(self, video: Tensor) -> AttentionCall:
        """Say which positions are video and which come after one."""
        if self.adapter is None:
            return AttentionCall(kernel=self.kernel)
        after = (video.cumsum(1) > 0) & ~video
        make = self.adapter if torch.is_grad_enabled() else PromptCache(self.adapter)
        return AttentionCall(kernel=self.kernel, prompt=make, after_video=after, video=video)

    @property
    def _ignored_id(self) -> int:
        published = self.config.published
        if published is None or published.ignored_id is None:
            return IGNORE
        return published.ignored_id

    def token_losses(self, batch: Batch, *, bridged: bool = False) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy of every target, and which row each belongs to.

        Args:
            batch: on the model's device.
            bridged: whether features pass the bridge (never in training).

        Returns:
            float32 (R,) in nats, and int64 (R,) row numbers, in order of row and position.

        Raises:
            BatchError: the batch has no target; see `prompted` for others.
        """
        prompted = self.prompted(batch, bridged=bridged)
        wanted = batch.labels[:, 1:]
        is_target = (wanted != IGNORE) & (wanted != self._ignored_id)
        if not bool(is_target.any()):
            raise BatchError(f"no target among {len(batch.ids)} prompts (first: {batch.ids[0]})")
        out = decoders.run_body(
            self.decoder, prompted.embeddings, textreel=prompted.call, use_cache=False
        )
        hidden = out.last_hidden_state
        hidden, labels = hidden[:, :-1][is_target], wanted[is_target]
        rows = is_target.nonzero()[:, 0]
        return decoder_losses(self.decoder, hidden, labels, multiple=ROWS_MULTIPLE), rows

    def forward(self, batch: Batch) -> Tensor:
        """Return `loss(batch)`; what wrappers for several devices call."""
        return self.loss(batch)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy over all targets of the batch, a float32 scalar in nats.

        Errors as `token_losses`.
        """
        return self.token_losses(batch)[0].mean()

    @torch.no_grad()
    def score(self, batch: Batch, options: Sequence[Options]) -> list[OptionScores]:
        """Say how likely each option is in the place where its prompt ends.

        Args:
            batch: prompts that end where the answer begins, on the model's device.
            options: for each prompt, the token ids of its options (`EncodedChoice.options`).

        Errors as `scoring.score_options` and `prompted`.
        """
        prompted = self.prompted(batch, bridged=True)
        return score_options(
            self.decoder,
            embeddings=prompted.embeddings,
            lengths=prompted.lengths,
            call=prompted.call,
            options=options,
            published=self.config.published,
        )

    @torch.no_grad()
    def generate(
        self, batch: Batch, *, max_new_tokens: int, sampling: Sampling | None = None
    ) -> list[list[int]]:
        """Continue each prompt; see `generate.generate_tokens`.

        Args:
            batch: prompts that end where the answer begins, on the model's device.
            max_new_tokens: at most so many tokens each.
            sampling: how tokens are chosen; None: the likeliest, until the decoder's end of text.
        """
        prompted = self.prompted(batch, bridged=True)
        return generate_tokens(
            self.decoder,
            embeddings=prompted.embeddings,
            lengths=prompted.lengths,
            call=prompted.call,
            max_new_tokens=max_new_tokens,
            sampling=sampling or Sampling(),
        )

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` and `model.safetensors` (trained tensors only), atomically."""
        checkpoint.save(directory, config=self.config, tensors=self.trainable_state_dict())

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        *,
        decoder: PreTrainedModel | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "TrackLM":
        """Read a saved model and load its decoder.

        Args:
            directory: what `save_pretrained` wrote.
            decoder: another place of the same decoder, or a prepared decoder; None: where the
                config says, relative paths counting from `directory`.
            dtype: of the decoder's weights; trained parts are float32.

        Raises:
            CheckpointError: tensors are missing, left over or of another shape, the decoder's
                weights are not those it was trained on, or the folder holds no such model.
            DecoderNotFoundError: see `decoder.load_decoder`.
        """
        config = checkpoint.read_config(directory)
        name = decoder if isinstance(decoder, str) else config.decoder
        config = replace(config, decoder=decoders.beside(name, Path(directory)))
        if not isinstance(decoder, PreTrainedModel):
            decoder = checkpoint.load_decoder(config, dtype=dtype)
        model = cls(decoder, config)
        checkpoint.load_tensors(directory, model)
        return model
