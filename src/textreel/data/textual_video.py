"""`TextualVideo`: a video written in words, and its questions (TOPA's "Tideo")."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TextualFrame:
    """One moment in words.

    Attributes:
        caption: what the whole frame shows (and, where sound is written about, what is heard).
        objects: (name, description) of single objects, in order; may be empty.
    """

    caption: str
    objects: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TextualQuestion:
    """A question about a textual video.

    Attributes:
        question: the question's text.
        options: the texts to choose from, without letters; at least two, distinct.
        answer: index of the right option, from 0.
        open_answer: the answer in free words; the right option's text where there is none.
        kind: question type, such as `colour` or `order`; empty where unknown.
    """

    question: str
    options: tuple[str, ...]
    answer: int
    open_answer: str = ""
    kind: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextualVideo:
    """A video written in words.

    Attributes:
        id: unique name.
        frames: in order of time.
        caption: the global description of the whole video.
        questions: about the whole video.
        times_s: the time of each frame in seconds; empty where the source has no clock (the
            released TextVid has none), then the frames count as one second apart.
        source: where the topic came from.
        topic: what it was written about; empty where nobody was asked.
        writer: name of the model that wrote it; empty where that is unknown.
        prompt: hash of the prompts that the writer was asked with; empty where there were none.
    """

    id: str
    frames: tuple[TextualFrame, ...]
    caption: str
    questions: tuple[TextualQuestion, ...] = ()
    times_s: tuple[float, ...] = ()
    source: str = ""
    topic: str = ""
    writer: str = ""
    prompt: str = ""
