"""Features of textual videos and clips: the right vectors, each text once, in order."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tests.models.encoder_fakes import MAX_TOKENS, save_clip
from textreel.data.textual_video import TextualFrame, TextualVideo
from textreel.features.encode import (
    EncodeError,
    EncodeTally,
    encode_clips,
    encode_long_texts,
    encode_textual_videos,
)
from textreel.features.fuse import split_text
from textreel.media.clip import Clip
from textreel.models.encoders import DualEncoder, load_encoder

SHARED = Path(os.environ.get("TEXTREEL_SHARED", Path(__file__).parents[2] / ".." / "shared"))
FRAMES = (
    TextualFrame(caption="a red square", objects=(("square", "red"), ("circle", ""))),
    TextualFrame(caption="a blue circle moves left"),
    TextualFrame(caption="a red square"),
)
VIDEOS = [
    TextualVideo(id="one", frames=FRAMES, caption="a red square"),
    TextualVideo(id="two", frames=FRAMES[1:], caption="a circle", times_s=(0.5, 2.0)),
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> DualEncoder:
    return load_encoder(save_clip(tmp_path_factory.mktemp("clip")))


def clip(name: str, *, count: int, height: int = 30, width: int = 30) -> Clip:
    generator = np.random.default_rng(count)
    return Clip(
        frames=generator.integers(0, 256, (count, 3, height, width), dtype=np.uint8),
        frame_times_s=np.arange(count) / 2,
        duration_s=count / 2,
        source=f"{name}.mp4",
    )


def test_caption_vectors_keep_order_times_and_whose_they_are(encoder: DualEncoder) -> None:
    made = dict(encode_textual_videos(VIDEOS, encoder, mode="caption"))
    assert list(made) == ["one", "two"]
    vectors = encoder.encode_texts([frame.caption for frame in FRAMES])
    torch.testing.assert_close(made["one"].values, vectors.half()[:, None], atol=1e-3, rtol=0)
    torch.testing.assert_close(made["two"].values, vectors.half()[1:, None], atol=1e-3, rtol=0)
    assert made["one"].times_s.tolist() == [0.0, 1.0, 2.0]
    assert made["two"].times_s.tolist() == [0.5, 2.0]
    assert made["one"].values.dtype == torch.float16
    assert {(f.modality, f.encoder, f.revision) for f in made.values()} == {
        ("text", encoder.name, encoder.revision)
    }


def test_a_frame_is_the_normalised_mean_of_caption_and_objects(encoder: DualEncoder) -> None:
    ((_, features),) = encode_textual_videos(VIDEOS[:1], encoder)
    rows = encoder.encode_texts(["a red square", "square: red", "circle"])
    fused = normalize(rows.mean(0), dim=-1).half()
    torch.testing.assert_close(features.values[0, 0], fused, atol=1e-3, rtol=0)
    torch.testing.assert_close(features.values[2, 0], rows[0].half(), atol=1e-3, rtol=0)


def test_a_text_that_repeats_is_encoded_once(
    encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    whole = encoder.encode_texts

    def encode_texts(texts: list[str]) -> torch.Tensor:
        seen.extend(texts)
        return whole(texts)

    monkeypatch.setattr(encoder, "encode_texts", encode_texts)
    tally = EncodeTally()
    list(encode_textual_videos(VIDEOS * 3, encoder, mode="caption", tally=tally))
    assert sorted(seen) == ["a blue circle moves left", "a red square"]
    assert (tally.videos, tally.frames, tally.texts, tally.distinct_texts) == (6, 15, 15, 2)
    seen.clear()
    list(encode_textual_videos(VIDEOS * 3, encoder, mode="caption", window=2))
    assert len(seen) == 6


def test_windows_do_not_change_features(encoder: DualEncoder) -> None:
    wide, narrow = (
        [f.values for _, f in encode_textual_videos(VIDEOS, encoder, window=size)]
        for size in (9, 1)
    )
    torch.testing.assert_close(wide, narrow, atol=1e-3, rtol=0)


def test_a_long_text_is_the_mean_of_its_pieces_and_counted(encoder: DualEncoder) -> None:
    pieces = ["a red square moves left.", "the blue circle appears near the green square."]
    long = " ".join(pieces)
    assert encoder.count_tokens(long) > MAX_TOKENS
    tally = EncodeTally()
    vectors = encode_long_texts(["a circle", long], encoder, tally=tally)
    wanted = normalize(encoder.encode_texts(pieces).mean(0), dim=-1)
    torch.testing.assert_close(vectors[1], wanted)
    torch.testing.assert_close(vectors[:1], encoder.encode_texts(["a circle"]))
    assert (tally.distinct_texts, tally.split_texts, tally.pieces) == (2, 1, 2)


def test_a_caption_of_any_length_does_not_move_other_frames(encoder: DualEncoder) -> None:
    long = TextualFrame(caption="red " * 500)
    video = TextualVideo(id="long", frames=(FRAMES[0], long, FRAMES[1]), caption="")
    ((_, features),) = encode_textual_videos([video], encoder, mode="caption")
    alone = encoder.encode_texts([FRAMES[0].caption, FRAMES[1].caption]).half()
    torch.testing.assert_close(features.values[[0, 2], 0], alone, atol=1e-3, rtol=0)


def test_clips_of_any_size_share_a_batch(encoder: DualEncoder) -> None:
    clips = {"a": clip("a", count=3), "b": clip("b", count=2, height=60, width=41)}
    tally = EncodeTally()
    made = dict(encode_clips(clips.items(), encoder, tally=tally))
    assert list(made) == ["a", "b"]
    for name, features in made.items():
        alone = encoder.encode_frames(clips[name].frames).half()[:, None]
        torch.testing.assert_close(features.values, alone, atol=1e-3, rtol=0)
        assert features.times_s.tolist() == clips[name].frame_times_s.tolist()
        assert features.modality == "image"
    assert (tally.videos, tally.frames) == (2, 5)


def test_videos_without_frames_are_named_not_dropped(encoder: DualEncoder) -> None:
    empty = TextualVideo(id="empty", frames=(), caption="")
    with pytest.raises(EncodeError, match=r"nothing to encode: 1 \(first: 'empty'\)"):
        list(encode_textual_videos([*VIDEOS, empty], encoder))
    with pytest.raises(EncodeError, match="first: 'sound'"):
        list(encode_clips([("a", clip("a", count=1)), ("sound", clip("s", count=0))], encoder))


def test_everything_is_lazy(encoder: DualEncoder) -> None:
    taken: list[str] = []

    def videos() -> object:
        for video in VIDEOS * 10:
            taken.append(video.id)
            yield video

    next(encode_textual_videos(videos(), encoder, window=3))  # type: ignore[arg-type]
    assert len(taken) == 3


def test_real_paragraphs_split_into_pieces_that_fit_clip() -> None:
    merges_file = SHARED / "tokenizers" / "bpe_simple_vocab_16e6.txt.gz"
    wiki = SHARED / "text" / "lf_wiki_demo.txt"
    if not (merges_file.is_file() and wiki.is_file()):
        pytest.skip(f"no {merges_file}: set TEXTREEL_SHARED to the folder that holds it")
    lines = gzip.decompress(merges_file.read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49_152 - 256 - 2 + 1]]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(m) for m in merges)]
    vocabulary = [*words, "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizer(
        vocab={word: i for i, word in enumerate(vocabulary)}, merges=merges, model_max_length=77
    )
    ids = tokenizer("a photo of a cat")["input_ids"]
    assert ids == [49406, 320, 1125, 539, 320, 2368, 49407]  # CLIP's own, openai/CLIP

    def count(text: str) -> int:
        return len(tokenizer(text, verbose=False)["input_ids"])

    text = wiki.read_text(encoding="utf-8")[:20_000]
    pieces = split_text(text, fits=lambda piece: count(piece) <= 77)
    assert " ".join(pieces).split() == text.split()
    assert max(map(count, pieces)) <= 77
    assert len(pieces) < 1.6 * count(text) / 75  # not far from as few as there could be
    assert len(pieces) > 40
