"""Prompts of two senses, character by character: what stands in them, and what is a target."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.data.tokenizers_by_hand import CHATML, byte_tokenizer, word_tokenizer
from textreel.data.prompt import Prompt, PromptError, PromptTooLongError, Turn
from textreel.data.senses_collate import SensesCollator, SensesSample
from textreel.data.senses_prompt import (
    Shown,
    media_pieces,
    write_caption_prompt,
    write_senses_prompt,
)
from textreel.data.senses_templates import (
    CHAT,
    LLAMA_2,
    SENSES_TEMPLATES,
    TINY_SENSES,
    VICUNA,
    default_template,
)
from textreel.models.batch import IGNORE, Features
from textreel.models.errors import BatchError

SEEN = Shown(times_s=(0.5, 1.25))
HEARD = Shown(sound=True)
BOTH = Shown(times_s=(0.5, 1.25), sound=True)
ASKED = Turn(task="open", question="what ?")
TOLD = (replace(ASKED, answer_text="a ball"), Turn(task="open", question="why ?", answer_text="so"))


def num_tokens(name: str, steps: int) -> int:
    if steps > 4:
        raise BatchError("5 steps of time, but this connector has 4 positions")
    return 3 if name == "image" else 2


def bytes_of(**changes):
    return byte_tokenizer(**changes)


def llama_tokenizer(**changes):
    tokenizer = byte_tokenizer(**changes)
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    return tokenizer


def written(turns, template, shown, tokenizer) -> Prompt:
    return write_senses_prompt(
        "v", turns=turns, template=template, shown=shown, tokenizer=tokenizer
    )


def marked(prompt: Prompt, tokenizer) -> str:
    """The prompt as the model meets it: targets in brackets, V and S where soft tokens stand."""
    collator = SensesCollator(tokenizer, TINY_SENSES, num_tokens)
    [record] = collator.encode_many([prompt])
    out, before = "", False
    for index, (token, target) in enumerate(zip(record.token_ids, record.is_target, strict=True)):
        out += "{V}" * (index == record.video_at) + "{S}" * (index == record.sound_at)
        if target != before:
            out += "[" if target else "]"
        out += tokenizer.decode([int(token)])
        before = bool(target)
    return out + "]" * before


def test_vicuna_is_taught_the_marks_the_label_and_the_answer() -> None:
    tokenizer = bytes_of()
    assert marked(written(TOLD, VICUNA, SEEN, tokenizer), tokenizer) == (
        "\n\n[###]Human: <Video>{V}</Video> The video contains 2 frames sampled at 0.5, 1.2 "
        "seconds. what ?\n[###Assistant: a ball\n###]Human: why ?\n[###Assistant: so\n###]"
    )


def test_vicuna_is_asked_without_newlines_and_ends_with_its_mark() -> None:
    tokenizer = bytes_of()
    prompt = written([TOLD[0], replace(TOLD[1], answer_text="")], VICUNA, SEEN, tokenizer)
    text = (
        "###Human: <Video>{V}</Video> The video contains 2 frames sampled at 0.5, 1.2 seconds. "
        "what ?###Assistant: a ball###Human: why ?###Assistant:"
    )
    assert marked(prompt, tokenizer) == text and prompt.stop == "###"
    assert marked(prompt.with_answer(" so"), tokenizer) == f"{text}[ so###]"


def test_llama_2_is_taught_answers_with_their_end() -> None:
    tokenizer = llama_tokenizer()
    first = "[INST] <<SYS>>\n \n<</SYS>>\n\n<Image>{V}</Image> what ? [/INST]"
    still = Shown(times_s=(0.0,), still=True)
    assert marked(written(TOLD, LLAMA_2, still, tokenizer), tokenizer) == (
        f"<s>{first}[ a ball </s>]<s>[INST] why ? [/INST][ so </s>]"
    )
    assert marked(written([ASKED], LLAMA_2, still, tokenizer), tokenizer) == f"<s>{first}"


def test_sound_comes_first_and_time_is_left_out_as_published() -> None:
    tokenizer = bytes_of()
    told = marked(written(TOLD[:1], VICUNA, BOTH, tokenizer), tokenizer)
    spaces = " " * 16
    assert told == (
        "\n\n[###]Human: Close your eyes, open your ears and you imagine only based on the sound "
        f"that: {{S}}. {spaces}Close your ears, open your eyes and you see that "
        f"<Video>{{V}}</Video>.  {spaces}Now answer my question based on what you have just seen "
        "and heard. what ?\n[###Assistant: a ball\n###]"
    )


def test_the_decoder_s_own_template_tells_time_beside_a_sound() -> None:
    tokenizer = bytes_of(chat_template=CHATML)
    assert marked(written(TOLD[:1], CHAT, BOTH, tokenizer), tokenizer) == (
        "<|user|>Sound: {S}\nVideo: {V}\nThe video contains 2 frames sampled at 0.5, 1.2 "
        "seconds.\nwhat ?<end>\n<|assistant|>[a ball<end>]"
    )
    heard = marked(written([ASKED], CHAT, HEARD, tokenizer), tokenizer)
    assert heard == "<|user|>Sound: {S}\nwhat ?<end>\n<|assistant|>"


def test_the_tiny_template_puts_sound_behind_pictures() -> None:
    tokenizer = word_tokenizer()
    told = marked(written(TOLD[:1], TINY_SENSES, BOTH, tokenizer), tokenizer)
    assert told.startswith("<bos>video:{V}{S}question:what?")
    alone = marked(written([ASKED], TINY_SENSES, Shown(), tokenizer), tokenizer)
    assert "V" not in alone and "S" not in alone


def test_captions_of_the_first_stage_have_no_prompt_and_keep_their_end_when_cut() -> None:
    tokenizer = bytes_of()
    prompt = write_caption_prompt("v", caption="red ball")
    assert marked(prompt, tokenizer) == "{V}[red ball\n]"
    collator = SensesCollator(tokenizer, TINY_SENSES, num_tokens)
    [whole] = collator.encode_many([prompt], max_target=9)
    [cut] = collator.encode_many([prompt], max_target=4)
    assert len(whole.token_ids) == 9 and cut.is_target.all()
    assert tokenizer.decode(cut.token_ids.tolist()) == "red\n"
    assert marked(write_caption_prompt("v", caption="hum", heard=True), tokenizer) == "{S}[hum\n]"


def test_choices_are_scored_behind_one_prompt() -> None:
    tokenizer = bytes_of()
    turn = Turn(task="choice", question="what ?", options=("ball", "box"))
    prompt = written([turn], VICUNA, SEEN, tokenizer)
    assert prompt.options == (" A", " B")
    collator = SensesCollator(tokenizer, VICUNA, num_tokens)
    [choice] = collator.encode_choices([prompt])
    ends = [tokenizer.decode(list(option)) for option in choice.options]
    assert ends == [" A###", " B###"]
    with pytest.raises(PromptError, match="1 of 1 prompts have no options to score"):
        collator.encode_choices([written([ASKED], VICUNA, SEEN, tokenizer)])


def features(steps: int, *, sound: bool = False) -> Features:
    return Features(
        values=torch.ones(steps, 1, 2).half(),
        times_s=torch.arange(steps, dtype=torch.float64),
        modality="sound" if sound else "image",
        encoder="e",
        revision="1",
    )


def sample(shown: Shown, *, turns=TOLD, image=None, sound=None) -> SensesSample:
    collator = SensesCollator(word_tokenizer(), TINY_SENSES, num_tokens)
    prompt = collator.write("v", turns=turns, shown=shown)
    return SensesSample(collator.encode_many([prompt])[0], image, sound)


def test_rows_are_padded_and_both_senses_have_their_places() -> None:
    collator = SensesCollator(word_tokenizer(), TINY_SENSES, num_tokens, multiple=8)
    long = sample(BOTH, image=features(3), sound=features(2, sound=True))
    short = sample(BOTH, turns=TOLD[:1], image=features(1), sound=features(1, sound=True))
    batch = collator.collate([long, short])
    assert batch.input_ids.shape[1] % 8 == 0
    assert batch.image_slots is not None and batch.sound_slots is not None
    assert batch.image_slots.sum(1).tolist() == [3, 3]
    assert batch.sound_slots.sum(1).tolist() == [2, 2]
    first = batch.image_slots[0].nonzero().flatten().tolist()
    assert first == [3, 4, 5]  # behind <bos> video :
    assert batch.sound_slots[0].nonzero().flatten().tolist() == [6, 7]
    assert batch.image is not None and batch.image.mask is not None
    assert batch.image.mask.tolist() == [[True, True, True], [True, False, False]]
    assert (batch.labels[batch.image_slots | batch.sound_slots] == IGNORE).all()
    assert (
        batch.num_tokens
        == int(batch.lengths.sum())
        == sum(collator.length(s) for s in (long, short))
    )
    assert torch.equal(batch.to("cpu").video_slots, batch.image_slots | batch.sound_slots)


def test_what_cannot_be_one_batch_is_refused() -> None:
    collator = SensesCollator(word_tokenizer(), TINY_SENSES, num_tokens, max_tokens=20)
    seen, heard = sample(SEEN, image=features(1)), sample(HEARD, sound=features(1, sound=True))
    with pytest.raises(PromptError, match="1 others do not show the same senses"):
        collator.collate([seen, heard])
    with pytest.raises(PromptError, match="a prompt has a place but no features for its pictures"):
        collator.collate([replace_sample(seen, image=None)])
    with pytest.raises(PromptError, match="features but no place for its sound"):
        collator.collate([replace_sample(seen, sound=features(1, sound=True))])
    with pytest.raises(PromptTooLongError, match="tokens with what is seen and heard, but a row"):
        collator.collate([seen])
    with pytest.raises(PromptError, match="a batch needs at least one sample"):
        collator.collate([])
    with pytest.raises(BatchError, match="5 steps of time, but this connector has 4"):
        collator.length(sample(SEEN, image=features(5)))


def replace_sample(one: SensesSample, **changes) -> SensesSample:
    values = {"record": one.record, "image": one.image, "sound": one.sound} | changes
    return SensesSample(**values)


def test_a_template_that_does_not_fit_the_decoder_is_refused() -> None:
    def refused(template, tokenizer, text: str) -> None:
        with pytest.raises(PromptError, match=text):
            SensesCollator(tokenizer, template, num_tokens)

    chatml = bytes_of(chat_template=CHATML)
    refused(VICUNA, chatml, "writes ###, which the chat template of .* does not have")
    refused(LLAMA_2, chatml, r"writes \[INST\], which the chat template")
    refused(CHAT, bytes_of(), "is the decoder's own, and .* has no chat template")
    refused(LLAMA_2, bytes_of(), "needs <s> to be the token that begins or ends a text")
    slow = type("Slow", (), {"is_fast": False, "name_or_path": "slow"})()
    refused(VICUNA, slow, "slow is a slow tokenizer")
    SensesCollator(llama_tokenizer(chat_template="[INST]{{ messages }}"), LLAMA_2, num_tokens)


def test_templates_suit_decoders_by_their_own() -> None:
    assert default_template(None) is VICUNA
    assert default_template("{% if x %}[INST]{% endif %}") is LLAMA_2
    assert default_template(CHATML) is CHAT
    assert all(name == template.name for name, template in SENSES_TEMPLATES.items())
    assert media_pieces(VICUNA, Shown()) == []


def test_prompts_that_cannot_be_written_say_so() -> None:
    tokenizer = bytes_of()
    with pytest.raises(PromptError, match="v: a prompt needs at least one question"):
        written([], VICUNA, SEEN, tokenizer)
    for template in (VICUNA, LLAMA_2):
        with pytest.raises(PromptError, match="only the last answer of a prompt may be unknown"):
            written([ASKED, TOLD[1]], template, SEEN, tokenizer)
    with pytest.raises(PromptError, match="has sound right before the video"):
        replace(TINY_SENSES, both="{sound}{video}")
    with pytest.raises(PromptError, match="v: a prompt takes one sound"):
        pieces = write_caption_prompt("v", caption="x", heard=True).pieces
        Prompt(id="v", pieces=(*pieces[:1], *pieces))
    assert np.array_equal(sample(SEEN, image=features(1)).record.token_ids[:3], [1, 4, 5])


def test_a_prompt_is_shown_with_words_for_what_is_seen_and_heard() -> None:
    prompt = written([ASKED], TINY_SENSES, BOTH, word_tokenizer())
    assert "<video><sound>" in prompt.text()
    assert [s.sound_before for s in prompt.segments()] == [False, False, True]
