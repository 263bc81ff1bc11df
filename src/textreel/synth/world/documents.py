"""Documents the tiny decoder learns to read: a video in captions, then questions and answers.

    video : <caption> . <caption> .
    question : <q> choices : <a> ; <b> ; <c> ; <d> ; answer : <b> <eos>
    question : <q> answer : <a> <eos>
    question : what happens ? answer : first <event> . then <event> . <eos>
    summary : <global caption> <eos>

or with every frame packed into few positions (`packed.py`). Words only: a document never holds a
feature, and its scenes are of the training part. Each piece carries a loss weight; what can be
guessed from nothing (captions) weighs little, answers most.
"""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from textreel.data.textual_video import TextualQuestion
from textreel.synth.world.captions import frame_caption, global_caption, sound_caption, told_events
from textreel.synth.world.packed import NAMED_SHARE, packed_moment
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES, ask, ask_all
from textreel.synth.world.scene import SCENE_SECONDS, Scene, draw_scene
from textreel.synth.world.vocabulary import EOS

MAX_FRAMES = 8
CAPTION_WEIGHT, ANSWER_WEIGHT, SUMMARY_WEIGHT = 0.3, 3.0, 1.0
CHOICES_SHARE = 0.5
SOUND_SHARE = 0.2
SUMMARY_SHARE = 0.3

HARD_TYPES, HARD_DRAWS = ("count", "event", "order"), 5
"""Types that are learned last, and how often more they are drawn of a document's scene."""

STATIC_TYPES = ("colour", "shape", "place")
TOLD_SHARE = 0.35
"""Documents of several frames that tell all events at once; only static questions follow, for the
others would be answered by it."""

MOST_QUESTIONS, MOST_PACKED = 8, 5
"""Most questions of a document: what was answered before helps with the next one, and few frames
leave room for more documents."""

UNEVENTFUL_KEEP = 0.4
"""Share of scenes with fewer than two events that are kept: they say nothing about order."""

Piece = tuple[str, float]


def frame_times(scene: Scene, num_frames: int, rng: Random) -> list[float]:
    """Choose `num_frames` of the eight segment centres, such that no event goes unseen.

    The first and the last centre are always in, and one between two events: then every question
    keeps its answer.
    """
    centres = [(i + 0.5) * scene.duration_s / MAX_FRAMES for i in range(MAX_FRAMES)]
    if num_frames >= MAX_FRAMES:
        return centres
    if num_frames == 1 and not scene.events:
        return [rng.choice(centres)]
    kept = {0, MAX_FRAMES - 1}
    for before, after in pairwise(scene.events):
        kept.add(
            rng.choice([i for i, t in enumerate(centres) if before.time_s < t <= after.time_s])
        )
    spare = [i for i in range(MAX_FRAMES) if i not in kept]
    kept.update(rng.sample(spare, max(0, min(num_frames - len(kept), len(spare)))))
    return [centres[i] for i in sorted(kept)]


def draw_document(rng: Random, *, num_frames: int, packed: bool = False) -> list[Piece]:
    """Write one document of about `num_frames` frames (more where the events need more).

    Args:
        rng: draws.
        num_frames: 1 to `MAX_FRAMES`.
        packed: frames as `packed_moment` writes them, and a single one's caption in words.
    """
    scene = _draw_scene(rng)
    with_sound = not packed and rng.random() < SOUND_SHARE
    times_s = frame_times(scene, num_frames, rng)
    pieces: list[Piece] = [("video :", 0.0)]
    named, weight = rng.random() < NAMED_SHARE, 0.0 if packed else CAPTION_WEIGHT
    for number, time_s in enumerate(times_s, start=1):
        if packed:
            frame = packed_moment(scene, time_s, number, rng, named=named)
        else:
            frame = _frame(scene, time_s, rng, with_sound=with_sound)
        pieces += [(frame, weight), (".", weight)]
    kinds = QUESTION_TYPES + (SOUND_TYPES if with_sound else ())
    if len(times_s) > 1 and rng.random() < TOLD_SHARE:
        kinds = STATIC_TYPES
        told = f"{told_events(scene) or 'nothing happens .'} {EOS}"
        pieces += [("question : what happens ? answer :", 0.0), (told, ANSWER_WEIGHT)]
    for question in _questions(scene, kinds, rng)[: MOST_PACKED if packed else MOST_QUESTIONS]:
        pieces += turn_pieces(question, rng)
    if packed and len(times_s) == 1:
        caption = frame_caption(scene.background, scene.at(times_s[0]), rng)
        pieces += [("summary :", 0.0), (f"{caption} {EOS}", SUMMARY_WEIGHT)]
    elif rng.random() < SUMMARY_SHARE:
        pieces += [("summary :", 0.0), (f"{global_caption(scene, rng)} {EOS}", SUMMARY_WEIGHT)]
    return pieces


def _draw_scene(rng: Random) -> Scene:
    """Draw a scene of the training part; more of them than drawn have two events."""
    while True:
        scene = draw_scene(rng, seconds=SCENE_SECONDS)
        if scene.part == "training" and (len(scene.events) > 1 or rng.random() < UNEVENTFUL_KEEP):
            return scene


def _questions(scene: Scene, kinds: Sequence[str], rng: Random) -> list[TextualQuestion]:
    """Ask about a scene in random order, no question twice, about what is hard more often."""
    questions = list(ask_all(scene, rng, kinds))
    hard = [kind for kind in HARD_TYPES if kind in kinds]
    questions += [found for kind in hard for found in _again(scene, kind, rng)]
    questions = list({q.question: q for q in questions}.values())
    rng.shuffle(questions)
    return questions


def _again(scene: Scene, kind: str, rng: Random) -> list[TextualQuestion]:
    drawn = (ask(scene, kind, rng) for _ in range(HARD_DRAWS))
    return [question for question in drawn if question is not None]


def _frame(scene: Scene, time_s: float, rng: Random, *, with_sound: bool) -> str:
    caption = frame_caption(scene.background, scene.at(time_s), rng)
    if not with_sound:
        return caption
    half = scene.duration_s / MAX_FRAMES / 2
    heard = [s for s in scene.sounds if s.start_s < time_s + half and s.end_s > time_s - half]
    return " ; ".join(filter(None, (caption, sound_caption(heard, rng))))


def turn_pieces(question: TextualQuestion, rng: Random) -> list[Piece]:
    """Write one question, half of the time with its options, and its answer."""
    lead = f"question : {question.question}"
    if rng.random() < CHOICES_SHARE:
        lead += " choices : " + " ".join(f"{option} ;" for option in question.options)
    return [(f"{lead} answer :", 0.0), (f"{question.open_answer} {EOS}", ANSWER_WEIGHT)]
