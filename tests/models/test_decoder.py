"""Decoders: frozen, with our attention and our logits; where they are and what they hash to."""

from pathlib import Path

import pytest
import torch

from tests.models.tiny_decoders import FAMILIES, config_of, make_decoder
from textreel.models import attention
from textreel.models import decoder as decoders
from textreel.models.errors import CheckpointError, DecoderNotFoundError, DecoderUnsupportedError


@pytest.mark.parametrize("family", FAMILIES)
def test_prepared_decoders_are_frozen_and_give_their_own_logits(family) -> None:
    decoder = make_decoder(family)
    assert not any(p.requires_grad for p in decoder.parameters())
    assert not decoder.training
    assert decoder.config._attn_implementation == attention.NAME
    ids = torch.tensor([[3, 9, 27, 31, 4]])
    with torch.no_grad():
        hidden = decoders.run_body(decoder, decoder.get_input_embeddings()(ids)).last_hidden_state
        torch.testing.assert_close(decoders.logits(decoder, hidden), decoder(ids).logits)


def test_scaled_heads_are_known() -> None:
    from transformers import AutoModelForCausalLM, CohereConfig, GraniteConfig

    shape = {
        "vocab_size": 50,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "intermediate_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    ids = torch.tensor([[3, 9, 27, 31, 4]])
    for config in (
        CohereConfig(**shape, logit_scale=0.3),
        GraniteConfig(**shape, logits_scaling=4),
    ):
        decoder = decoders.prepare(AutoModelForCausalLM.from_config(config))
        with torch.no_grad():
            embeddings = decoder.get_input_embeddings()(ids)
            hidden = decoders.run_body(decoder, embeddings).last_hidden_state
            torch.testing.assert_close(decoders.logits(decoder, hidden), decoder(ids).logits)


def test_a_head_that_is_not_known_is_refused() -> None:
    decoder = make_decoder()
    forward = decoder.forward

    def doubled(**kwargs):
        out = forward(**kwargs)
        out.logits = out.logits * 2
        return out

    decoder.forward = doubled
    with pytest.raises(DecoderUnsupportedError, match="makes its logits in a way not known here"):
        decoders.prepare(decoder)


def test_a_decoder_outside_the_attention_interface_is_refused() -> None:
    decoder = make_decoder()
    decoder._supports_attention_backend = False
    with pytest.raises(
        DecoderUnsupportedError, match="does not go through transformers' attention"
    ):
        decoders.prepare(decoder)


def test_meta_decoders_have_shapes_only() -> None:
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        decoder = AutoModelForCausalLM.from_config(config_of("llama"))
    decoders.prepare(decoder)
    assert decoders.width(decoder) == 32
    assert decoders.embedding_rms(decoder) == 1.0
    assert decoders.max_positions(decoder) == 128


def test_the_size_of_embeddings() -> None:
    decoder = make_decoder(std=0.3)
    assert decoders.embedding_rms(decoder) == pytest.approx(0.3, rel=0.05)
    scaled = make_decoder("gemma3", std=0.3)  # its embedding layer multiplies by sqrt(width)
    assert decoders.embedding_rms(scaled) == pytest.approx(0.3 * 32**0.5, rel=0.05)


def test_where_a_decoder_is(tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    assert decoders.locate("near", base=tmp_path) == str(tmp_path / "near")
    assert decoders.locate("org/model", base=tmp_path) == "org/model"
    assert decoders.beside("embedded:tiny", tmp_path) == "embedded:tiny"
    embedded = Path(decoders.locate("embedded:tiny/decoder"))
    assert embedded.parts[-4:] == ("textreel", "assets", "tiny", "decoder")


def test_fingerprints_know_the_weights(tmp_path: Path) -> None:
    make_decoder().save_pretrained(tmp_path / "a")
    make_decoder().save_pretrained(tmp_path / "b")
    make_decoder(std=0.2).save_pretrained(tmp_path / "c")
    first, same, other = (decoders.weight_fingerprint(str(tmp_path / name)) for name in "abc")
    assert first == same != other
    assert decoders.weight_fingerprint("no/such-model-anywhere") == ""
    assert decoders.weight_fingerprint(str(tmp_path)) == ""


def test_a_decoder_that_is_not_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(DecoderNotFoundError, match="no decoder 'no/such-model-anywhere'"):
        decoders.load_decoder("no/such-model-anywhere")
    with pytest.raises(DecoderNotFoundError, match=r"\(looked at .*: Unrecognized model"):
        decoders.load_decoder(str(tmp_path))


def test_weights_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    make_decoder().save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    for content in (whole[:5000], whole[:-1], b"version https://git-lfs.github.com/spec/v1\n"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"its weights cannot be loaded from") as error:
            decoders.load_decoder(str(tmp_path))
        assert error.value.hint == "get the whole folder again"
    path.write_bytes(whole)
    assert decoders.load_decoder(str(tmp_path)).dtype == torch.float32
