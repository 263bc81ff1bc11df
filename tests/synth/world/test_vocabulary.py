import hashlib
from random import Random

import pytest
from transformers import PreTrainedTokenizerFast

from textreel.synth.world.captions import frame_caption, global_caption, sound_caption
from textreel.synth.world.documents import draw_document
from textreel.synth.world.long_questions import ask_long
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES, ask_all
from textreel.synth.world.scene import Scene, draw_scene
from textreel.synth.world.textual import draw_textual_videos
from textreel.synth.world.tokens import world_tokenizer
from textreel.synth.world.vocabulary import SPECIAL_TOKENS, split, words


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = Random(8)
    return [draw_scene(rng) for _ in range(500)]


def unknown(texts: list[str]) -> set[str]:
    assert len(texts) >= 100
    return {word for text in texts for word in split(text)} - set(words())


def test_the_order_of_the_words_is_the_one_the_shipped_models_learned() -> None:
    assert words()[:5] == ["<pad>", "<bos>", "<eos>", "<unk>", "none"]
    assert len(words()) == len(set(words())) == 214
    digest = hashlib.sha256("\n".join(words()).encode()).hexdigest()
    assert digest[:16] == "d8e68e9bb9da0e1e"


def test_every_word_of_captions_and_sounds_is_known(scenes: list[Scene]) -> None:
    rng = Random(0)
    texts = [global_caption(scene, rng) for scene in scenes]
    texts += [frame_caption(s.background, s.at(6.5), rng, sounding="cross") for s in scenes]
    texts += [sound_caption(scene.sounds, rng) for scene in scenes]
    assert unknown(texts) == set()


@pytest.mark.slow
def test_every_word_of_questions_is_known(scenes: list[Scene]) -> None:
    rng = Random(0)
    asked = [q for s in scenes for q in ask_all(s, rng, QUESTION_TYPES + SOUND_TYPES)]
    for seconds in (60, 180, 600) * 33:
        asked += ask_long(draw_scene(rng, seconds=seconds), rng)
    assert {q.kind for q in asked} == {
        *("colour", "shape", "count", "place", "direction", "event", "order", "final"),
        *("heard", "seen_and_heard", "moment", "distant", "whole"),
    }
    assert unknown([" ".join((q.question, *q.options, q.open_answer)) for q in asked]) == set()


def test_every_word_of_documents_is_known() -> None:
    rng = Random(0)
    texts = [text for _ in range(60) for text, _ in draw_document(rng, num_frames=8)]
    assert unknown([text.replace("<eos>", "") for text in texts]) == set()


def test_the_tokenizer_splits_as_the_vocabulary_does() -> None:
    ids = {word: number for number, word in enumerate(words())}
    tokenizer = world_tokenizer()
    texts: list[str] = []
    for video in draw_textual_videos(40, seed=1):
        texts += [video.caption, *(frame.caption for frame in video.frames[:3])]
        texts += [question.question for question in video.questions[:2]]
    assert len(texts) >= 200
    for text in texts:
        assert tokenizer.encode(text).ids == [ids[word] for word in split(text)]


def test_case_marks_and_unknown_words() -> None:
    tokenizer = world_tokenizer()
    known = tokenizer.encode("a red circle , small").ids
    assert tokenizer.encode("A Red CIRCLE, small").ids == known
    assert 3 not in known
    assert tokenizer.encode("giraffe").ids == [3]
    assert tokenizer.encode("red <eos>").ids == [tokenizer.token_to_id("red"), 2]
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3]


def test_offsets_point_at_the_words() -> None:
    fast = PreTrainedTokenizerFast(tokenizer_object=world_tokenizer())
    text = "the Circle, small"
    offsets = fast(text, return_offsets_mapping=True).offset_mapping
    assert [text[a:b] for a, b in offsets] == ["the", "Circle", ",", "small"]
