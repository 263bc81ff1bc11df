"""Every word the world uses, and the word-level tokenizer of the tiny models."""

import re

from textreel.synth.world.captions import (
    COUNT_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    SOUND_WORDS,
)
from textreel.synth.world.scene import BACKGROUNDS, COLOURS, DIRECTIONS, EVENT_KINDS

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<unk>")
PAD, BOS, EOS, UNK = SPECIAL_TOKENS

_CAPTIONS = """a an and at in the top upper bottom lower left right centre middle background ground
scene with nothing empty , ; : . is heard first then moves appears disappears grows shrinks turns
happens changes"""
_QUESTIONS = """what which colour shape object objects how many are there start end where does way
move happens to do it appears disappears grows shrinks changes stays same moves last sounds that
has was when before after long ? one two three four none ( )"""
_PROMPTS = """video question choices answer description summary instruction choose correct answer
based on predict generate dense for frame frames story second seconds caption captions text sound
sounds true false yes no of choice b c d e f dialogue"""
_NUMBERS = " ".join(str(number) for number in range(61))
_LONG = "change times between second many how both nothing was at which"


def words() -> list[str]:
    """All known words in a fixed order, special tokens first."""
    groups: list[str] = [*COUNT_WORDS, *BACKGROUNDS, *COLOURS, *DIRECTIONS]
    for table in (SHAPE_WORDS, SIZE_WORDS, SOUND_WORDS):
        groups += [word for synonyms in table.values() for word in synonyms]
    text = " ".join([*groups, *EVENT_KINDS, _CAPTIONS, _QUESTIONS, _PROMPTS, _NUMBERS, _LONG])
    return [*SPECIAL_TOKENS, *dict.fromkeys(split(text))]


def split(text: str) -> list[str]:
    """Split a text the way the tokenizer does: lower case, words and single marks."""
    return re.findall(r"\w+|[^\w\s]", text.lower())
