"""The prompts: text files, in the package or in a folder of the user's, and what fills them.

    system.txt        who the model is
    request.txt       what to write; $subject $topic $language $frames $questions $kinds $variation
    repair.txt        what was wrong with an answer; $faults $topic
    subject-KIND.txt  what sort of topic it is
    variation.txt     added when a topic comes again; $variant

A folder may hold some of them; the others are the package's. The hash of all of them is kept with
every record that they led to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random
from string import Template

from textreel.data.files import fingerprint, write_atomic
from textreel.synth.textvid.errors import PromptError
from textreel.synth.textvid.topics import FILE_KINDS, Topic

QUESTION_KINDS: dict[str, str] = {
    "order": "order (what happens before or after what)",
    "cause": "cause (why something happens)",
    "count": "count (how many, or how often)",
    "change": "change (how the state of something changes)",
    "purpose": "purpose (what somebody wants to achieve)",
    "summary": "summary (what the whole video is about)",
}
"""Kinds of questions that are asked for on purpose, and how the prompt words them."""
QUESTIONS_PER_VIDEO = 5  # "about 4.9 QA per Tideo", TextVid, arXiv:2405.13911
FEWEST_FRAMES, MOST_FRAMES = 5, 15  # the same

_FILLED: dict[str, set[str]] = {
    "system.txt": set(),
    "request.txt": {
        "subject",
        "topic",
        "language",
        "frames",
        "questions",
        "kinds",
        "variation",
    },
    "repair.txt": {"faults", "topic"},
    "variation.txt": {"variant"},
    **{f"subject-{kind}.txt": set() for kind in FILE_KINDS},
}
_NEEDED = {"request.txt": {"topic"}, "repair.txt": {"faults"}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompts:
    """A set of prompts.

    Attributes:
        texts: content by file name.
        hash: 16 hexadecimal digits that name them.
    """

    texts: Mapping[str, str]
    hash: str

    def system(self) -> str:
        """Return the system turn."""
        return self.texts["system.txt"].strip()

    def request(self, topic: Topic, *, language: str) -> str:
        """Return the user's turn for a topic: the same for the same topic.

        How many frames and which kinds of questions are asked for is drawn with the topic's key.
        """
        draw = Random(topic.key)
        kind = "line" if topic.kind == "world" else topic.kind
        frames = draw.randint(FEWEST_FRAMES, MOST_FRAMES)
        asked = draw.sample(sorted(QUESTION_KINDS), QUESTIONS_PER_VIDEO)
        again = self._fill("variation.txt", variant=str(topic.variant)) if topic.variant else ""
        return self._fill(
            "request.txt",
            subject=self.texts[f"subject-{kind}.txt"].strip(),
            topic=topic.text,
            language=language,
            frames=str(frames),
            questions=str(QUESTIONS_PER_VIDEO),
            kinds=", ".join(QUESTION_KINDS[one] for one in asked),
            variation=again.rstrip(),
        ).strip()

    def repair(self, topic: Topic, *, faults: str) -> str:
        """Return the user's turn that follows an answer of no use."""
        return self._fill("repair.txt", topic=topic.text, faults=faults).strip()

    def _fill(self, name: str, **values: str) -> str:
        return Template(self.texts[name]).substitute(values)


def load_prompts(folder: Path | str | None = None) -> Prompts:
    """Read the prompts.

    Args:
        folder: with files that stand in for the package's; None: the package's.

    Raises:
        PromptError: no such folder, no prompt in it, a file that is no text, a `$name` that nothing
            fills, or a needed one that is missing.
    """
    texts = _packaged()
    if folder is not None:
        texts |= _own(Path(folder), known=set(texts))
    for name, text in texts.items():
        _check(name, text)
    return Prompts(texts=texts, hash=fingerprint(texts))


def copy_prompts(folder: Path | str) -> list[Path]:
    """Write the package's prompts into a folder; files that are there are kept.

    Returns:
        The files written.
    """
    written = []
    for name, text in _packaged().items():
        if not (path := Path(folder) / name).exists():
            write_atomic(path, text)
            written.append(path)
    return written


def _packaged() -> dict[str, str]:
    home = resources.files("textreel.synth.textvid").joinpath("prompts")
    return {name: home.joinpath(name).read_text(encoding="utf-8") for name in sorted(_FILLED)}


def _own(folder: Path, *, known: set[str]) -> dict[str, str]:
    if not folder.is_dir():
        raise PromptError(f"the prompt folder {folder} is not there", hint="check the path")
    found = {path.name: path for path in sorted(folder.glob("*.txt"))}
    if not found or (unknown := found.keys() - known):
        told = f"{sorted(unknown)}" if found else "none"
        raise PromptError(
            f"{folder} has prompt files that are not used: {told}",
            hint=f"the names are {', '.join(sorted(known))}",
        )
    try:
        return {name: path.read_text(encoding="utf-8") for name, path in found.items()}
    except UnicodeDecodeError as error:
        raise PromptError(f"a prompt in {folder} is not UTF-8 text: {error}") from error


def _check(name: str, text: str) -> None:
    template = Template(text)
    if not template.is_valid():
        raise PromptError(f"{name} has a $ that begins no name", hint="write $$ for a dollar sign")
    there = set(template.get_identifiers())
    if unknown := there - _FILLED[name]:
        raise PromptError(
            f"{name} asks for {', '.join(f'${n}' for n in sorted(unknown))}, which nothing fills",
            hint=f"it may hold {', '.join(f'${n}' for n in sorted(_FILLED[name])) or 'no names'}",
        )
    if missing := _NEEDED.get(name, set()) - there:
        raise PromptError(f"{name} lacks {', '.join(f'${n}' for n in sorted(missing))}")
    if not text.strip():
        raise PromptError(f"{name} is empty: write a prompt, or remove the file")
