"""Decoders without their weights: on the meta device, to be counted.

The decoders of the real-size recipes are built from the shapes in their Hugging Face configs, which
stand here, so that nobody needs access to them; others from the config that is on this machine.
"""

from transformers import LlamaConfig, PreTrainedModel, Qwen3Config

from textreel.models.decoder import decoder_of, empty_decoder

KNOWN_DECODERS: dict[str, LlamaConfig | Qwen3Config] = {
    "meta-llama/Llama-2-7b-hf": LlamaConfig(
        hidden_size=4096,
        num_hidden_layers=32,
        num_attention_heads=32,
        intermediate_size=11008,
        vocab_size=32000,
        max_position_embeddings=4096,
    ),
    "meta-llama/Llama-2-13b-hf": LlamaConfig(
        hidden_size=5120,
        num_hidden_layers=40,
        num_attention_heads=40,
        intermediate_size=13824,
        vocab_size=32000,
        max_position_embeddings=4096,
    ),
    "meta-llama/Meta-Llama-3-8B": LlamaConfig(
        hidden_size=4096,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        intermediate_size=14336,
        vocab_size=128256,
        max_position_embeddings=8192,
    ),
    "Qwen/Qwen3-4B-Instruct-2507": Qwen3Config(
        hidden_size=2560,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        intermediate_size=9728,
        vocab_size=151936,
        max_position_embeddings=262144,
        tie_word_embeddings=True,
    ),
}
"""Shapes of the decoders that the recipes of real size stand on."""


def sized_decoder(name: str) -> PreTrainedModel:
    """Build a decoder on the meta device.

    Args:
        name: a key of `KNOWN_DECODERS`, or see `decoder.locate`.

    Raises:
        DecoderNotFoundError, DecoderUnsupportedError: see `decoder.empty_decoder`.
    """
    known = KNOWN_DECODERS.get(name)
    return empty_decoder(name) if known is None else decoder_of(known)
