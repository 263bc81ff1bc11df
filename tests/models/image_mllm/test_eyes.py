"""The tiny image-LLM's eyes: where they look at first, and what their vectors say."""

import math

import pytest
import torch

from textreel.models.decoder import load_decoder
from textreel.models.image_mllm.eyes import NONE, SCALE, Eyes, EyesBatch
from textreel.models.image_mllm.loading import ImageLLM
from textreel.models.image_mllm.tiny import new_tiny_image_llm
from textreel.models.image_mllm.tiny_eyes import DISTANCES
from textreel.models.tokenizer import load_tokenizer

DECODER = "embedded:tiny/decoder"


@pytest.fixture(scope="module")
def made() -> ImageLLM:
    torch.manual_seed(0)
    return new_tiny_image_llm(load_decoder(DECODER), load_tokenizer(DECODER))


def test_each_head_starts_with_its_eyes_on_one_patch_of_the_same_line(made: ImageLLM) -> None:
    vision = made.model.model.model.vision_model
    places = vision.embeddings.position_embedding.weight.detach()
    attention = vision.encoder.layers[0].self_attn
    shape = (64, 6, 16)
    queries, keys = (
        (places @ matrix.weight.detach().T).view(shape)
        for matrix in (attention.q_proj, attention.k_proj)
    )
    logits = torch.einsum("qhd,khd->hqk", queries, keys) / math.sqrt(16)
    for head, distance in enumerate(DISTANCES):
        for row, column in ((0, 1), (3, 2), (7, 3)):
            seen = logits[head, row * 8 + column].argmax().item()
            assert seen == row * 8 + column + distance, (head, row, column)


def test_a_vector_of_several_words_wants_the_same_part_of_each(made: ImageLLM) -> None:
    eyes = Eyes(made.model.model)
    pixels = torch.rand(2, 3, 96, 96)
    logits = eyes.logits(pixels)
    assert logits.shape == (2, 16, len(made.tokenizer))
    words = torch.full((2, 16, 3), NONE)
    words[..., 0], words[0, 0] = 7, torch.tensor([8, 9, NONE])
    weights = torch.zeros(2, 16)
    weights[0, :2], weights[1, 5] = 1.0, 0.5
    batch = EyesBatch(pixels=pixels, words=words, weights=weights, ids=("a", "b"))
    said = -logits.log_softmax(-1)
    wanted = (said[0, 0, [8, 9]].mean() + said[0, 1, 7] + 0.5 * said[1, 5, 7]) / 2.5
    torch.testing.assert_close(eyes.loss(batch), wanted)
    assert batch.num_tokens == 32 and batch.to("cpu").ids == ("a", "b")


def test_a_vector_equal_to_a_word_says_it(made: ImageLLM, monkeypatch) -> None:
    eyes = Eyes(made.model.model)
    embeddings = made.model.model.get_input_embeddings().weight.detach()
    monkeypatch.setattr(eyes.connector, "forward", lambda _: embeddings[None, 10:26])
    sure = (eyes.logits(torch.zeros(1, 3, 96, 96)) / SCALE)[0]
    assert sure.argmax(-1).tolist() == list(range(10, 26))
    assert {name for name, _ in eyes.named_buffers() if name == "words"} == {"words"}
    assert "words" not in eyes.state_dict()
