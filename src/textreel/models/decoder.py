"""Frozen decoders: finding one, reading its hidden states, and its logits where they are wanted.

Shape letters: B samples, L positions, D model width, V vocabulary.
"""

import hashlib
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.utils import cached_file

from textreel.models import attention
from textreel.models.errors import CheckpointError, DecoderNotFoundError, DecoderUnsupportedError
from textreel.models.missing import way_out, why_missing

EMBEDDED = "embedded:"
"""Prefix of the names of models that come with the package, such as `embedded:tiny/decoder`."""
PROBE_IDS = (1, 2, 3, 1)


def load_decoder(name: str, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Load a decoder, frozen and with `attention.attend` as its attention.

    Args:
        name: see `locate`.
        dtype: of its weights.

    Raises:
        DecoderNotFoundError: nothing of that name here, and it cannot be fetched.
        CheckpointError: a file of its weights is cut off.
        DecoderUnsupportedError: see `prepare`.
    """
    where = locate(name)
    try:
        decoder = AutoModelForCausalLM.from_pretrained(where, dtype=dtype)
    except (OSError, ValueError) as error:
        raise DecoderNotFoundError(
            f"no decoder {name!r} ({why_missing(where, error)})",
            hint=way_out(where),
        ) from error
    except SafetensorError as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"decoder {name!r}: its weights cannot be loaded from {where}, a file of them is cut "
            f"off or no weights at all: {reason}",
            hint="get the whole folder again",
        ) from error
    return prepare(decoder)


def empty_decoder(name: str) -> PreTrainedModel:
    """Build a decoder from its config alone, on the meta device: shapes without numbers.

    Args:
        name: see `locate`.

    Raises:
        DecoderNotFoundError: nothing of that name here, and it cannot be fetched.
        DecoderUnsupportedError: see `prepare`.
    """
    return decoder_of(read_config(name))


def read_config(name: str) -> PretrainedConfig:
    """Read a decoder's config alone.

    Args:
        name: see `locate`.

    Raises:
        DecoderNotFoundError: nothing of that name here, and it cannot be fetched.
    """
    where = locate(name)
    try:
        return AutoConfig.from_pretrained(where)
    except (OSError, ValueError) as error:
        raise DecoderNotFoundError(
            f"no config of the decoder {name!r} ({why_missing(where, error)})",
            hint=way_out(where),
        ) from error


def decoder_of(config: PretrainedConfig) -> PreTrainedModel:
    """Build a decoder of a config on the meta device; see `empty_decoder`."""
    with torch.device("meta"):
        return prepare(AutoModelForCausalLM.from_config(config))


def locate(name: str, *, base: Path | None = None) -> str:
    """Say where the model called `name` is: a directory or a Hugging Face id.

    Args:
        name: `embedded:` and a path below the package's assets, a directory (relative ones are
            looked for below `base` first), or a Hugging Face id.
        base: a run's directory.
    """
    if name.startswith(EMBEDDED):
        return str(resources.files("textreel").joinpath("assets", name.removeprefix(EMBEDDED)))
    return name if base is None else beside(name, base)


def beside(name: str, base: Path) -> str:
    """Return `base / name` where that is there, and `name` as it is otherwise."""
    return str(base / name) if (base / name).exists() else name


def prepare(decoder: PreTrainedModel) -> PreTrainedModel:
    """Freeze a decoder and give it our attention; see `load_decoder`.

    Raises:
        DecoderUnsupportedError: its attention cannot be exchanged, or `logits` does not give what
            its own head gives.
    """
    if not getattr(decoder, "_supports_attention_backend", False):
        raise DecoderUnsupportedError(
            f"{type(decoder).__name__} does not go through transformers' attention interface",
            hint="choose a decoder of the Llama, Qwen, Gemma, OPT or GPT families",
        )
    decoder.set_attn_implementation(attention.NAME)
    decoder.requires_grad_(False)
    decoder.eval()
    _check_logits(decoder)
    return decoder


def run_body(
    decoder: PreTrainedModel, embeddings: Tensor, **kwargs: object
) -> BaseModelOutputWithPast:
    """Run all layers without the head; `last_hidden_state` is (B, L, D).

    Args:
        decoder: a prepared decoder.
        embeddings: (B, L, D).
        **kwargs: for the decoder's body: mask, positions, cache, `textreel`.
    """
    return decoder.base_model(inputs_embeds=embeddings, **kwargs)


def logits(decoder: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Apply the head to chosen hidden states.

    Args:
        decoder: a prepared decoder.
        hidden: (..., D), outputs of `run_body`.

    Returns:
        float32 (..., V), scaled and capped as the decoder's own `forward` does.
    """
    head = decoder.get_output_embeddings()
    config = decoder.config.get_text_config()
    out = head(hidden)
    if (factor := getattr(config, "logit_scale", None)) is not None:
        out = out * factor
    if (divisor := getattr(config, "logits_scaling", None)) is not None:
        out = out / divisor
    out = out.float()
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:
        out = torch.tanh(out / cap) * cap
    return out


