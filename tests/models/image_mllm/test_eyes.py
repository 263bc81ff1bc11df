"""The tiny image-LLM's eyes: where they look at first, and what their vectors say."""

import math

import pytest
import torch

from textreel.models.decoder import load_decoder
from textreel.models.image_mllm.eyes import NONE, ONE_WORD, SCALE, Eyes, EyesBatch
from textreel.models.image_mllm.loading import ImageLLM
from textreel.models.image_mllm.tiny import new_tiny_image_llm
from textreel.models.image_mllm.tiny_eyes import LOOKS
from textreel.models.tokenizer import load_tokenizer

DECODER = "embedded:tiny/decoder"


@pytest.fixture(scope="module")
def made() -> ImageLLM:
    torch.manual_seed(0)
    return new_tiny_image_llm(load_decoder(DECODER), load_tokenizer(DECODER))


@pytest.mark.parametrize("layer", range(len(LOOKS)))
def test_each_head_starts_with_its_eyes_on_one_patch(made: ImageLLM, layer: int) -> None:
    vision = made.model.model.model.vision_model
    places = vision.embeddings.position_embedding.weight.detach()
    attention = vision.encoder.layers[layer].self_attn
    shape = (64, 6, 16)
    queries, keys = (
        (places @ matrix.weight.detach().T).view(shape)
        for matrix in (attention.q_proj, attention.k_proj)
    )
    logits = torch.einsum("qhd,khd->hqk", queries, keys) / math.sqrt(16)
    for head, (right, down) in enumerate(LOOKS[layer]):
        for row, column in ((1, 1), (3, 2), (6, 3)):
            seen = logits[head, row * 8 + column].argmax().item()
            assert seen == (row + down) * 8 + column + right, (head, row, column)


def drawn_batch() -> EyesBatch:
    words = torch.full((2, 16, 3), NONE)
    words[..., 0], words[0, 0] = 7, torch.tensor([8, 9, NONE])
    weights = torch.zeros(2, 16)
    weights[0, :2], weights[1, 5] = 1.0, 0.5
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    return EyesBatch(pixels=pixels, words=words, weights=weights, ids=("a", "b"))


def test_the_loss_wants_the_same_part_of_each_word_and_then_their_sum(made: ImageLLM) -> None:
    eyes, batch = Eyes(made.model.model), drawn_batch()
    vectors, logits = eyes.vectors(batch.pixels), eyes.logits(batch.pixels)
    assert vectors.shape == (2, 16, 160) and logits.shape == (2, 16, len(made.tokenizer))
    said, known = -logits.log_softmax(-1), eyes.words
    unsaid = said[0, 0, [8, 9]].mean() + said[0, 1, 7] + 0.5 * said[1, 5, 7]
    torch.testing.assert_close(eyes.loss(batch), unsaid / 2.5)
    off = (vectors[0, 0] - known[8] - known[9]).square().sum()
    off = off + ONE_WORD * (vectors[0, 1] - known[7]).square().sum()
    off = off + ONE_WORD * 0.5 * (vectors[1, 5] - known[7]).square().sum()
    eyes.distance = 2.0
    wanted = unsaid + 2 * off / known.square().sum(-1).mean()
    torch.testing.assert_close(eyes.loss(batch), wanted / 2.5)
    assert batch.num_tokens == 32 and batch.to("cpu").ids == ("a", "b")


def test_the_fit_brings_vectors_as_close_to_their_words_as_a_map_can(made: ImageLLM) -> None:
    eyes, batch = Eyes(made.model.model), drawn_batch()
    before = {name: value.clone() for name, value in eyes.state_dict().items()}
    eyes.fit([batch, batch])
    vectors, known = eyes.vectors(batch.pixels), eyes.words
    torch.testing.assert_close(vectors[0, 0], known[8] + known[9], atol=0.05, rtol=0)
    torch.testing.assert_close(vectors[1, 5], known[7], atol=0.05, rtol=0)
    assert (vectors[1, 0] - known[7]).norm() > 0.5, "of no weight"
    changed = {name for name, value in eyes.state_dict().items() if not value.equal(before[name])}
    assert changed == {"connector.modality_projection.proj.weight"}


def test_a_vector_equal_to_a_word_says_it(made: ImageLLM, monkeypatch) -> None:
    eyes = Eyes(made.model.model)
    embeddings = made.model.model.get_input_embeddings().weight.detach()
    monkeypatch.setattr(eyes.connector, "forward", lambda _: embeddings[None, 10:26])
    sure = (eyes.logits(torch.zeros(1, 3, 96, 96)) / SCALE)[0]
    assert sure.argmax(-1).tolist() == list(range(10, 26))
    assert {name for name, _ in eyes.named_buffers() if name == "words"} == {"words"}
    assert "words" not in eyes.state_dict()
