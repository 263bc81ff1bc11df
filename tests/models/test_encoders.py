"""Dual encoders: what they return, and that neither order nor batches nor names change it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import (
    BertConfig,
    BertModel,
    CLIPImageProcessorPil,
    CLIPModel,
    SiglipModel,
)

from tests.models.encoder_fakes import (
    MAX_TOKENS,
    save_clip,
    save_siglip,
    save_tiny_towers,
    word_tokenizer,
)
from textreel.models.encoder_errors import (
    EncoderError,
    EncoderMemoryError,
    EncoderUnavailableError,
    TextTooLongError,
)
from textreel.models.encoder_inputs import TextInputs
from textreel.models.encoders import DualEncoder, load_encoder

SAVERS = {"clip": save_clip, "siglip": save_siglip, "tiny": save_tiny_towers}
TEXTS = ["a red square", "the blue circle moves left then right", "a", "green square appears"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {name: save(root / name) for name, save in SAVERS.items()}


@pytest.fixture(scope="module", params=list(SAVERS))
def encoder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> DualEncoder:
    return load_encoder(folders[request.param])


def random_frames(count: int, *, height: int = 30, width: int = 40) -> np.ndarray:
    shape = (count, 3, height, width)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_texts_and_frames_become_unit_vectors_of_one_width(encoder: DualEncoder) -> None:
    for vectors in (encoder.encode_texts(TEXTS), encoder.encode_frames(random_frames(4))):
        assert vectors.shape == (4, encoder.dim)
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(4))


def test_vectors_can_be_trained_on(encoder: DualEncoder) -> None:
    weight = torch.ones(encoder.dim, requires_grad=True)
    (encoder.encode_texts(TEXTS) * weight).sum().backward()
    assert weight.grad is not None


def test_a_text_has_the_same_vector_alone_and_among_others(encoder: DualEncoder) -> None:
    together = encoder.encode_texts(TEXTS)
    alone = torch.cat([encoder.encode_texts([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_a_batch_budget_changes_nothing(folders: dict[str, Path]) -> None:
    encoder = load_encoder(folders["clip"])
    wide = encoder.encode_texts(TEXTS), encoder.encode_frames(random_frames(5))
    encoder._runner.budget = {"text": 1, "image": 2 * 3 * 24 * 24}
    narrow = encoder.encode_texts(TEXTS), encoder.encode_frames(random_frames(5))
    torch.testing.assert_close(wide, narrow)


def test_nothing_in_nothing_out(encoder: DualEncoder) -> None:
    assert encoder.encode_texts([]).shape == (0, encoder.dim)
    assert encoder.encode_frames(random_frames(0)).shape == (0, encoder.dim)


def test_clip_vectors_are_those_of_the_plain_model(folders: dict[str, Path]) -> None:
    encoder = load_encoder(folders["clip"])
    plain = CLIPModel.from_pretrained(folders["clip"]).eval()
    processor = CLIPImageProcessorPil.from_pretrained(folders["clip"])
    frames = random_frames(3)
    tokens = word_tokenizer()(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        text = plain.get_text_features(tokens["input_ids"], tokens["attention_mask"])
        image = plain.get_image_features(processor(list(frames), return_tensors="pt").pixel_values)
    torch.testing.assert_close(encoder.encode_texts(TEXTS), normalize(text.pooler_output, dim=-1))
    torch.testing.assert_close(
        encoder.encode_frames(frames), normalize(image.pooler_output, dim=-1)
    )


def test_siglip_texts_are_padded_to_full_length_without_a_mask(folders: dict[str, Path]) -> None:
    encoder = load_encoder(folders["siglip"])
    plain = SiglipModel.from_pretrained(folders["siglip"]).eval()
    tokens = word_tokenizer()(TEXTS, padding="max_length", return_tensors="pt")
    assert tokens["input_ids"].shape == (4, MAX_TOKENS)
    with torch.no_grad():
        text = plain.get_text_features(tokens["input_ids"]).pooler_output
    torch.testing.assert_close(encoder.encode_texts(TEXTS), normalize(text, dim=-1))


def test_frames_of_other_sizes_share_a_batch_once_prepared(encoder: DualEncoder) -> None:
    tall, wide = random_frames(2, height=90, width=50), random_frames(3, height=50, width=90)
    prepared = [encoder.prepare_frames(frames) for frames in (tall, wide)]
    joined = {key: torch.cat([p[key] for p in prepared]) for key in prepared[0]}
    apart = torch.cat([encoder.encode_frames(tall), encoder.encode_frames(torch.tensor(wide))])
    torch.testing.assert_close(encoder.encode_prepared(joined), apart)


def test_tokens_are_counted_with_their_special_ones(encoder: DualEncoder) -> None:
    assert encoder.count_tokens("a red square.") == 6
    assert encoder.max_text_tokens == MAX_TOKENS


def test_a_text_that_fits_exactly_is_encoded_and_a_longer_one_refused(
    encoder: DualEncoder,
) -> None:
    assert encoder.encode_texts(["red " * (MAX_TOKENS - 2)]).shape == (1, encoder.dim)
    with pytest.raises(
        TextTooLongError,
        match=r"1 of 2 texts are too long for the text tower: .* has 13 tokens, 12 fit",
    ) as error:
        encoder.encode_texts(["a", "red " * (MAX_TOKENS - 1)])
    assert "split" in error.value.hint


def test_wrong_frames_are_named(encoder: DualEncoder) -> None:
    with pytest.raises(EncoderError, match=r"must be uint8 \(N, 3, H, W\), got uint8 \(2, 8, 8, 3"):
        encoder.encode_frames(np.zeros((2, 8, 8, 3), dtype=np.uint8))
    with pytest.raises(EncoderError, match="got float32"):
        encoder.encode_frames(np.zeros((2, 3, 8, 8), dtype=np.float32))


def test_only_an_encoder_with_a_sound_tower_hears(folders: dict[str, Path]) -> None:
    deaf, tiny = load_encoder(folders["clip"]), load_encoder(folders["tiny"])
    assert (deaf.has_sound, deaf.sound_rate_hz, deaf.num_mel_bins) == (False, None, None)
    with pytest.raises(EncoderError, match="clip has no sound tower"):
        deaf.encode_mels(torch.zeros(1, 20, 16))
    assert (tiny.has_sound, tiny.sound_rate_hz, tiny.num_mel_bins) == (True, 16_000, 16)
    mels = torch.randn(3, 20, 16, generator=torch.Generator().manual_seed(0))
    vectors = tiny.encode_mels(mels)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(vectors[1:2], tiny.encode_mels(mels[1:2]))
    assert tiny.encode_mels(mels[:0]).shape == (0, 10)
    with pytest.raises(EncoderError, match=r"must be \(N, frames, 16\), got \(3, 20, 8\)"):
        tiny.encode_mels(mels[..., :8])


def test_weights_are_float32_unless_asked_otherwise(folders: dict[str, Path]) -> None:
    exact = load_encoder(folders["clip"]).encode_texts(TEXTS)
    rough = load_encoder(folders["clip"], dtype=torch.bfloat16).encode_texts(TEXTS)
    assert rough.dtype == torch.float32
    assert 1e-5 < (exact - rough).abs().max() < 0.05


def run_out_of_memory_above(rows: int, tower: object) -> object:
    def limited(input_ids: Tensor, **kwargs: Tensor) -> object:
        if len(input_ids) > rows:
            raise torch.OutOfMemoryError("out of memory")
        return tower(input_ids, **kwargs)  # type: ignore[operator]

    return limited


def test_batches_are_halved_until_they_fit(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(folders["clip"])
    texts = TEXTS * 3
    whole = encoder.encode_texts(texts)
    model = encoder._model
    limited = run_out_of_memory_above(3, model.get_text_features)
    monkeypatch.setattr(model, "get_text_features", limited)
    torch.testing.assert_close(encoder.encode_texts(texts), whole)


def test_when_not_even_one_fits_it_says_so(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(folders["clip"])
    model = encoder._model
    monkeypatch.setattr(
        model, "get_text_features", run_out_of_memory_above(0, model.get_text_features)
    )
    with pytest.raises(EncoderMemoryError, match="not even one text fits into the memory of cpu"):
        encoder.encode_texts(TEXTS)


def test_numbers_that_are_not_finite_are_refused(folders: dict[str, Path]) -> None:
    encoder = load_encoder(folders["clip"])
    encoder._model.visual_projection.weight[0, 0] = torch.inf
    with pytest.raises(EncoderError, match=r"2 of 2 image vectors are not finite in torch.float32"):
        encoder.encode_frames(random_frames(2))


def test_towers_without_a_common_space_are_refused(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(folders["clip"])
    monkeypatch.setattr(encoder._model, "get_image_features", lambda pixel_values: torch.ones(2, 7))
    with pytest.raises(EncoderError, match="image vectors have 7 numbers, text vectors 10"):
        encoder.encode_frames(random_frames(2))


def test_a_model_with_words_only_is_no_dual_encoder(tmp_path: Path) -> None:
    folder = save_clip(tmp_path / "words")
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    BertModel(BertConfig(vocab_size=20, intermediate_size=8, **sizes)).save_pretrained(folder)
    with pytest.raises(EncoderError, match="BertModel and has no get_text_features and no get_im"):
        load_encoder(folder)


def test_missing_weights_are_not_made_up(tmp_path: Path) -> None:
    folder = save_clip(tmp_path / "clip")
    model = CLIPModel.from_pretrained(folder)
    state = {k: v for k, v in model.state_dict().items() if k != "text_projection.weight"}
    model.save_pretrained(folder, state_dict=state)
    with pytest.raises(EncoderError, match=r"lacks 1 weights of a CLIPModel \(first: text_proj"):
        load_encoder(folder)


def test_a_folder_without_pixel_settings_is_refused(tmp_path: Path) -> None:
    folder = save_clip(tmp_path / "clip")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(EncoderError, match=r"clip in .* cannot be loaded"):
        load_encoder(folder)


def test_a_missing_package_is_named(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_sentencepiece(*_: object, **__: object) -> None:
        raise ImportError("sentencepiece")

    monkeypatch.setattr(
        "textreel.models.encoders.AutoTokenizer.from_pretrained", without_sentencepiece
    )
    with pytest.raises(
        EncoderUnavailableError, match=r"needs a package .*: sentencepiece"
    ) as error:
        load_encoder(folders["clip"])
    assert error.value.exit_code == 5


def test_a_tokenizer_must_pad_and_know_its_limit(folders: dict[str, Path]) -> None:
    config = load_encoder(folders["clip"]).config
    endless = word_tokenizer()
    endless.model_max_length = 10**30
    assert TextInputs(endless, config=config).max_tokens == MAX_TOKENS
    with pytest.raises(EncoderError, match="nor its tokenizer says how many tokens fit"):
        TextInputs(endless, config=config.vision_config)
    padless = word_tokenizer()
    padless.pad_token = None
    with pytest.raises(EncoderError, match="tokenizer of a clip encoder has no padding token"):
        TextInputs(padless, config=config)
