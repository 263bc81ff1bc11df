"""The tokenizer of a decoder, found by the decoder's name; and writing one of our own."""

import json
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from textreel.models.decoder import locate
from textreel.models.errors import DecoderNotFoundError, DecoderUnsupportedError
from textreel.models.missing import way_out, why_missing

PLAIN_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Names of transformers' class for any `tokenizer.json`, of version 4 and of version 5."""


def load_tokenizer(name: str, *, base: Path | None = None) -> PreTrainedTokenizerFast:
    """Load the fast tokenizer that lies beside a decoder.

    Args:
        name: see `decoder.locate`.
        base: see `decoder.locate`.

    Raises:
        DecoderNotFoundError: nothing of that name here, and it cannot be fetched.
        DecoderUnsupportedError: the decoder has a slow tokenizer only.
    """
    where = locate(name, base=base)
    try:
        tokenizer = _class_of(where).from_pretrained(where)
    except (OSError, ValueError) as error:
        raise DecoderNotFoundError(
            f"no tokenizer of the decoder {name!r} ({why_missing(where, error)})",
            hint=way_out(where),
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise DecoderUnsupportedError(
            f"the decoder {name!r} has a slow tokenizer only, which does not say where its tokens "
            f"stand",
            hint="choose a decoder with a tokenizer.json",
        )
    return tokenizer


def chat_template_of(name: str) -> str | None:
    """Return the chat template of a decoder's tokenizer; None where either is missing."""
    try:
        found = load_tokenizer(name).chat_template
    except (DecoderNotFoundError, DecoderUnsupportedError):
        return None
    return found if isinstance(found, str) else None


def _class_of(where: str) -> type[AutoTokenizer] | type[PreTrainedTokenizerFast]:
    """Return what reads a folder's tokenizer.

    For some decoders (Qwen2 among them) `AutoTokenizer` takes the family's own class whatever the
    settings say, and rebuilds a word-level tokenizer as byte pairs. A folder that names the plain
    class is taken at its word.
    """
    settings = Path(where) / "tokenizer_config.json"
    if not settings.is_file():
        return AutoTokenizer
    named = json.loads(settings.read_text(encoding="utf-8")).get("tokenizer_class")
    return PreTrainedTokenizerFast if named in PLAIN_CLASSES else AutoTokenizer


def save_tokenizer(
    tokenizer: Tokenizer, folder: Path, *, pad: str, bos: str, eos: str, unk: str, longest: int
) -> None:
    """Write a tokenizer as Hugging Face's files, `tokenizer.json` and its settings.

    Args:
        tokenizer: knows the four special tokens.
        folder: takes the files; others in it are left alone.
        pad: fills rows.
        bos: begins a text.
        eos: ends an answer.
        unk: stands for a word that is not known.
        longest: the most tokens that the model beside it takes.
    """
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        bos_token=bos,
        eos_token=eos,
        unk_token=unk,
        model_max_length=longest,
    )
    wrapped.save_pretrained(folder)
