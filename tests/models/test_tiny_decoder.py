import pytest
import torch

from textreel.models.tiny_decoder import new_tiny_decoder


@pytest.fixture(scope="module")
def decoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return new_tiny_decoder(50).eval()


def test_it_is_small_and_says_what_its_special_tokens_are(decoder) -> None:
    config = decoder.config
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (0, 1, 2)
    assert sum(p.numel() for p in decoder.parameters()) < 1_700_000
    assert decoder.get_output_embeddings().weight is decoder.get_input_embeddings().weight


@torch.no_grad()
def test_heads_of_the_first_layer_look_back_one_to_five_places(decoder) -> None:
    decoder.set_attn_implementation("eager")
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(4, 50, (4, 40), generator=generator)
    attention = decoder(ids, output_attentions=True).attentions[0]
    for head in range(5):
        places = torch.arange(10, 40)
        looked = attention[:, head, places].argmax(-1)
        assert (looked == places - head - 1).float().mean() > 0.95
