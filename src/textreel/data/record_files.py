"""Our records on disk: JSON lines, or the folder of a mix."""

from collections.abc import Iterator
from pathlib import Path

from textreel.data.corpora import CorpusFile, read_corpus
from textreel.data.errors import CorpusError
from textreel.data.mix import MANIFEST_FILE, RECORDS_FILE
from textreel.data.quarantine import Quarantine
from textreel.data.record import Record


def read_records(path: Path | str, *, quarantine: Quarantine | None = None) -> Iterator[Record]:
    """Yield the records of a file, or of a folder that `data mix` made.

    Args:
        path: the file or folder.
        quarantine: takes lines that are no records; without one, the first is an error.

    Raises:
        CorpusError: nothing to read there, a line that is no record, or the file that says what
            is in a mix.
        TextualDataError: a line that is no JSON.
    """
    path = Path(path)
    if path.name == MANIFEST_FILE and (path.parent / RECORDS_FILE).is_file():
        raise CorpusError(
            f"{path} says what is in a mix, and holds no records",
            hint=f"name the folder, {path.parent}",
        )
    if path.is_dir():
        path = path / RECORDS_FILE
    strict = Quarantine(max_bad=None) if quarantine is None else quarantine
    for record in read_corpus(CorpusFile(path=path, corpus="records"), quarantine=strict):
        if quarantine is None:
            _refuse_bad(strict)
        yield record
    if quarantine is None:
        _refuse_bad(strict)


def _refuse_bad(quarantine: Quarantine) -> None:
    for bad in quarantine:
        raise CorpusError(
            f"{bad.source} line {bad.line} is no record: {bad.message}", hint="mend the line"
        )
