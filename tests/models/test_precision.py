"""What the weights of a frozen model are held in."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from tests.models.tiny_decoders import make_decoder
from textreel.models.errors import DecoderNotFoundError, ModelConfigError
from textreel.models.precision import decoder_dtype, named_dtype, precision_note, stored_dtype


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
def test_a_decoder_is_float32_on_a_processor_and_as_stored_elsewhere(
    stored: torch.dtype, tmp_path: Path
) -> None:
    make_decoder().to(stored).save_pretrained(tmp_path)
    name = str(tmp_path)
    assert decoder_dtype(name, precision="auto", device="cpu") == torch.float32
    for device in ("cuda", "cuda:1", "mps"):
        assert decoder_dtype(name, precision="auto", device=device) == stored
        assert decoder_dtype(name, precision="fp32", device=device) == torch.float32
    assert decoder_dtype(name, precision="bf16", device="cpu") == torch.bfloat16


def test_a_decoder_that_is_not_here_is_named(tmp_path: Path) -> None:
    name = str(tmp_path / "none")
    with pytest.raises(
        DecoderNotFoundError, match=r"no config of the decoder .* \(there is no folder"
    ):
        decoder_dtype(name, precision="auto", device="cuda")
    assert decoder_dtype(name, precision="auto", device="cpu") == torch.float32


def test_an_unknown_precision_is_refused_with_those_there_are() -> None:
    with pytest.raises(ModelConfigError, match="there is no precision 'fp8'") as error:
        named_dtype("fp8")  # type: ignore[arg-type]
    assert error.value.hint == "one of auto, fp32, bf16"
    assert named_dtype("auto") is None


def test_a_config_names_a_type_in_words_or_not_at_all() -> None:
    config = LlamaConfig()
    for said, meant in (
        ("bfloat16", torch.bfloat16),
        (torch.float16, torch.float16),
        (None, torch.float32),
        ("nothing_known", torch.float32),
    ):
        config.dtype = said
        assert stored_dtype(config) == meant


def test_only_what_is_not_float32_is_said() -> None:
    assert precision_note(torch.float32) == ""
    assert precision_note(torch.bfloat16) == "decoder in bfloat16"