@torch.no_grad()
def _check_logits(decoder: PreTrainedModel) -> None:
    """Compare `logits` with the decoder's own on four tokens; families differ in small ways."""
    if next(decoder.parameters()).is_meta:
        return
    ids = torch.tensor([PROBE_IDS], device=decoder.device)
    wanted = decoder(input_ids=ids, use_cache=False).logits.float()
    embeddings = decoder.get_input_embeddings()(ids)
    got = logits(decoder, run_body(decoder, embeddings, use_cache=False).last_hidden_state)
    tolerance = 1e-4 if decoder.dtype == torch.float32 else 5e-2
    size = wanted.abs().max().clamp(min=1.0)
    if (gap := ((got - wanted).abs().max() / size).item()) > tolerance:
        raise DecoderUnsupportedError(
            f"{type(decoder).__name__} makes its logits in a way not known here "
            f"(ours differ by {gap:.3g} of their size)",
            hint="choose a decoder of the Llama, Qwen, Gemma, OPT or GPT families",
        )


def embedding_rms(decoder: PreTrainedModel) -> float:
    """Return the root mean square of the numbers in the decoder's token embeddings.

    To six digits, from float64: the same on any number of threads, so that a run starts from the
    same bits.
    """
    table = decoder.get_input_embeddings()
    assert isinstance(table.weight, Tensor)
    if table.weight.is_meta:
        return 1.0
    sample = torch.arange(min(1024, len(table.weight)), device=table.weight.device)
    mean = table(sample).detach().double().square().mean()
    return float(f"{float(mean.sqrt()):.6g}")


def width(decoder: nn.Module) -> int:
    """Return D, the width of the decoder's token embeddings."""
    assert isinstance(decoder, PreTrainedModel)
    table = decoder.get_input_embeddings()
    assert isinstance(table.weight, Tensor)
    return int(table.weight.shape[1])


def max_positions(decoder: PreTrainedModel) -> int | None:
    """Return the most positions the decoder takes, or None where it names no limit."""
    limit = getattr(decoder.config.get_text_config(), "max_position_embeddings", None)
    return None if limit is None else int(limit)


BLOCK_BYTES, NUM_BLOCKS = 1 << 16, 256


def weight_fingerprint(name: str) -> str:
    """Name the weight files of a decoder by what is in them.

    Every file is read at 256 evenly spaced places of 64 KiB (so: wholly, up to 16 MiB), which tells
    other weights apart within a second whatever their size; it is no defence against forgery.

    Args:
        name: see `locate`.

    Returns:
        The first 16 hex digits of a sha256, or an empty string where there is no such file.
    """
    where = Path(locate(name))
    if not where.is_dir():
        config = _cached_config(name)
        if config is None:
            return ""
        where = Path(config).parent
    files = sorted(where.glob("*.safetensors"))
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        step = max(BLOCK_BYTES, size // NUM_BLOCKS)
        with path.open("rb") as file:
            for start in range(0, size, step):
                file.seek(start)
                digest.update(file.read(min(BLOCK_BYTES, step)))
    return digest.hexdigest()[:16] if files else ""


def _cached_config(name: str) -> str | None:
    """Return where the config of a Hugging Face id is cached, or None."""
    try:
        return cached_file(
            name, "config.json", local_files_only=True, _raise_exceptions_for_missing_entries=False
        )
    except OSError:  # not an id at all
        return None
