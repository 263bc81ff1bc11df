"""Captions by any run: those of one sense as `captions` has them, those of two senses likewise.

    summary   the run's template, asked for a summary of what is seen and heard
    frames    the same of each frame alone, without the sound

A run of two senses has its own prompts around pictures and sound, so that styles with prompts of
their own, and words that a caption is begun with or that are banned, are not for it.
"""

from dataclasses import replace
from pathlib import Path

import torch

from textreel.data.prompt import Turn
from textreel.models.precision import Precision
from textreel.models.video_llama import KIND as VIDEO_LLAMA
from textreel.serve.captions import (
    Caption,
    CaptionError,
    CaptionStyle,
    caption,
    cut_text,
    each_frame,
)
from textreel.serve.looking import Video
from textreel.serve.run_files import find_run, model_kind
from textreel.serve.senses_reader import SensesReader, load_senses_reader
from textreel.serve.track_reader import load_track_reader


def caption_run(
    run: str | Path,
    video: Video,
    *,
    style: CaptionStyle,
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
) -> list[Caption]:
    """Load a run and say what a video shows; errors as `session.load`, and as of `caption`."""
    if model_kind(find_run(run)) == VIDEO_LLAMA:
        seeing = load_senses_reader(run, device=device, precision=precision)
        return caption_senses(seeing, video, style=style)
    return caption(load_track_reader(run, device=device, precision=precision), video, style=style)


def caption_senses(reader: SensesReader, video: Video, *, style: CaptionStyle) -> list[Caption]:
    """Say what is seen and heard of a video, or seen in each of its frames.

    Args:
        reader: a loaded run of two senses.
        video: a file, a story, or what `SensesReader.look` returned.
        style: `summary` or `frames`, or one of them changed.

    Raises:
        CaptionError: another style, words to begin with or to ban, or frames of a sound alone.
        MediaError, StoryError, EncoderMismatchError: see `SensesReader.look`.
        QuestionError: prompt and caption do not fit the decoder.
    """
    if style.instruction or style.begin or style.banned:
        raise CaptionError(
            f"the run {reader.name} has eyes and ears and prompts of its own: no captions in the "
            f"style {style.name}, and none with words to begin with or to ban",
            hint="Use the styles summary or frames, without --begin and --ban.",
        )
    seen = reader.look(video)
    shown = [seen]
    if style.each_frame:
        if seen.features is None:
            raise CaptionError(f"{seen.source} has no pictures to caption one by one")
        shown = [
            replace(seen, features=part, heard=None, clip=None, heard_times_s=())
            for part in each_frame(seen.features)
        ]
    asked = [reader.write(one, [Turn(task="summary")]) for one in shown]
    said = reader.many(asked, max_new_tokens=style.max_new_tokens)
    tracks = [one.heard if one.features is None else one.features for one in shown]
    times = [track.times_s.tolist() for track in tracks if track is not None]
    return [
        Caption(
            source=seen.source,
            style=style.name,
            start_s=times_s[0],
            end_s=times_s[-1],
            text=cut_text(answer.text, style),
            bridge=answer.bridge,
        )
        for answer, times_s in zip(said, times, strict=True)
    ]
