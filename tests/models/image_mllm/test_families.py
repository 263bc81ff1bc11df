"""Every family's tokens and pixels are those of its own processor, and what its model gives."""

from random import Random

import numpy as np
import pytest
import torch

from tests.models.image_mllm.composites import composite
from tests.models.image_mllm.conftest import Make
from tests.models.image_mllm.tiny_image_llms import KINDS
from textreel.data.frame_collate import FrameCollator
from textreel.data.prompt import Turn
from textreel.models.errors import BatchError, DecoderUnsupportedError, ModelConfigError
from textreel.models.image_mllm.batch import FrameBatch
from textreel.models.image_mllm.families import FAMILIES, find_family
from textreel.models.image_mllm.pictures import PictureReader, PictureSettings

MUST_WORK = ("idefics3", "llava_next", "qwen2_5_vl", "qwen3_vl", "llava_onevision")
QUICK = ("idefics3", "qwen2_5_vl")
"""Of each family the classes are imported first, which takes most of a second."""
TILED = ("idefics3", "smolvlm", "llava_next", "llava_onevision", "internvl")


def families(*names: str, quick: tuple[str, ...] = QUICK) -> list:
    marked = [pytest.param(k, marks=() if k in quick else pytest.mark.slow) for k in names]
    assert marked
    return marked


def pictures(random: Random, count: int) -> list[np.ndarray]:
    shape = (3, random.randint(20, 130), random.randint(20, 130))
    rng = np.random.default_rng(random.randint(0, 1 << 30))
    shapes = [shape] * count
    if random.random() < 0.5:  # pages differ in size, frames do not
        shapes = [(3, random.randint(20, 130), random.randint(20, 130)) for _ in range(count)]
    return [rng.integers(0, 256, s, dtype=np.uint8) for s in shapes]


def vectors_given(model, ids, pixels) -> int:
    """How many vectors of pictures the model's own towers make."""
    body = model.model.base_model
    if model.family.embed is not None and "image_sizes" not in pixels:
        return len(body.vision_tower(pixels["pixel_values"], output_hidden_states=True)[0]) * (
            body.config.vision_config.image_size // body.config.vision_config.patch_size
        ) ** 2 + len(pixels["pixel_values"])  # and one end of line each
    names = set(pixels) - {"token_type_ids"}
    found = body.get_image_features(**{name: pixels[name] for name in names}).pooler_output
    found = found if isinstance(found, torch.Tensor) else torch.cat(list(found))
    return found.numel() // found.shape[-1]


def random_text(random: Random) -> str:
    letters = "abc DEF\n.é漢🙂?!:-"
    return ("".join(random.choices(letters, k=random.randint(1, 40)))).strip() or "?"


def random_record(made, shown, random: Random) -> FrameBatch:
    """A conversation of one or two questions about the pictures, as the model is given it."""
    collator = FrameCollator(made.tokenizer, made.model.family)
    turns = [
        Turn(task="open", question=random_text(random), answer_text=random_text(random))
        for _ in range(random.randint(1, 2))
    ]
    prompt = collator.write("record", turns=turns, pictures=shown)
    return collator.collate([(collator.encode(prompt), shown)])


def check_random_prompts(made, count: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(count):
        shown = made.reader.read(pictures(random, random.randint(1, 4)))
        ids = random_record(made, shown, random).input_ids
        model = made.model
        in_prompt = int((ids == model.family.image_token_id).sum())
        assert in_prompt == shown.num_tokens == sum(shown.counts)
        with torch.no_grad():
            assert vectors_given(model, ids, shown.pixels) == shown.num_tokens
            positions = model.positions(ids, shown.pixels)
            hidden = model.read(ids, pixels=shown.pixels, positions=positions)  # its own check
        assert hidden.shape[:2] == ids.shape
        assert hidden.isfinite().all()


@pytest.mark.parametrize("kind", families(*KINDS))
def test_tokens_are_as_many_as_vectors(kind: str, image_llm: Make) -> None:
    check_random_prompts(image_llm(kind), 3, seed=1)


@pytest.mark.parametrize("kind", families(*TILED))
def test_tokens_are_as_many_as_vectors_with_tiles(kind: str, image_llm: Make) -> None:
    check_random_prompts(image_llm(kind, tiles=True), 3, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "tiles"), [*((kind, False) for kind in KINDS), *((kind, True) for kind in TILED)]
)
def test_two_hundred_random_prompts(kind: str, tiles: bool, image_llm: Make) -> None:
    check_random_prompts(image_llm(kind, tiles=tiles), 200, seed=3)


def compare_with_processor(kind: str, made, seed: int, several: int) -> None:
    """Same ids, same pixels as the family's own composite processor."""
    processor = composite(kind, made.reader.processor, made.tokenizer)
    if processor is None:
        pytest.skip(f"the processor of {kind} needs a package that is not installed")
    family = made.model.family
    random = Random(seed)
    for count in range(1, several + 1):
        seen = pictures(random, count)
        shown = made.reader.read(seen)
        asked = f"what\n{random.random()}?"
        ours = made.tokenizer("".join(shown.words) + asked, return_tensors="pt")
        theirs = processor(
            images=[list(seen)] if kind != "gemma3" else list(seen),
            text=[family.placeholder * count + asked],
            return_tensors="pt",
            input_data_format="channels_first",
        )
        assert theirs["input_ids"].tolist() == ours["input_ids"].tolist()
        assert torch.equal(theirs["pixel_values"], shown.pixels["pixel_values"])


