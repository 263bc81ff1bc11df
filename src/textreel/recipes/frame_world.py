"""The world as records for an image-LLM, drawn when a batch wants them.

    still      one moment: what is there, and questions about colours, shapes, places, numbers
    page       at most 12 words on one page, two in a line, to be read out
    clip       eight frames of a scene, and questions of every type but those held out
    document   the captions of eight moments on pages, mostly more of them than a clip has frames,
               and questions about what they tell
    text       the same as plain text

A record is a pure function of (seed, kind, number), so nothing is kept: `WorldRecords` is a
sequence, and `draw` makes the frames of its pictures. Scenes are of the training part.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from random import Random
from typing import overload

import numpy as np
from numpy.typing import NDArray

from textreel.data.record import Message, Part, Record
from textreel.data.textual_video import TextualQuestion
from textreel.recipes.frame_recipe import FrameRecipe, WorldSamples
from textreel.recipes.training import random_subset
from textreel.synth.pages.drawer import PageDrawer
from textreel.synth.world.captions import frame_caption, told_events
from textreel.synth.world.documents import STATIC_TYPES
from textreel.synth.world.questions import QUESTION_TYPES, ask, ask_all
from textreel.synth.world.render import draw_frame, draw_style
from textreel.synth.world.scene import SCENE_SECONDS, Scene, draw_scene
from textreel.synth.world.vocabulary import words

READ_OUT = "what is the text ?"
DESCRIBE = "what is there ?"
TELL = "what happens ?"
PAGE_WORDS = 12
CAPTION_SHARE = 0.5
"""Pages with a piece of a caption; the words of the others are drawn at random, so no one can guess
them."""
MOMENTS = 8
MOST_QUESTIONS = 4
CHOICES_SHARE = 0.5
LINE_WORDS = 2
PAGE_COUNTS = tuple(range(1, PAGE_WORDS + 1))
"""Words of pages in training, as likely as they stand here."""
LENGTHS = {"still": 112, "clip": 230, "told": 178, "document": 299, "text": 204}
"""About how many tokens a record of each kind has; `told`: a clip asked by one template only."""
PAGE_TOKENS = 32
"""Of a page without words; then one each."""
_WORDS = tuple(word for word in words() if word.isalpha())
_SOURCE, _LICENCE = "textreel world", "Apache-2.0"


class WorldRecords(Sequence[Record]):
    """The records of a recipe of the world.

    Args:
        world: how many of each kind.
        drawer: of pages; a page to read out is as long as fits one.
        seed: of everything.
    """

    def __init__(self, world: WorldSamples, drawer: PageDrawer, *, seed: int) -> None:
        self.world, self.seed = world, seed
        self._drawer = drawer
        kept = random_subset(world.clips, fraction=world.fraction, seed=seed) if world.clips else []
        self._places = [
            *zip(repeat("still"), range(world.stills)),
            *zip(repeat("page"), range(world.pages)),
            *zip(repeat("clip"), kept),
            *zip(repeat("document"), range(world.documents)),
            *zip(repeat("text"), range(world.texts)),
        ]
        self._makers: dict[str, Callable[[int], Record]] = {
            "still": self._still,
            "page": self._page,
            "clip": self._clip,
            "document": self._document,
            "text": self._text,
        }

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        kind, number = self._places[index]
        return self._makers[kind](number)

    def lengths(self) -> list[int]:
        """Return about how many tokens each has: enough to sort them into batches."""
        return [
            PAGE_TOKENS + self._page_count(number)
            if kind == "page"
            else mean_tokens(self.world, kind)
            for kind, number in self._places
        ]

    def draw(self, part: Part) -> NDArray[np.uint8]:
        """Draw what a part of one of these records names, uint8 (T, 3, H, W)."""
        kind, number = part.value.split("-")
        scene = self._scene(kind, int(number))
        if kind == "clip":
            return draw_moments(scene, MOMENTS)
        return draw_moments(scene, 1)

    def _rng(self, kind: str, number: int) -> Random:
        return Random(f"frames-{self.seed}-{kind}-{number}")

    def _scene(self, kind: str, number: int) -> Scene:
        """Draw the scene of a record."""
        rng = self._rng(f"{kind}-scene", number)
        return still_scene(rng) if kind == "still" else training_scene(rng)

    def _still(self, number: int) -> Record:
        rng, scene = self._rng("still", number), self._scene("still", number)
        caption = frame_caption(scene.background, scene.objects, rng)
        asked = [ask(scene, kind, rng) for kind in (*STATIC_TYPES, *STATIC_TYPES, "count")]
        part = Part(kind="image", value=f"still-{number}")
        return _record(part.value, part, [(DESCRIBE, caption), *_turns(asked, rng)])

    def _page(self, number: int) -> Record:
        count = self._page_count(number)
        text = page_text(self._rng("page", number), self._drawer, count=count)
        part = Part(kind="pages", value=text)
        return _record(f"page-{number}", part, [(READ_OUT, text)])

    def _page_count(self, number: int) -> int:
        return self._rng("page-count", number).choice(PAGE_COUNTS)

    def _clip(self, number: int) -> Record:
        rng, scene = self._rng("clip", number), self._scene("clip", number)
        part = Part(kind="video", value=f"clip-{number}")
        if self.world.instructions == "one":
            return _record(part.value, part, [(TELL, told(scene))])
        kinds = [kind for kind in QUESTION_TYPES if kind not in self.world.held_out]
        return _record(part.value, part, _turns(ask_all(scene, rng, kinds), rng) or _telling(scene))

    def _document(self, number: int) -> Record:
        text, turns = self._long_text(number)
        return _record(f"document-{number}", Part(kind="pages", value=text), turns)

    def _text(self, number: int) -> Record:
        text, ((first, answer), *others) = self._long_text(number)
        return _record(f"text-{number}", None, [(f"{text} . {first}", answer), *others])

    def _long_text(self, number: int) -> tuple[str, list[tuple[str, str]]]:
        rng, scene = self._rng("document", number), self._scene("document", number)
        times_s = [(i + 0.5) * scene.duration_s / MOMENTS for i in range(MOMENTS)]
        captions = [frame_caption(scene.background, scene.at(time_s), rng) for time_s in times_s]
        kinds = [kind for kind in QUESTION_TYPES if kind not in self.world.held_out]
        return in_lines(" . ".join(captions)), _turns(ask_all(scene, rng, kinds), rng) or _telling(
            scene
        )


def training_scene(rng: Random) -> Scene:
    """Draw a scene of the training part."""
    while (scene := draw_scene(rng)).part != "training":
        pass
    return scene


def still_scene(rng: Random) -> Scene:
    """Draw a moment of a scene of the training part, as a scene in which nothing happens."""
    scene = training_scene(rng)
    looks = tuple(k for k in scene.at(rng.uniform(0, scene.duration_s)) if k.visible)
    return Scene(scene.background, looks, (), (), SCENE_SECONDS)


def mean_tokens(world: WorldSamples, kind: str) -> int:
    """Return about how many tokens a recipe's records of one kind have, but for pages to read."""
    return LENGTHS["told" if kind == "clip" and world.instructions == "one" else kind]


