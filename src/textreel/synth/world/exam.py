"""An exam: scenes of one part of the world, and as many questions of every type as asked for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from textreel.data.textual_video import TextualQuestion
from textreel.synth.world.questions import QUESTION_TYPES, ask_all
from textreel.synth.world.scene import SCENE_SECONDS, Part, Scene, draw_scenes


@dataclass(frozen=True, slots=True)
class Exam:
    """Scenes and their questions.

    Attributes:
        scenes: in the order drawn, each with at least one question.
        questions: of each scene, in the scenes' order.
    """

    scenes: tuple[Scene, ...]
    questions: tuple[tuple[TextualQuestion, ...], ...]

    def items(self) -> Iterator[tuple[str, Scene, TextualQuestion]]:
        """Yield (question id, scene, question)."""
        for scene, asked in zip(self.scenes, self.questions, strict=True):
            for question in asked:
                yield f"{scene.id}-{question.kind}", scene, question

    def counts(self) -> Counter[str]:
        """Count the questions of each type."""
        return Counter(question.kind for _, _, question in self.items())


def draw_exam(
    seed: int,
    *,
    part: Part,
    num_scenes: int,
    per_kind: int,
    kinds: Sequence[str] = QUESTION_TYPES,
    seconds: float = SCENE_SECONDS,
) -> Exam:
    """Draw an exam of at least `num_scenes` scenes and exactly `per_kind` questions a type.

    A scene is taken when it has a question of a type that lags behind; questions of types that are
    full are left out. Whether a scene is taken depends on the types of its questions alone, never
    on their answers, so the exam stays as hard to guess as its questions are.

    Args:
        seed: of the draw.
        part: which scenes.
        num_scenes: at least so many; more where a rare type needs them.
        per_kind: questions of each type.
        kinds: the types.
        seconds: length of the scenes.

    Raises:
        ValueError: more scenes than questions.
    """
    if num_scenes > per_kind * len(kinds):
        raise ValueError(
            f"an exam of {per_kind} questions of {len(kinds)} types cannot fill {num_scenes} scenes"
        )
    rng = Random(f"exam-{part}-{seed}")
    have: Counter[str] = Counter()
    scenes: list[Scene] = []
    questions: list[tuple[TextualQuestion, ...]] = []
    for scene in draw_scenes(seed, part=part, seconds=seconds):
        full = all(have[kind] >= per_kind for kind in kinds)
        if full and len(scenes) >= num_scenes:
            break
        if full:
            asked = _take_over(ask_all(scene, rng, kinds), questions)
        else:
            wanted = per_kind * min(1.0, (len(scenes) + 1) / num_scenes)
            lacking = {kind for kind in kinds if have[kind] < wanted}
            asked = tuple(q for q in ask_all(scene, rng, kinds) if have[q.kind] < per_kind)
            if lacking and not lacking & {q.kind for q in asked}:
                continue
            have.update(q.kind for q in asked)
        if asked:
            scenes.append(scene)
            questions.append(asked)
    return Exam(tuple(scenes), tuple(questions))


def _take_over(
    asked: Sequence[TextualQuestion], questions: list[tuple[TextualQuestion, ...]]
) -> tuple[TextualQuestion, ...]:
    """Take the place of a question of the same type of an earlier scene that has more than one."""
    for question in asked:
        for index in range(len(questions) - 1, -1, -1):
            rest = tuple(q for q in questions[index] if q.kind != question.kind)
            if 0 < len(rest) < len(questions[index]):
                questions[index] = rest
                return (question,)
    return ()
