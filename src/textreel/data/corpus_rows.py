"""One row of a published corpus -> one `LongText`: where the document ends and the question begins.

LongAlpaca (Yukang/LongAlpaca-12k) wraps the document in fixed English sentences inside
`instruction`: one paper, two papers, paragraphs of a book, any material, a paper with a review
guideline. All of them begin with a header that ends in "... answer my question after the X." and
end with "Now the X ends."; what follows is the question. "Question: " before it and "Answer: "
before the answer belong to the wrapper. LongQLoRA (YeungNLP) holds rows of the same forms and of
the two below, as conversations of one turn.

BookSum and Natural Questions are those of togethercomputer/Long-Data-Collections. Their published
preparation (VITA-MLLM/Sparrow @ 7e6d766) keeps contexts of at least 3,000 words, and is repeated
except for two faults: it lower-cased names in questions, and drew the retrieval prompt as text.
"""

import re
from collections.abc import Mapping

from textreel.data.files import Json
from textreel.data.long_text import LongText, RowError

MIN_WORDS = 3000
"""Of a context of BookSum and Natural Questions."""
_HEADER = re.compile(
    r"\s*(?:Below (?:is|are)|There are)\b.{0,400}?"
    r"\banswer my questions? after the \w+(?: \w+)?\.\s*",
    re.I | re.S,
)
_BEGINS = re.compile(r"\s*The (?:first )?[\w ]{1,30}? begins\.\s*", re.I)
_ENDS = re.compile(
    r"\s*Now the (?:second )?"
    r"(?:papers?|materials?|books?|paragraphs|review guidelines?) ends?\.\s*",
    re.I,
)
_RETRIEVAL = re.compile(r"\s*Write a high-quality answer[^\n]*\n\s*", re.I)
NQ_REQUEST = "Give a short answer, then the ID of the document that it stands in."


def from_longalpaca(row: Mapping[str, Json]) -> LongText:
    """Read a LongAlpaca row.

    Raises:
        RowError: no document (the corpus has short rows too), or something is missing.
    """
    prompt = text_of(row, "instruction")
    extra = row.get("input")
    if isinstance(extra, str) and extra.strip():
        prompt = f"{prompt}\n{extra}"
    return _unwrapped(prompt, text_of(row, "output"))


def from_longqlora(row: Mapping[str, Json]) -> LongText:
    """Read a LongQLoRA row: a conversation of one turn, or instruction and output.

    Raises:
        RowError: more turns, no document, or something is missing.
    """
    prompt, answer = _only_turn(row)
    if "Long Answer: " in answer:
        return _question_of_nq(prompt, answer)
    if "\nQ: " in prompt and prompt.rstrip().endswith("\nA:"):
        return _question_of_booksum(prompt, answer)
    return _unwrapped(prompt, answer)


def from_booksum(row: Mapping[str, Json]) -> LongText:
    """Read a BookSum row: `prompt` is context, `Q:`, question, `A:`; `completion` the answer.

    Raises:
        RowError: no such marks, a short context, or something is missing.
    """
    return _question_of_booksum(text_of(row, "prompt"), text_of(row, "completion"))


def from_natural_questions(row: Mapping[str, Json]) -> LongText:
    """Read a row of Natural Questions with long documents.

    Raises:
        RowError: no question or answer in the expected places, or a short context.
    """
    made = _question_of_nq(text_of(row, "prompt"), text_of(row, "completion"))
    _refuse_short(made.context)
    return made


def from_fields(row: Mapping[str, Json], fields: Mapping[str, str]) -> LongText:
    """Read a row of any JSON object.

    Args:
        row: the object.
        fields: names of its fields that hold `context`, `instruction` and `answer`.

    Raises:
        RowError: one of them is missing or no text.
    """
    return LongText(**{name: text_of(row, field) for name, field in fields.items()})


def text_of(row: Mapping[str, Json], field: str) -> str:
    """Return a text field.

    Raises:
        RowError: it is missing or no text; lists the fields there are.
    """
    value = row.get(field)
    if field not in row:
        raise RowError(
            f"no field {field!r}; there are: {', '.join(sorted(map(str, row)))}",
            code=f"no {field}",
        )
    if not isinstance(value, str):
        raise RowError(f"{field!r} is a {type(value).__name__}, no text", code=f"no {field}")
    return value


def unwrap(prompt: str) -> tuple[str, str]:
    """Return document and question of a prompt in one of LongAlpaca's wrappers.

    Raises:
        RowError: no wrapper, or nothing in it or after it.
    """
    ends = list(_ENDS.finditer(prompt))
    header = _HEADER.match(prompt)
    if not ends or header is None:
        raise RowError(f"no document in the prompt: it begins {prompt[:60]!r}", code="no document")
    begins = _BEGINS.match(prompt, header.end())
    start = begins.end() if begins else header.end()
    context, question = prompt[start : ends[-1].start()], prompt[ends[-1].end() :].strip()
    question = question.removeprefix("Question:").strip()
    if not question:
        raise RowError("nothing is asked after the document", code="no question")
    return context, question


def _unwrapped(prompt: str, answer: str) -> LongText:
    context, question = unwrap(prompt)
    answer = answer.strip().removeprefix("Answer:")
    return LongText(context=context, instruction=question, answer=answer.strip())


def _question_of_booksum(prompt: str, completion: str) -> LongText:
    context, mark, rest = prompt.rpartition("Q:")
    if not mark:
        raise RowError("no 'Q:' in the prompt", code="no question")
    _refuse_short(context)
    question = rest.partition("A:")[0].strip()
    return LongText(context=context.strip(), instruction=question, answer=completion.strip())


def _question_of_nq(prompt: str, completion: str) -> LongText:
    context, mark, question = prompt.rpartition("Question: ")
    question = question.partition("\n")[0].strip()
    if not mark or not question:
        raise RowError("no 'Question: ' in the prompt", code="no question")
    if preamble := _RETRIEVAL.match(context):
        context = context[preamble.end() :]
    short, found, rest = completion.partition("Long Answer: ")
    document = rest.partition("Gold Document ID: ")[2].split()
    short = short.rpartition("Answer: ")[2].strip()
    if not found or not document or not short:
        raise RowError("no short answer with a document ID", code="no answer")
    question = question[0].upper() + question[1:] + ("" if question.endswith("?") else "?")
    return LongText(
        context=context.strip(),
        instruction=f"{question} {NQ_REQUEST}",
        answer=f"{short}\nDocument ID: {document[0]}",
    )


def _refuse_short(context: str) -> None:
    if (words := len(context.split())) < MIN_WORDS:
        raise RowError(f"the context has {words} words, {MIN_WORDS} wanted", code="short context")


def _only_turn(row: Mapping[str, Json]) -> tuple[str, str]:
    turns = row.get("conversation", row.get("conversations"))
    if turns is None:
        return text_of(row, "instruction"), text_of(row, "output")
    if not isinstance(turns, list) or len(turns) != 1 or not isinstance(turns[0], dict):
        count = len(turns) if isinstance(turns, list) else 0
        raise RowError(f"a conversation of {count} turns, one wanted", code="several turns")
    return text_of(turns[0], "human"), text_of(turns[0], "assistant")
