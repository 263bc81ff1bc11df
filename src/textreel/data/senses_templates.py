"""The ready templates for a model with eyes and ears, as plain strings.

`video-llama-vicuna` and `video-llama-llama-2` are the published ones (Video-LLaMA@64888c0,
video_llama/conversation/conversation_video.py, processors/video_processor.py, demo_audiovideo.py):
with sound they say nothing of time, and hold the runs of spaces that its source has. A sound
without pictures stands between the tags that its branch was trained with; the published code never
shows one. `senses-chat` is for any decoder with a chat template, and tells the times of frames
beside a sound as well. `senses-tiny` is for the embedded decoder.
"""

from dataclasses import replace

from textreel.data.prompt import PromptTemplate
from textreel.data.senses_prompt import SensesTemplate
from textreel.data.templates import TINY

_WORDS = PromptTemplate(
    name="video-llama",
    choice_instruction="",
    open_instruction="",
    summary_instruction="Describe this video in detail.",
    question="{question}",
    choices_lead="\nAnswer with the letter of the right option.\n",
    option="{letter}. {text}\n",
    choice_target="{letter}",
)
_PAUSE = " " * 16

VICUNA = SensesTemplate(
    name="video-llama-vicuna",
    layout="human-assistant",
    words=_WORDS,
    seen="<Video>{video}</Video> {times}",
    still="<Image>{video}</Image> ",
    heard="<Video>{sound}</Video> ",
    both=(
        "Close your eyes, open your ears and you imagine only based on the sound that: {sound}. "
        + _PAUSE
        + "Close your ears, open your eyes and you see that <Video>{video}</Video>.  "
        + _PAUSE
        + "Now answer my question based on what you have just seen and heard. "
    ),
    times="The video contains {count} frames sampled at {seconds} seconds. ",
)
"""Vicuna v0, whose turns begin with `###`."""

LLAMA_2 = replace(VICUNA, name="video-llama-llama-2", layout="llama-2", system=" ")
"""Llama-2-chat."""

CHAT = SensesTemplate(
    name="senses-chat",
    layout="chat",
    words=replace(_WORDS, name="senses-chat", chat=True),
    seen="Video: {video}\n{times}\n",
    still="Picture: {video}\n",
    heard="Sound: {sound}\n",
    both="Sound: {sound}\nVideo: {video}\n{times}\n",
    times="The video contains {count} frames sampled at {seconds} seconds.",
)
"""Any decoder, in its own chat template."""

TINY_SENSES = SensesTemplate(
    name="senses-tiny",
    layout="plain",
    words=TINY,
    seen="{video}",
    still="{video}",
    heard="{sound}",
    both="{video}{sound}",
)
"""The embedded tiny decoder's own words."""

SENSES_TEMPLATES = {t.name: t for t in (VICUNA, LLAMA_2, CHAT, TINY_SENSES)}
"""Those that a recipe or a run may name."""

STILL_REQUESTS = (
    "Describe this image in detail.",
    "Take a look at this image and describe what you notice.",
    "Please provide a detailed description of the picture.",
    "Could you describe the contents of this image for me?",
)
"""What is asked about a captioned picture in the second stage (MiniGPT-4's, prompts/
alignment_image.txt); one is drawn per sample, not per batch as published."""


def default_template(chat_template: str | None) -> SensesTemplate:
    """Return the template that suits a decoder, by its tokenizer's chat template."""
    if not chat_template:
        return VICUNA
    return LLAMA_2 if "[INST]" in chat_template else CHAT
