"""Clean records, and ways to spoil one: what each spoils, and the code that must say so."""

import json
from collections.abc import Callable
from dataclasses import replace

from textreel.data.textual_video import TextualFrame, TextualQuestion, TextualVideo
from textreel.recipes.bench_stories import story
from textreel.synth.textvid.answer import Origin, read_answer
from textreel.synth.textvid.topics import make_topic

ORIGIN = Origin(writer="w", prompt="p")


def clean(number: int) -> TextualVideo:
    topic = make_topic(f"errand {number}", kind="line", source="s")
    made = read_answer(json.dumps(story(topic.text)), topic=topic, origin=ORIGIN)
    assert isinstance(made, TextualVideo)
    return made


def with_frame(number: int, **changes) -> Callable[[TextualVideo], TextualVideo]:
    def spoil(video: TextualVideo) -> TextualVideo:
        frames = list(video.frames)
        frames[number] = replace(frames[number], **changes)
        return replace(video, frames=tuple(frames))

    return spoil


def with_question(**changes) -> Callable[[TextualVideo], TextualVideo]:
    def spoil(video: TextualVideo) -> TextualVideo:
        first = replace(video.questions[0], **changes)
        return replace(video, questions=(first, *video.questions[1:]))

    return spoil


def frames_times(count: int) -> Callable[[TextualVideo], TextualVideo]:
    return lambda video: replace(
        video,
        frames=tuple(
            replace(video.frames[i % 5], caption=f"{video.frames[i % 5].caption} Step {i}.")
            for i in range(count)
        ),
    )


def foreign_objects(video: TextualVideo) -> TextualVideo:
    alien = (("zeppelin", "huge grey airship"), ("glacier", "cracked ice"))
    return replace(video, frames=tuple(replace(f, objects=alien) for f in video.frames))


def same_frames(video: TextualVideo) -> TextualVideo:
    return replace(video, frames=(video.frames[0],) * len(video.frames))


def repeated_question(video: TextualVideo) -> TextualVideo:
    again = replace(video.questions[0], question=video.questions[1].question.upper())
    return replace(video, questions=(again, *video.questions[1:]))


OPTIONS = ("the bowl", "the rope", "the drum", "the kite")
LONG = "The woman " + "carries the heavy wooden ladder slowly and carefully " * 12
RED = TextualFrame(
    caption="A red ball lies on the floor.", objects=(("ball", "a blue ball of rubber"),)
)

PLANTED: dict[str, tuple[str, Callable[[TextualVideo], TextualVideo]]] = {
    "four frames": ("frame-count", frames_times(4)),
    "sixteen frames": ("frame-count", frames_times(16)),
    "empty caption": ("empty-text", with_frame(1, caption="  ")),
    "empty global caption": ("empty-text", lambda v: replace(v, caption="")),
    "empty object name": ("empty-text", with_frame(1, objects=(("", "a thing"),))),
    "punctuation only": ("placeholder", with_frame(2, caption="...!")),
    "bracketed slot": ("placeholder", with_frame(0, caption="[describe the frame]")),
    "angle brackets": ("placeholder", with_frame(0, caption="<caption of frame>")),
    "trailing dots": ("placeholder", with_frame(3, caption="The woman opens the...")),
    "caption here": ("placeholder", lambda v: replace(v, caption="Global caption here")),
    "as an AI": ("placeholder", lambda v: replace(v, caption="As an AI, I see nothing.")),
    "numbered object": ("placeholder", with_frame(0, objects=(("object 1", "round"),))),
    "too long a caption": ("caption-length", with_frame(0, caption=LONG)),
    "too long an object": ("caption-length", with_frame(0, objects=(("ladder", LONG),))),
    "nothing happens": ("static", same_frames),
    "objects of elsewhere": ("object-caption", foreign_objects),
    "two colours": (
        "object-conflict",
        with_frame(0, caption=RED.caption, objects=RED.objects),
    ),
    "no questions": ("few-questions", lambda v: replace(v, questions=())),
    "three options": ("option-count", with_question(options=OPTIONS[:3], answer=0)),
    "six options": ("option-count", with_question(options=(*OPTIONS, "the jar", "the saw"))),
    "answer out of range": ("answer-range", with_question(answer=4)),
    "answer below zero": ("answer-range", with_question(answer=-1)),
    "equal options": ("same-options", with_question(options=(*OPTIONS[:3], "the bowl"))),
    "nearly equal options": ("same-options", with_question(options=(*OPTIONS[:3], "A Bowl!"))),
    "letters in options": (
        "lettered-options",
        with_question(options=("A) bowl", "B) rope", "C) drum", "D) kite")),
    ),
    "third frame": ("frame-number", with_question(question="What is in the third frame?")),
    "frame 2": ("frame-number", with_question(question="Who opens the jar in frame 2?")),
    "last two frames": (
        "frame-number",
        with_question(question="What do the last two frames show?"),
    ),
    "frame in an option": (
        "frame-number",
        with_question(options=("in Frame #3", *OPTIONS[:3]), answer=0),
    ),
    "German frame": ("frame-number", with_question(question="Was zeigt das dritte Frame 3?")),
    "answer in the question": (
        "answer-leak",
        with_question(question="Why is the bowl dirty?", options=OPTIONS, answer=0),
    ),
    "the same question twice": ("repeated-question", repeated_question),
    "an empty option": ("empty-question", with_question(options=("", *OPTIONS[:3]), answer=1)),
    "an unwritten option": (
        "question-placeholder",
        with_question(options=("option 1", *OPTIONS[:3]), answer=1),
    ),
    "a benchmark's question": (
        "benchmark",
        with_question(question="why did the boy in red fall down the hill"),
    ),
    "times that go back": (
        "unusable",
        lambda v: replace(v, times_s=tuple(float(-i) for i in range(len(v.frames)))),
    ),
}


def question(**changes) -> TextualQuestion:
    return TextualQuestion(
        **{"question": "Which thing?", "options": OPTIONS, "answer": 0} | changes
    )