def draw_moments(scene: Scene, count: int) -> NDArray[np.uint8]:
    """Draw a scene at the middles of equal slices, uint8 (count, 3, H, W)."""
    style = draw_style(scene.background, len(scene.objects), Random(scene.id))
    times_s = [(i + 0.5) * scene.duration_s / count for i in range(count)]
    frames = np.stack([draw_frame(scene, time_s, style) for time_s in times_s])
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2))


def page_text(rng: Random, drawer: PageDrawer, *, count: int) -> str:
    """Write `count` words, a piece of a caption or drawn at random; fewer where a page is full."""
    if rng.random() < CAPTION_SHARE:
        scene = draw_scene(rng)
        looks = scene.at(rng.uniform(0, scene.duration_s))
        every = frame_caption(scene.background, looks, rng).split()
        start = rng.randint(0, max(0, len(every) - count))
        every = every[start : start + count]
    else:
        every = [rng.choice(_WORDS) for _ in range(count)]
    while len(drawer.typeset(text := in_lines(" ".join(every)), id="page").pages) > 1:
        every = every[:-1]
    return text


def in_lines(text: str) -> str:
    """Write a text with `LINE_WORDS` words in a line, as the world's pages are set."""
    words = text.split()
    lines = (words[i : i + LINE_WORDS] for i in range(0, len(words), LINE_WORDS))
    return "\n".join(map(" ".join, lines))


def world_records(recipe: FrameRecipe, drawer: PageDrawer) -> WorldRecords:
    """Return the records of a recipe whose data is the world."""
    assert recipe.world is not None
    return WorldRecords(recipe.world, drawer, seed=recipe.seed)


def told(scene: Scene) -> str:
    """Tell what happens in a scene, in order."""
    return told_events(scene) or "nothing happens ."


def _telling(scene: Scene) -> list[tuple[str, str]]:
    return [(TELL, told(scene))]


def _turns(drawn: Sequence[TextualQuestion | None], rng: Random) -> list[tuple[str, str]]:
    """Return at most `MOST_QUESTIONS` different questions in random order, half with options."""
    questions = list({q.question: q for q in drawn if q is not None}.values())
    rng.shuffle(questions)
    return [(write_question(q, rng), q.open_answer) for q in questions[:MOST_QUESTIONS]]


def write_question(question: TextualQuestion, rng: Random) -> str:
    """Write a question, `CHOICES_SHARE` of the time with its options, as `IMAGE_TINY` does."""
    if rng.random() >= CHOICES_SHARE:
        return question.question
    return f"{question.question} choices : " + " ".join(f"{o} ;" for o in question.options)


def _record(id: str, shown: Part | None, turns: Sequence[tuple[str, str]]) -> Record:
    """Return a conversation; what is shown stands before its first question."""
    return Record(
        id=id,
        messages=tuple(chain.from_iterable(_said(shown, turns))),
        source=_SOURCE,
        licence=_LICENCE,
    )


def _said(
    shown: Part | None, turns: Sequence[tuple[str, str]]
) -> Iterator[tuple[Message, Message]]:
    for question, answer in turns:
        asked = Part(kind="text", value=question)
        parts = (asked,) if shown is None else (shown, asked)
        said = Message(role="assistant", parts=(Part(kind="text", value=answer),))
        yield Message(role="user", parts=parts), said
        shown = None