@pytest.mark.parametrize("kind", families("idefics3", "llava_next", "smolvlm", "internvl"))
def test_tiles_are_those_of_the_familys_own_processor(kind: str, image_llm: Make) -> None:
    compare_with_processor(kind, image_llm(kind, tiles=True), seed=4, several=3)


@pytest.mark.slow
def test_tiles_of_onevision_are_those_of_its_own_processor_for_one_picture(
    image_llm: Make,
) -> None:
    """It leaves tiles out where a prompt has several pictures."""
    compare_with_processor(
        "llava_onevision", image_llm("llava_onevision", tiles=True), seed=5, several=1
    )


@pytest.mark.parametrize("kind", families("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "gemma3", "llava"))
def test_pictures_are_those_of_the_familys_own_processor(kind: str, image_llm: Make) -> None:
    compare_with_processor(kind, image_llm(kind), seed=6, several=3)


@pytest.mark.slow
def test_several_whole_pictures_are_what_onevision_makes_of_them(image_llm: Make) -> None:
    """Ids, and hidden states: theirs through `batch_num_images`, ours through `embed`."""
    made = image_llm("llava_onevision")
    seen = pictures(Random(7), 3)
    shown = made.reader.read(seen)
    processor = composite("llava_onevision", made.reader.processor, made.tokenizer)
    theirs = processor(
        images=[seen], text=["<image><image>a<image>?"], return_tensors="pt", do_pad=True
    )
    one, two, three = shown.words
    ids = made.tokenizer(f"{one}{two}a{three}?", return_tensors="pt")["input_ids"]
    assert theirs["input_ids"].tolist() == ids.tolist()
    model = made.model
    with torch.no_grad():
        wanted = model.model.base_model(**theirs).last_hidden_state
        found = model.read(ids, pixels=shown.pixels, positions=model.positions(ids, {}))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_large_frame_is_kept_within_its_tokens(image_llm: Make) -> None:
    made = image_llm("qwen2_5_vl")
    large = [np.zeros((3, 120, 100), dtype=np.uint8)]
    family, processor = made.model.family, made.reader.processor
    assert made.reader.read(large).counts == (12,)  # 64 * 64 px at most, 16 px a token
    few = PictureReader(processor, family, PictureSettings(frame_tokens=6))
    assert few.read(large).counts == (4,)  # 2 * 2: the most in whole tokens below 6


def test_settings_without_effect_are_refused(image_llm: Make) -> None:
    idefics, qwen = image_llm("idefics3"), image_llm("qwen2_5_vl")
    with pytest.raises(ModelConfigError, match="tiles have no effect: qwen2_5_vl never cuts"):
        PictureReader(qwen.reader.processor, qwen.model.family, PictureSettings(tiles=True))
    settings = PictureSettings(frame_tokens=64)
    with pytest.raises(
        ModelConfigError, match="frame_tokens=64 has no effect: idefics3 gives"
    ) as told:
        PictureReader(idefics.reader.processor, idefics.model.family, settings)
    assert "--set frame_tokens=null" in told.value.hint
    with pytest.raises(ModelConfigError, match="frame_tokens=3 must be 4 or more"):
        PictureSettings(frame_tokens=3)


def test_what_is_no_picture_is_refused(image_llm: Make) -> None:
    reader = image_llm("idefics3").reader
    with pytest.raises(BatchError, match="there is no picture to read"):
        reader.read([])
    grey = np.zeros((1, 20, 20), dtype=np.uint8)
    with pytest.raises(BatchError, match=r"picture 0 of 1 must be uint8 \(3, H, W\), got uint8"):
        reader.read([grey])


@pytest.mark.slow
def test_another_number_of_image_tokens_is_refused(image_llm: Make) -> None:
    made = image_llm("llava_next")
    shown = made.reader.read(pictures(Random(8), 1))
    ids = torch.full((1, 5), made.model.family.image_token_id)
    with pytest.raises(BatchError, match="5 image tokens for 17 vectors of pictures"):
        made.model.read(ids, pixels=shown.pixels, positions=made.model.positions(ids, {}))


def test_every_known_kind_is_tested_and_others_are_refused(image_llm: Make) -> None:
    assert set(KINDS) == set(FAMILIES)
    assert set(MUST_WORK) <= set(KINDS)
    made = image_llm("idefics3")

    class Config:
        model_type = "newer_vl"

    with pytest.raises(DecoderUnsupportedError, match="kind 'newer_vl' are not known here") as e:
        find_family(Config(), made.tokenizer)
    assert "qwen3_vl" in e.value.hint


def test_a_tokenizer_of_another_model_is_refused(image_llm: Make) -> None:
    made = image_llm("idefics3")

    class Config:
        model_type = "qwen3_vl"
        image_token_id = 9_999

    with pytest.raises(ModelConfigError, match=r"does not know the model's image token \(id 9999"):
        find_family(Config(), made.tokenizer)
