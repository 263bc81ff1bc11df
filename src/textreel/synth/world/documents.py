"""Documents the tiny decoder learns to read: a video in captions, then questions and answers.

    video : <caption> . <caption> .
    question : <q> choices : <a> ; <b> ; <c> ; <d> ; answer : <b> <eos>
    question : <q> answer : <a> <eos>
    summary : <global caption> <eos>

Words only: a document never holds a feature, and its scenes are of the training part. Each piece
carries a loss weight; what can be guessed from nothing (captions) weighs little, answers most.
"""

from itertools import pairwise
from random import Random

from textreel.data.textual_video import TextualQuestion
from textreel.synth.world.captions import frame_caption, global_caption, sound_caption
from textreel.synth.world.questions import QUESTION_TYPES, SOUND_TYPES, ask, ask_all
from textreel.synth.world.scene import SCENE_SECONDS, Scene, draw_scene
from textreel.synth.world.vocabulary import EOS

MAX_FRAMES = 8
CAPTION_WEIGHT, ANSWER_WEIGHT, SUMMARY_WEIGHT = 0.3, 3.0, 1.0
CHOICES_SHARE = 0.5
SOUND_SHARE = 0.2

HARD_TYPES, HARD_DRAWS = ("event", "order"), 5
"""Types that are learned last, and how often more they are drawn of a document's scene."""

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


def draw_document(rng: Random, *, num_frames: int) -> list[Piece]:
    """Write one document of about `num_frames` frames (more where the events need more)."""
    while (scene := draw_scene(rng, seconds=SCENE_SECONDS)).part != "training":
        pass
    with_sound = rng.random() < SOUND_SHARE
    pieces: list[Piece] = [("video :", 0.0)]
    for time_s in frame_times(scene, num_frames, rng):
        pieces.append((_frame(scene, time_s, rng, with_sound=with_sound), CAPTION_WEIGHT))
        pieces.append((".", CAPTION_WEIGHT))
    kinds = QUESTION_TYPES + (SOUND_TYPES if with_sound else ())
    questions = list(ask_all(scene, rng, kinds))
    questions += [found for kind in HARD_TYPES for found in _again(scene, kind, rng)]
    questions = list({q.question: q for q in questions}.values())
    rng.shuffle(questions)
    for question in questions:
        pieces += turn_pieces(question, rng)
    if rng.random() < 0.5:
        pieces += [("summary :", 0.0), (f"{global_caption(scene, rng)} {EOS}", SUMMARY_WEIGHT)]
    return pieces


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
