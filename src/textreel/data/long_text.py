"""`LongText`: a document, what is asked about it, and the answer; with where it comes from."""

import hashlib
import re
from dataclasses import dataclass
from typing import ClassVar

from textreel.data.errors import HintedError
from textreel.data.files import fingerprint
from textreel.data.record import Message, Part, Record


class RowError(HintedError, ValueError):
    """One row of a corpus is no sample.

    Attributes:
        code: one or two words that name the kind of fault, for counting.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint or "mend the row, or let it be counted and left out")
        self.code = code


@dataclass(frozen=True, kw_only=True, slots=True)
class LongText:
    """One sample of a text corpus.

    Attributes:
        context: the document, as it was found.
        instruction: what is asked.
        answer: what is answered.
    """

    context: str
    instruction: str
    answer: str

    def __post_init__(self) -> None:
        for name, value in (
            ("context", self.context),
            ("instruction", self.instruction),
            ("answer", self.answer),
        ):
            if not value.strip():
                raise RowError(f"there is no {name}", code=f"empty {name}")
        longest = max(len(self.instruction), len(self.answer))
        if len(self.context) < longest:
            raise RowError(
                f"the context has {len(self.context)} characters, the instruction "
                f"{len(self.instruction)} and the answer {len(self.answer)}: columns seem swapped",
                code="swapped columns",
            )

    @property
    def id(self) -> str:
        """16 hexadecimal digits of the content, whatever file it stands in."""
        return fingerprint([self.context, self.instruction, self.answer])

    def to_record(self, *, source: str, licence: str) -> Record:
        """Return the record of one question about pages."""
        return Record(
            id=self.id,
            source=source,
            licence=licence,
            messages=(
                Message(
                    role="user",
                    parts=(
                        Part(kind="pages", value=self.context),
                        Part(kind="text", value=self.instruction),
                    ),
                ),
                Message(role="assistant", parts=(Part(kind="text", value=self.answer),)),
            ),
        )


def content_key(record: Record) -> str:
    """Return what equal samples share: a hash over roles and values.

    Texts are equal case and spacing aside; paths and ids are not.
    """
    digest = hashlib.sha256()
    for message in record.messages:
        for part in message.parts:
            value = part.value
            if part.kind in ("text", "pages"):
                value = re.sub(r"\s+", " ", value).strip().casefold()
            times = f"{part.start_s} {part.end_s}"
            digest.update(f"{message.role}\0{part.kind}\0{times}\0{value}\0".encode())
    return digest.hexdigest()
