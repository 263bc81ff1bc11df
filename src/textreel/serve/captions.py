"""Captions of videos: a summary, a description, one per frame; our prompts and published ones.

    summary   the run's template: `Instruction: Generate a summary for the video.` and the like
    dense     `Instruction: Generate a dense description for the video.`, as Llama-3 was trained
    frames    a summary of each frame alone, with its time
    msrvtt    an open question, its answer begun: `Answer: It is a video of`; 10 tokens, no ` how`
    vatex     `Video Caption: The video shows`; 15 tokens, no bridge

Source of the last two: dhg-wei/TOPA@609c482, demos/Eval_Cap_MSRVTT.ipynb and Eval_Cap_VATEX.ipynb.
Not as published: a generated end of text ends the caption (there, tokens behind it were kept), and
a video that cannot be read is an error (there, its caption was `A video`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import tokenizers

from textreel.data.prompt import VIDEO, Piece, Prompt, Turn
from textreel.data.templates import TOPA_LLAMA3
from textreel.models.batch import Features
from textreel.models.bridges import Identity
from textreel.models.generate import Sampling
from textreel.serve.errors import ServeError
from textreel.serve.looking import Video
from textreel.serve.track_reader import BATCH_SIZE, TrackReader, features_of

_BEFORE = "a"


class CaptionError(ServeError):
    """A caption cannot be made as it is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionStyle:
    """How a caption is asked for, and how its generation is held.

    Attributes:
        name: of the style.
        instruction: before the video; empty: the run's own template, asked for a summary.
        words: after the video, up to where the caption begins.
        begin: words that the caption must begin with; they are part of it.
        banned: texts of which no token is ever chosen.
        cut_after: the caption ends before this text; empty: it does not.
        max_new_tokens: longest caption.
        crosses: whether pictures pass the run's bridge.
        each_frame: a caption for every frame alone.
    """

    name: str
    instruction: str = ""
    words: str = ""
    begin: str = ""
    banned: tuple[str, ...] = ()
    cut_after: str = ""
    max_new_tokens: int = 64
    crosses: bool = True
    each_frame: bool = False


STYLES = {
    style.name: style
    for style in (
        CaptionStyle(name="summary"),
        CaptionStyle(
            name="dense",
            instruction=TOPA_LLAMA3.summary_instruction + TOPA_LLAMA3.video_lead,
            words="\n\nDescription:",
            max_new_tokens=120,
        ),
        CaptionStyle(name="frames", each_frame=True, max_new_tokens=32),
        CaptionStyle(
            name="msrvtt",
            instruction=TOPA_LLAMA3.open_instruction + TOPA_LLAMA3.video_lead,
            words="\nQuestion: Can you describe this video?\nAnswer: It is a video of",
            banned=(" how", " How"),
            cut_after=".",
            max_new_tokens=10,
        ),
        CaptionStyle(
            name="vatex",
            instruction=TOPA_LLAMA3.summary_instruction + TOPA_LLAMA3.video_lead,
            words="\nVideo Caption: The video shows",
            cut_after=".",
            max_new_tokens=15,
            crosses=False,
        ),
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """What a model says a video shows; JSON values only.

    Attributes:
        source: the video.
        style: how it was asked.
        start_s: time of the first frame it is about.
        end_s: time of the last one.
        text: the words.
        bridge: what the pictures' features passed.
    """

    source: str
    style: str
    start_s: float
    end_s: float
    text: str
    bridge: str


def caption(reader: TrackReader, video: Video, *, style: CaptionStyle) -> list[Caption]:
    """Say what a video shows: one caption, or with `each_frame` one for every frame looked at.

    Args:
        reader: a loaded run.
        video: a file, a story, or what `TrackReader.look` returned.
        style: one of `STYLES`, or changed by `replace`.

    Raises:
        CaptionError: words that the model's vocabulary does not hold.
        MediaError, StoryError, EncoderMismatchError: see `TrackReader.look`.
        PromptTooLongError, BatchError: prompt and caption do not fit the decoder.
    """
    seen = reader.look(video)
    whole = features_of(seen)
    shown = each_frame(whole) if style.each_frame else [whole]
    prompt = write_caption_prompt(reader, style, id=seen.source)
    record = reader.collator.encode(prompt)
    sampling = make_sampling(reader, style, prompt)
    if style.crosses:
        reader.cross(whole.modality)
    else:
        reader.model.bridge = Identity()
    bridge = str(reader.model.bridge.name)
    captions = []
    for start in range(0, len(shown), BATCH_SIZE):
        part = shown[start : start + BATCH_SIZE]
        batch = reader.collator.collate([(record, features) for features in part])
        said = reader.model.generate(
            batch.to(reader.device), max_new_tokens=style.max_new_tokens, sampling=sampling
        )
        for features, ids in zip(part, said, strict=True):
            captions.append(
                Caption(
                    source=seen.source,
                    style=style.name,
                    start_s=float(features.times_s[0]),
                    end_s=float(features.times_s[-1]),
                    text=cut_text(reader.tokenizer.decode(ids, skip_special_tokens=True), style),
                    bridge=bridge,
                )
            )
    return captions


def write_caption_prompt(reader: TrackReader, style: CaptionStyle, *, id: str) -> Prompt:
    """Return a style's prompt, its answer unknown."""
    own = reader.collator.write(id, turns=[Turn(task="summary")])
    if not style.instruction:
        return own
    pieces = (
        Piece(kind="text", text=style.instruction),
        VIDEO,
        Piece(kind="text", text=style.words),
        Piece(kind="target"),
    )
    return replace(own, pieces=pieces)


def make_sampling(reader: TrackReader, style: CaptionStyle, prompt: Prompt) -> Sampling:
    """Turn a style's words into token ids for the generator.

    Raises:
        CaptionError: words that the vocabulary does not hold.
    """
    return Sampling(
        stop_ids=(reader.collator.stop_id(prompt),),
        banned_ids=tuple({id for text in style.banned for id in _ids(reader, text)}),
        prefix_ids=tuple(_ids(reader, style.begin)) if style.begin else (),
    )


def _ids(reader: TrackReader, text: str) -> list[int]:
    ids = inner_ids(reader.tokenizer.backend_tokenizer, text)
    unknown = reader.tokenizer.unk_token_id
    if not ids or (unknown is not None and unknown in ids):
        raise CaptionError(
            f"{text!r} is not in this model's vocabulary: it can be neither asked for nor banned",
            hint="Use words that the model knows.",
        )
    return ids


def inner_ids(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    """Return the tokens of a text as they are within a sentence, where it begins with a space.

    Tokenizers of the Llama-2 kind put a space of their own before a text that stands alone.
    """
    if not text.startswith(" "):
        return list(tokenizer.encode(text, add_special_tokens=False).ids)
    before = tokenizer.encode(_BEFORE, add_special_tokens=False).ids
    return list(tokenizer.encode(_BEFORE + text, add_special_tokens=False).ids[len(before) :])


def each_frame(whole: Features) -> Sequence[Features]:
    """Return the features of every frame alone."""
    return [
        replace(whole, values=whole.values[i : i + 1], times_s=whole.times_s[i : i + 1])
        for i in range(len(whole.values))
    ]


def cut_text(text: str, style: CaptionStyle) -> str:
    """Return a caption up to where its style cuts it."""
    text = text.strip()
    return text.split(style.cut_after)[0].strip() if style.cut_after else text
