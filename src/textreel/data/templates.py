"""The ready prompt templates, in one place, as plain strings.

`topa*` are the published ones (dhg-wei/TOPA@609c482, llama/tokenizer.py, and its dataloaders): the
strings as they are passed to the tokenizer. What is a target begins where upstream's loss begins.
Not as published: upstream inserts the newline after the video as a bare token id, here it is part
of the text; and questions keep their case (upstream lower-cases all but the first letter; a run
that was converted repeats it, through `as_published`).

`tiny` is terse and lower case, for a word-level tokenizer. `image-chat` is for image-LLMs.
"""

from dataclasses import asdict, dataclass, replace

from textreel.data.prompt import PromptTemplate
from textreel.models.published import Published, published_question

TOPA = PromptTemplate(
    name="topa",
    choice_instruction="Instruction: Choose the correct answer based on the video and question.\n",
    open_instruction="Instruction: Predict the answer based on the video and question.\n",
    summary_instruction="Instruction: Generate a summary for the video.\n",
    video_lead="Video:",
    video_tail="\n",
    context="Dialogue: {text}\n",
    question="Question: {question}\n",
    choices_lead="Choices: \n",
    option="({letter}) {text}\n",
    choice_lead="Answer: The correct ",
    choice_target="choice is ({letter})",
    open_lead="Answer:",
    open_target=" {text}\n",
    summary_lead="\nDescription",
    summary_target=": {text}\n",
    turn_separator="\n",
)
"""Multiple choice of TextVid, NExT-QA, EgoSchema, Perception Test and How2QA; Llama-2's summary."""

TOPA_LLAMA3 = replace(
    TOPA,
    name="topa-llama3",
    summary_instruction="Instruction: Generate a dense description for the video.\n",
    choice_lead="Answer: The correct choice ",
    choice_target="is ({letter})",
)
"""Llama-3's summary instruction; its loss begins a token later."""

TOPA_STAR = replace(
    TOPA, name="topa-star", choice_lead="Answer: The answer ", choice_target="is ({letter})"
)
"""STAR and DramaQA."""

TOPA_DIALOGUE = replace(
    TOPA,
    name="topa-dialogue",
    choice_instruction=(
        "Instruction: Predict the answer based on the dialogue, video and question.\n"
    ),
    choice_lead="Answer: The answer is",
    choice_target=" ({letter})",
)
"""TVQA and VLEP; subtitles are the context."""

TOPA_OPEN = replace(
    TOPA,
    name="topa-open",
    choice_instruction=TOPA.open_instruction,
    choices_lead="",
    option="",
    choice_lead="Answer:",
    choice_target=" {text}",
)
"""A choice whose options are not shown, each scored as a free answer (`--openvqa_eval`)."""

TOPA_OPEN_NEXTQA = replace(TOPA_OPEN, name="topa-open-nextqa", choice_lead="\nAnswer:")
"""The same for NExT-QA, whose loader has one more newline."""

TINY = PromptTemplate(
    name="tiny",
    choice_instruction="video : ",
    open_instruction="video : ",
    summary_instruction="video : ",
    frame_tail=".",
    context="{text} . ",
    question="question : {question} ",
    choices_lead="choices : ",
    option="{text} ; ",
    choice_lead="answer : ",
    choice_target="{text}",
    open_lead="answer : ",
    summary_lead="summary : ",
    turn_separator=" ",
)
"""The embedded tiny models' own; the answer is the option's text."""

IMAGE_CHAT = PromptTemplate(
    name="image-chat",
    choice_instruction="",
    open_instruction="",
    summary_instruction="",
    question="{question}",
    choices_lead="\nAnswer with the letter of the right option.\n",
    option="{letter}. {text}\n",
    choice_target="{letter}",
    chat=True,
)
"""Image-LLMs as they are, in their own chat template: pictures first, then the question."""

IMAGE_TINY = replace(
    IMAGE_CHAT,
    name="image-tiny",
    choices_lead=" choices : ",
    option="{text} ; ",
    choice_target="{text}",
)
"""The world's tiny image-LLM: the answer is the option's text, as its decoder learned it."""

FRAME_TEMPLATES = {t.name: t for t in (IMAGE_CHAT, IMAGE_TINY)}
"""Those that a recipe of an image-LLM may name."""

TEMPLATES = {
    t.name: t
    for t in (TOPA, TOPA_LLAMA3, TOPA_STAR, TOPA_DIALOGUE, TOPA_OPEN, TOPA_OPEN_NEXTQA, TINY)
}
"""Those that a recipe may name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CapitalizedTemplate(PromptTemplate):
    """A template that writes questions as the published loaders do."""

    def ask(self, question: str) -> str:
        """Return a question as it is written: all but its first letter lowered."""
        return self.question.format(question=published_question(question))


def as_published(template: PromptTemplate, published: Published | None) -> PromptTemplate:
    """Return `template` as a converted run writes it; for any other run, as it is."""
    if published is None or not published.capitalized:
        return template
    return CapitalizedTemplate(**asdict(template))
