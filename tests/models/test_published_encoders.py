"""ImageBind, the frame Q-Former and CLAP as encoders, and the one door to all of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from tests.models import published_fakes as fakes
from tests.models.encoder_fakes import save_clip, word_tokenizer
from textreel.models import open_encoder as door
from textreel.models import sound_text
from textreel.models.blip2_repository import load_repository
from textreel.models.encoder_errors import (
    EncoderError,
    EncoderUnavailableError,
    TextTooLongError,
)
from textreel.models.encoders import DualEncoder
from textreel.models.frame_encoder import FrameEncoder, load_frame_encoder
from textreel.models.imagebind_encoder import ImageBindEncoder, load_imagebind_encoder
from textreel.models.open_encoder import open_encoder, open_text_encoder
from textreel.models.published_files import PublishedFileError
from textreel.models.sound_text import SoundTextEncoder, load_sound_text_encoder

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 3, 40, 60), dtype=np.uint8)
MELS = torch.randn(4, 1, 128, 204, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    fakes.save_imagebind(folder / "imagebind_huge.pth")
    fakes.save_frame_qformer(folder / "eva_vit_g.pth", folder / "blip2_pretrained_flant5xxl.pth")
    fakes.save_clap(folder / "clap")
    fakes.save_clap(folder / "fused", fusion=True)
    save_clip(folder / "clip")
    word_tokenizer().save_pretrained(folder / "words")
    return folder


def imagebind(folder: Path, **options) -> ImageBindEncoder:
    options = {"sound_scale": "unit", "config": fakes.IMAGEBIND, **options}
    return load_imagebind_encoder(folder / "imagebind_huge.pth", **options)


def frame_encoder(folder: Path, **options) -> FrameEncoder:
    files = [folder / "blip2_pretrained_flant5xxl.pth", folder / "eva_vit_g.pth"]  # any order
    options = {"eva_config": fakes.EVA, "qformer": fakes.QFORMER, **options}
    return load_frame_encoder(files, **options)


def sounds(*seconds: float) -> list[np.ndarray]:
    return [np.sin(np.arange(round(8_000 * s)) / 7).astype(np.float32) for s in seconds]


@pytest.mark.parametrize(("scale", "length"), [("unit", 1.0), ("published", 20.0)])
def test_imagebind_gives_all_three_senses_in_one_space(folder, scale, length) -> None:
    encoder = imagebind(folder, sound_scale=scale, tokenizer=folder / "words")
    encoder._runner.budget = {"image": 1, "sound": 2 * 128 * 204, "text": 1}
    heard = encoder.encode_prepared_sounds({"mels": MELS})
    seen = encoder.encode_frames(FRAMES)
    read = encoder.encode_texts(["a red square", "a circle moves left"])
    assert (heard.shape, seen.shape, read.shape) == ((4, 6), (3, 6), (2, 6))
    assert torch.allclose(heard.norm(dim=-1), torch.full((4,), length))
    assert torch.allclose(seen.norm(dim=-1), torch.ones(3))
    assert torch.allclose(read.norm(dim=-1), torch.ones(2))
    assert encoder.count_tokens("a red square") == 5 and encoder.max_text_tokens == 12
    assert encoder.name == ("imagebind" if scale == "unit" else "imagebind#x20")
    assert encoder.encode_prepared({}).shape == encoder.encode_texts([]).shape == (0, 6)
    assert encoder.encode_prepared_sounds({"mels": MELS[:0]}).shape == (0, 6)


def test_imagebind_refuses_what_it_was_not_loaded_for(folder) -> None:
    heard = imagebind(folder, senses=["sound"])
    with pytest.raises(EncoderError, match=r"loaded without its image tower \(it has: sound\)"):
        heard.encode_frames(FRAMES)
    with pytest.raises(EncoderError, match="loaded without its text tower"):
        heard.encode_texts(["a"])
    with pytest.raises(EncoderError, match="loaded without a tokenizer, so it cannot read texts"):
        imagebind(folder, senses=["text"]).encode_texts(["a"])
    with pytest.raises(EncoderError, match=r"mels for imagebind must be \(N, 1, 128, 204\)"):
        heard.encode_prepared_sounds({"mels": torch.zeros(1, 128, 204)})
    with pytest.raises(EncoderError, match=r"must be uint8 \(N, 3, H, W\), got float64"):
        heard.prepare_frames(FRAMES.astype(float))
    reader = imagebind(folder, senses=["text"], tokenizer=folder / "words")
    with pytest.raises(TextTooLongError, match="1 of 1 texts are too long"):
        reader.encode_texts(["a " * 80])
    with pytest.raises(EncoderUnavailableError, match=r"the tokenizer .* cannot be loaded"):
        imagebind(folder, senses=["text"], tokenizer=folder / "nowhere")


def test_the_revision_is_that_of_the_weights(folder, tmp_path) -> None:
    first, again = imagebind(folder), imagebind(folder, senses=["sound"])
    assert first.revision == again.revision and first.revision.startswith("sha256:")
    fakes.save_imagebind(tmp_path / "w.pth")
    table = torch.load(tmp_path / "w.pth", weights_only=True)
    table["modality_heads.audio.0.bias"] += 1
    torch.save(table, tmp_path / "w.pth")
    other = load_imagebind_encoder(tmp_path / "w.pth", sound_scale="unit", config=fakes.IMAGEBIND)
    assert other.revision != first.revision


def test_frames_become_several_vectors_each(folder) -> None:
    encoder = frame_encoder(folder)
    encoder._runner.budget["image"] = 2 * 3 * 28 * 28
    found = encoder.encode_frames(FRAMES)
    assert found.shape == (3, 3, 12) and (encoder.dim, encoder.num_queries) == (12, 3)
    for i in range(3):
        torch.testing.assert_close(encoder.encode_frames(FRAMES[i : i + 1])[0], found[i])
    assert encoder.encode_frames(FRAMES[:0]).shape == (0, 3, 12)
    exact = frame_encoder(folder, half_weights=False)
    assert (encoder.name, exact.name) == ("eva-blip2", "eva-blip2#fp32")


def test_imagebind_sees_the_centre_resized_on_the_short_side(folder) -> None:
    encoder = imagebind(folder, senses=["image"])
    wide = np.full((1, 3, 100, 300), 128, np.uint8)
    wide[..., :90] = wide[..., 210:] = 255  # outside the middle third, and its resized edge
    pixels = encoder.prepare_frames(wide)["pixel_values"]
    assert pixels.shape == (1, 3, 224, 224)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]  # CLIP's
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    assert torch.allclose(pixels[0], ((128 / 255 - mean) / std).expand(3, 224, 224), atol=1e-5)
    step = np.zeros((1, 3, 112, 112), np.uint8)
    step[..., 56:] = 200
    rows = encoder.prepare_frames(step)["pixel_values"][0, 0, 0] * 0.26862954 + 0.48145466
    assert (
        rows.min() < -1e-3 or rows.max() > 200 / 255 + 1e-3
    )  # bicubic passes beyond, bilinear not


def test_frames_are_squashed_not_cropped(folder) -> None:
    encoder = frame_encoder(folder)
    half = np.zeros((1, 3, 40, 80), np.uint8)
    half[..., 60:] = 255  # outside a centre crop
    pixels = encoder.prepare_frames(half)["pixel_values"]
    assert pixels.shape == (1, 3, 28, 28)
    assert pixels[0, 0, 14, 27] > 1.5 and pixels[0, 0, 14, 0] < -1.5


@pytest.mark.parametrize("shards", [1, 4])
@torch.no_grad()
def test_a_hugging_face_blip2_gives_what_transformers_computes(tmp_path, shards) -> None:
    size = "50GB" if shards == 1 else "6KB"
    theirs = fakes.save_blip2(tmp_path / "blip2", shard_size=size)
    files = list((tmp_path / "blip2").glob("*.safetensors"))
    assert (len(files) > 1) == (shards > 1)
    model = load_repository(tmp_path / "blip2", half_weights=False)
    pixels = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    theirs.vision_model.post_layernorm.eps = 1e-5  # as published
    seen = theirs.vision_model(pixel_values=pixels).last_hidden_state
    queries = theirs.query_tokens.expand(2, -1, -1)
    wanted = theirs.qformer(query_embeds=queries, encoder_hidden_states=seen).last_hidden_state
    torch.testing.assert_close(model(pixels), wanted, atol=1e-5, rtol=1e-4)
    encoder = load_frame_encoder([tmp_path / "blip2"])
    assert encoder.encode_frames(FRAMES).shape == (3, 3, 12)


def test_a_blip2_folder_that_cannot_be_used_says_why(tmp_path) -> None:
    fakes.save_blip2(tmp_path / "blip2")
    weights = tmp_path / "blip2" / "model.safetensors"
    table = load_file(weights)
    bias = "vision_model.encoder.layers.0.self_attn.qkv.bias"
    save_file({**table, bias: table[bias] + 1}, weights, metadata={"format": "pt"})
    with pytest.raises(PublishedFileError, match="has a bias for keys"):
        load_frame_encoder([tmp_path / "blip2"])
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(PublishedFileError, match="cannot be read as the vision half of BLIP-2"):
        load_frame_encoder([tmp_path / "blip2"])
    (tmp_path / "blip2" / "config.json").write_text("[")
    with pytest.raises(PublishedFileError, match="is no BLIP-2 configuration"):
        load_frame_encoder([tmp_path / "blip2"])
    weights.unlink()
    with pytest.raises(PublishedFileError, match=r"holds no BLIP-2 model: config.json and"):
        load_frame_encoder([tmp_path / "blip2"])
    with pytest.raises(PublishedFileError, match=r"no file or folder .* a Hugging Face id"):
        load_frame_encoder(["../no such"])
    with pytest.raises(EncoderUnavailableError, match="someone/blip2 is not in the cache") as told:
        load_frame_encoder(["someone/blip2"])
    assert told.value.exit_code == 5 and "\n" not in str(told.value)
    with pytest.raises(EncoderError, match="is read from two files, got 3"):
        load_frame_encoder(["a.pth", "b.pth", "c.pth"])


def test_only_the_shards_that_are_needed_decide_the_revision(tmp_path) -> None:
    fakes.save_blip2(tmp_path / "blip2", shard_size="6KB")
    index = json.loads((tmp_path / "blip2" / "model.safetensors.index.json").read_text())
    parts = ("vision_model.", "qformer.", "query_tokens")
    placed = index["weight_map"].items()
    needed = {file for name, file in placed if name.startswith(parts)}
    assert needed < set(index["weight_map"].values())
    before = load_frame_encoder([tmp_path / "blip2"]).revision
    for name in set(index["weight_map"].values()) - needed:
        (tmp_path / "blip2" / name).unlink()
    assert load_frame_encoder([tmp_path / "blip2"]).revision == before


@pytest.mark.parametrize("kind", ["clap", "fused"])
def test_clap_hears_and_reads_in_one_space(folder, kind) -> None:
    encoder = load_sound_text_encoder(folder / kind)
    assert (encoder.sound_rate_hz, encoder.window_s, encoder.dim) == (8_000, 2.0, 10)
    heard = encoder.encode_sounds(sounds(2.0, 0.5, 1.3))
    assert heard.shape == (3, 10) and torch.allclose(heard.norm(dim=-1), torch.ones(3))
    assert torch.equal(encoder.encode_sounds(sounds(2.0, 0.5, 1.3)), heard)  # nothing is drawn
    torch.testing.assert_close(encoder.encode_sounds(sounds(0.5)), heard[1:2])
    read = encoder.encode_texts(["a red square", "left of a circle"])
    assert read.shape == (2, 10) and torch.allclose(read.norm(dim=-1), torch.ones(2))
    assert encoder.count_tokens("a red square") == 5 and encoder.max_text_tokens == 12
    assert encoder.encode_texts([]).shape == encoder.encode_sounds([]).shape == (0, 10)


def test_clap_gives_what_transformers_computes(folder) -> None:
    encoder = load_sound_text_encoder(folder / "clap")
    inputs = encoder._extractor(sounds(1.5)[0], sampling_rate=8_000, return_tensors="pt")
    with torch.no_grad():
        wanted = encoder._model.get_audio_features(**inputs).pooler_output
    torch.testing.assert_close(encoder.encode_sounds(sounds(1.5)), normalize(wanted, dim=-1))


def test_clap_cuts_nothing_and_refuses_what_is_no_sound(folder) -> None:
    encoder = load_sound_text_encoder(folder / "clap")
    for wrong in (sounds(2.1)[0], sounds(0.0)[0], sounds(1.0)[0][None]):
        with pytest.raises(EncoderError, match=r"mono with 1 to 16000 samples \(2 s\), got"):
            encoder.encode_sounds([wrong])
    with pytest.raises(TextTooLongError):
        encoder.encode_texts(["a " * 20])
    with pytest.raises(EncoderError, match=r"not an encoder of sounds and texts|to hear and read"):
        load_sound_text_encoder(folder / "clip")


def test_a_model_that_does_not_say_how_long_it_hears_is_refused(tmp_path, monkeypatch) -> None:
    fakes.save_clap(tmp_path / "clap")
    extractor = sound_text.AutoFeatureExtractor.from_pretrained(tmp_path / "clap")
    del extractor.max_length_s
    monkeypatch.setattr(sound_text.AutoFeatureExtractor, "from_pretrained", lambda path: extractor)
    with pytest.raises(EncoderError, match="clap does not say how long a sound it hears"):
        load_sound_text_encoder(tmp_path / "clap")


def test_a_clap_without_all_its_weights_is_refused(tmp_path) -> None:
    fakes.save_clap(tmp_path / "clap")
    weights = tmp_path / "clap" / "model.safetensors"
    table = load_file(weights)
    table.pop("audio_projection.linear1.weight")
    save_file(table, weights, metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="lacks 1 weights of its sound and text towers"):
        load_sound_text_encoder(tmp_path / "clap")


def test_one_door_opens_every_encoder(folder, monkeypatch) -> None:
    file = folder / "imagebind_huge.pth"
    monkeypatch.setattr(door, "load_imagebind_encoder", lambda _, **told: told)
    heard = open_encoder("imagebind-audio", weights=[file], sound_scale="published")
    told = {"sound_scale": "published", "senses": ["sound"], "tokenizer": None, "device": "cpu"}
    assert heard == told
    assert open_encoder("imagebind-image", weights=[file])["senses"] == ["image"]
    reads = open_encoder("imagebind-audio", weights=[file], tokenizer=folder / "words")
    assert (reads["senses"], reads["tokenizer"]) == (["sound", "text"], folder / "words")
    fakes.save_blip2(folder / "blip2")
    assert isinstance(open_encoder("eva-blip2", weights=[folder / "blip2"]), FrameEncoder)
    assert isinstance(open_encoder(str(folder / "clap")), SoundTextEncoder)
    assert isinstance(open_encoder(str(folder / "clip")), DualEncoder)


def test_the_door_refuses_files_and_scales_without_effect(folder) -> None:
    for name in ("imagebind-audio", "eva-blip2"):
        with pytest.raises(EncoderError, match=r"needs its published weights, .* 0 files"):
            open_encoder(name)
    with pytest.raises(EncoderError, match="brings its own weights; 1 more files were given"):
        open_encoder(str(folder / "clap"), weights=["w.pth"])
    with pytest.raises(EncoderError, match="has no sound scale; only imagebind-audio has"):
        open_encoder("imagebind-image", weights=["w.pth"], sound_scale="unit")
    with pytest.raises(EncoderError, match="holds no whole model"):
        open_encoder(str(folder))
    with pytest.raises(EncoderError, match="a tokenizer has no effect on the encoder") as told:
        open_encoder(str(folder / "clap"), tokenizer="words")
    assert told.value.hint.startswith("it goes with imagebind-audio, imagebind-image")


def test_an_encoder_that_shall_read_texts_must_have_a_text_side(folder) -> None:
    with pytest.raises(EncoderError, match="imagebind-image cannot read texts: its weights bring"):
        open_text_encoder("imagebind-image", weights=[folder / "imagebind_huge.pth"])
    fakes.save_blip2(folder / "blip2-blind")
    with pytest.raises(EncoderError, match="eva-blip2 reads no texts, so nothing can be aligned"):
        open_text_encoder("eva-blip2", weights=[folder / "blip2-blind"])
    assert isinstance(open_text_encoder(str(folder / "clap")), SoundTextEncoder)


def test_imagebind_takes_a_tokenizer_of_clips_kind_only(folder, tmp_path) -> None:
    other = word_tokenizer()
    other.eos_token = "a"
    other.save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="is not CLIP's: its 21 tokens do not end with the end"):
        imagebind(folder, senses=["text"], tokenizer=tmp_path)
