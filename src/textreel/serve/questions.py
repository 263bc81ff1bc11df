"""What is checked before a model is asked: that there is a question, and something to choose."""

from collections.abc import Sequence

from tokenizers import Tokenizer

from textreel.data.prompt import LETTERS, Turn
from textreel.serve.errors import OptionsError, QuestionError


def as_turn(
    question: str, options: Sequence[str] | None, *, tokenizer: Tokenizer, limit: int | None
) -> Turn:
    """Return a checked question as a turn without an answer.

    Arguments and errors as `check_question` and, of a choice, `check_options`.
    """
    text = check_question(question, tokenizer=tokenizer, limit=limit)
    if options is None:
        return Turn(task="open", question=text)
    return Turn(task="choice", question=text, options=check_options(options))


def check_question(question: str, *, tokenizer: Tokenizer, limit: int | None) -> str:
    """Return the question without white space around it.

    Args:
        question: what a user asked.
        tokenizer: the decoder's.
        limit: most positions the decoder reads; None: as many as there are.

    Raises:
        QuestionError: it has no words, or alone more tokens than the decoder reads.
    """
    question = question.strip()
    if not question:
        raise QuestionError("the question is empty", hint="Ask something.")
    if limit is None:
        return question
    tokens = len(tokenizer.encode(question, add_special_tokens=False).ids)
    if tokens > limit:
        raise QuestionError(
            f"the question is too long: {len(question.split()):,} words make {tokens:,} tokens, "
            f"but this model reads {limit:,}",
            hint="Ask a shorter question; nothing is cut off behind your back.",
        )
    return question


def check_options(options: Sequence[str]) -> tuple[str, ...]:
    """Return the options without white space around them.

    Raises:
        OptionsError: fewer than two, more than there are letters, an empty one, or two that differ
            in nothing but case and white space.
    """
    texts = tuple(option.strip() for option in options)
    if not 2 <= len(texts) <= len(LETTERS):
        raise OptionsError(
            f"{len(texts)} option{'s' * (len(texts) != 1)} given, but a choice is between 2 and "
            f"{len(LETTERS)}",
            hint="Give two options or more, or none at all for an answer in free words.",
        )
    if "" in texts:
        raise OptionsError(
            f"option {texts.index('') + 1} of {len(texts)} is empty",
            hint="Leave it out, or give it words.",
        )
    alike: dict[str, int] = {}
    for number, text in enumerate(texts, start=1):
        first = alike.setdefault(" ".join(text.lower().split()), number)
        if first != number:
            raise OptionsError(
                f"options {first} and {number} of {len(texts)} are the same: {text!r}",
                hint="Give every option once.",
            )
    return texts
