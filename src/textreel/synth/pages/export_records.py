"""The pages of records, or of plain text files, as picture files: `textreel synth pages`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from textreel.data.quarantine import Quarantine
from textreel.data.record import Message, Part, Record
from textreel.data.record_files import read_records
from textreel.synth.pages.drawer import PageDrawer, text_of
from textreel.synth.pages.errors import LayoutError, TextError
from textreel.synth.pages.export import (
    ExportError,
    ExportReport,
    PictureFormat,
    drop_text,
    export_folder,
    export_tar,
)
from textreel.synth.pages.typeset import Typeset

PLAIN_ENDINGS = {".txt", ".md"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PagesReport:
    """What was written, and what was not.

    Attributes:
        files: texts, pages and bytes.
        without_pages: records that have no text for pages: they show videos or pictures.
        bad: texts set aside, by reason.
    """

    files: ExportReport
    without_pages: int
    bad: dict[str, int]


def read_texts(path: Path | str) -> Iterator[Record]:
    """Yield the records of a file or mix; a .txt or .md file is one text named after the file.

    What of a file's name cannot stand in a folder's is an underscore there.

    Raises:
        ExportError: a text file that is not UTF-8.
        CorpusError: nothing to read there, or a line that is no record.
    """
    path = Path(path)
    if path.suffix.lower() not in PLAIN_ENDINGS or not path.is_file():
        yield from read_records(path)
        return
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExportError(
            f"{path} is no UTF-8 text: {error.reason} at byte {error.start}",
            hint="convert it to UTF-8",
        ) from error
    part = Part(kind="pages", value=text)
    id = re.sub(r"[^\w.@+-]", "_", path.stem)
    yield Record(id=id, messages=(Message(role="user", parts=(part,)),), source=str(path))


def export_records(
    records: Iterable[Record],
    out: Path | str,
    drawer: PageDrawer,
    *,
    format: PictureFormat = "png",
    quarantine: Quarantine,
) -> PagesReport:
    """Write the pages of all records that have some.

    Args:
        records: any; those without pages are counted and passed over.
        out: a folder, or a file that ends in .tar.
        drawer: how texts become pages.
        format: of the pictures.
        quarantine: takes texts that have no pages or cannot be drawn; its entries of an earlier
            export are taken out when this one begins.

    Raises:
        ExportError: see `export_folder` and `export_tar`.
        TooManyBadError: more texts are bad than the quarantine allows; finished folders are kept.
    """
    is_tar = Path(out).suffix == ".tar"
    texts = _Texts(records, drawer, quarantine, out=None if is_tar else Path(out))
    if is_tar:
        report = export_tar(texts, out, format=format)
    else:
        report = export_folder(texts, out, format=format, made_with=drawer.to_json())
    quarantine.check(texts.seen)
    return PagesReport(files=report, without_pages=texts.without_pages, bad=quarantine.summary())


class _Texts:
    """Typesets the texts of records as they are asked for, and counts the rest.

    A text that cannot be drawn loses the pages that `out` has of an earlier one of its id: they
    would be taken for its own.
    """

    def __init__(
        self,
        records: Iterable[Record],
        drawer: PageDrawer,
        quarantine: Quarantine,
        *,
        out: Path | None,
    ) -> None:
        self._records, self._drawer, self._quarantine = records, drawer, quarantine
        self._out, self._drawn = out, set[str]()
        self.seen = self.without_pages = 0

    def __iter__(self) -> Iterator[tuple[str, Typeset]]:
        self._quarantine.start_again({bad.id for bad in self._quarantine})
        for record in self._records:
            parts = [part for message in record.messages for part in message.parts]
            if all(part.kind != "pages" for part in parts):
                self.without_pages += 1
                continue
            self.seen += 1
            try:
                document = self._drawer.typeset(text_of(record), id=record.id)
            except (TextError, LayoutError) as error:
                code = getattr(error, "code", "layout")
                self._quarantine.add(record.id, source=record.source, code=code, message=str(error))
                if self._out is not None and record.id not in self._drawn:
                    drop_text(self._out, record.id)
                continue
            self._drawn.add(record.id)
            yield record.id, document
