"""Lengths from metadata alone equal the rows that models are given, and their own processors'."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

import pytest

from tests.models.image_mllm.composites import composite
from tests.models.image_mllm.tiny_image_llms import save_image_llm
from textreel.data.frame_collate import FrameCollator
from textreel.data.long_text import LongText
from textreel.data.prompt import PromptError
from textreel.data.quarantine import Quarantine
from textreel.data.record import Message, Part, Record
from textreel.data.sequence_length import (
    SequenceLengths,
    Shown,
    frame_messages,
    within_budget,
)
from textreel.models.image_mllm.loading import ImageLLM, load_image_llm
from textreel.synth.pages.settings import PageSettings
from textreel.synth.pages.typeset import Typeset, typeset

FAMILIES = ("idefics3", "llava", "llava_next", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "gemma3")
FAMILIES += ("internvl", "llava_onevision", "smolvlm")
ADDS_TILES_TO_ONE = ("llava_next", "llava_onevision", "internvl")
"""Families whose own composite processor cuts tiles, which are off here."""
WORDS = "a page of words that are drawn and then counted, é 漢 ".split()


@dataclass(frozen=True)
class Made:
    llm: ImageLLM
    collator: FrameCollator
    lengths: SequenceLengths


@pytest.fixture(scope="module")
def make(tmp_path_factory) -> Callable[[str], Made]:
    home = tmp_path_factory.mktemp("image-llms")

    @cache
    def made(kind: str) -> Made:
        llm = load_image_llm(save_image_llm(home / kind, kind))
        collator = FrameCollator(llm.tokenizer, llm.model.family)
        return Made(llm, collator, SequenceLengths(llm.reader, collator))

    return made


def random_sample(random: Random) -> tuple[Record, Typeset]:
    """Return a record and its pages, one to about six of a random size."""
    sizes = random.choice([(120, 90), (96, 96), (60, 130)])
    settings = PageSettings(width_px=sizes[0], height_px=sizes[1], font_px=9, margin_px=3)
    letters = [word for word in WORDS if word.isascii()]
    context = " ".join(random.choices(letters, k=random.randint(12, 90)))
    sample = LongText(
        context=context,
        instruction=" ".join(random.choices(WORDS, k=random.randint(1, 6))),
        answer=" ".join(random.choices(WORDS, k=random.randint(1, 4))),
    )
    record = sample.to_record(source="", licence="")
    return record, typeset(context, settings, search=False)


def shown(document: Typeset) -> list[Shown]:
    settings = document.settings
    return [
        Shown(count=len(document.pages), height_px=settings.height_px, width_px=settings.width_px)
    ]


def given(made: Made, record: Record, document: Typeset) -> int:
    """Return the tokens of the row that the model gets for drawn pages."""
    pictures = made.llm.reader.read(list(document.frames()))
    prompt = made.collator.write_messages(
        record.id,
        messages=frame_messages(record),
        groups=(len(pictures),),
        pictures=pictures,
    )
    batch = made.collator.collate([(made.collator.encode(prompt), pictures)])
    return batch.num_tokens


def by_own_processor(made: Made, kind: str, record: Record, document: Typeset) -> int | None:
    """Return the tokens that the family's composite processor makes, if it can be built here."""
    processor = composite(kind, made.llm.reader.processor, made.llm.tokenizer)
    if processor is None or kind in ADDS_TILES_TO_ONE:
        return None
    content = [{"type": "image"}] * len(document.pages)
    user, assistant = record.messages
    conversation = [
        {"role": "user", "content": [*content, {"type": "text", "text": user.parts[1].value}]},
        {"role": "assistant", "content": [{"type": "text", "text": assistant.parts[0].value}]},
    ]
    text = made.llm.tokenizer.apply_chat_template(conversation, tokenize=False).rstrip()
    pages = list(document.frames())
    extra = {"do_image_splitting": False} if kind in ("idefics3", "smolvlm") else {}
    made_of = processor(
        images=pages if kind == "gemma3" else [pages],
        text=[text],
        return_tensors="pt",
        input_data_format="channels_first",
        **extra,
    )
    return int(made_of["input_ids"].shape[1])


def check_lengths(made: Made, kind: str, *, count: int) -> int:
    random, compared = Random(kind), 0
    for _ in range(count):
        record, document = random_sample(random)
        length = made.lengths.of(record, shown(document))
        assert length.tokens == given(made, record, document)
        own = by_own_processor(made, kind, record, document)
        if own is not None:
            assert length.tokens == own
            compared += 1
    return compared


def test_lengths_are_those_of_the_rows_given(make) -> None:
    assert check_lengths(make("idefics3"), "idefics3", count=6) == 6


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILIES)
def test_two_hundred_random_records(make, kind: str) -> None:
    check_lengths(make(kind), kind, count=200)


def test_parts_of_a_length_and_of_a_picture(make) -> None:
    made = make("idefics3")
    record, document = random_sample(Random(1))
    length = made.lengths.of(record, shown(document))
    assert length.image_tokens == 4 * len(document.pages)
    assert 0 < length.targets < length.tokens - length.image_tokens
    # two marks around, one of a global picture, and the picture's own four
    assert made.lengths.tokens_of_picture(height_px=90, width_px=120) == 7
    more = [Shown(count=len(document.pages) + 3, height_px=90, width_px=120)]
    assert made.lengths.of(record, more).tokens == length.tokens + 3 * 7


def test_a_limit_is_exact(make) -> None:
    made = make("idefics3")
    record, document = random_sample(Random(2))
    length = made.lengths.of(record, shown(document))

    def kept(max_tokens: int) -> tuple[int, dict[str, int]]:
        quarantine = Quarantine(max_bad=None)
        passed = within_budget(
            [record],
            made.lengths,
            describe=lambda _: shown(document),
            max_tokens=max_tokens,
            quarantine=quarantine,
        )
        return len(list(passed)), quarantine.summary()

    assert kept(length.tokens) == (1, {})
    assert kept(length.tokens - 1) == (0, {"too long": 1})


def test_what_has_no_length_is_refused(make) -> None:
    made = make("idefics3")
    record, document = random_sample(Random(3))
    with pytest.raises(PromptError, match="shows something at 1 places, 0 are described"):
        made.lengths.of(record, [])
    with pytest.raises(PromptError, match="0 pictures of 9 x 9 px: nothing is shown"):
        Shown(count=0, height_px=9, width_px=9)
    sound = Message(role="user", parts=(Part(kind="audio", value="a.wav"),))
    with pytest.raises(PromptError, match="cannot take a part of kind 'audio' from the user"):
        frame_messages(Record(id="s", messages=(sound,)))
    quarantine = Quarantine(max_bad=None)
    only_asked = Record(id="q", messages=record.messages[:1])
    passed = within_budget(
        [only_asked],
        made.lengths,
        describe=lambda _: shown(document),
        max_tokens=10**6,
        quarantine=quarantine,
    )
    assert list(passed) == []
    assert quarantine.summary() == {"no prompt": 1}


def test_a_conversation_without_pictures_has_a_length(make) -> None:
    said = Record(
        id="t",
        messages=(
            Message(role="user", parts=(Part(kind="text", value="a"),)),
            Message(role="assistant", parts=(Part(kind="text", value="b"),)),
        ),
    )
    length = make("idefics3").lengths.of(said, [])
    assert (length.image_tokens, length.targets) == (0, 2)  # the letter and the end
