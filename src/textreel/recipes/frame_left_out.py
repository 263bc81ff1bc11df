"""`LeftOut`: the records that a fine-tuning leaves out, listed in its run, within its two limits.

What is at fault (a video that is missing, a text that cannot be drawn) and what is only too long
are limited apart: the published recipe leaves out any number of long records, but a mix without its
videos is another training. Files are looked for first, before hours go into measuring.
"""

from collections.abc import Sequence
from pathlib import Path

from textreel.data.errors import TooManyBadError
from textreel.data.media_names import named_file
from textreel.data.quarantine import Quarantine
from textreel.data.record import Record
from textreel.media.errors import MissingFileError
from textreel.recipes.frame_recipe import FrameRecipe

TOO_LONG = "too long"


class LeftOut:
    """The records that are left out.

    Args:
        recipe: whose limits hold, and where its media are.
        path: of the list, JSON lines.
        records: all there are; what the list says of them from an earlier run is taken out.
    """

    def __init__(self, recipe: FrameRecipe, path: Path, records: Sequence[Record]) -> None:
        self._path, self._records = path, records
        self._media = Path(recipe.media)
        self._listed = Quarantine(path, max_bad=None)
        self._listed.start_again({record.id for record in records})
        self._apart = {
            "max_bad": Quarantine(max_bad=recipe.max_bad),
            "max_long": Quarantine(max_bad=recipe.max_long),
        }
        self._records_out: set[Record] = set()

    def __contains__(self, record: Record) -> bool:
        return record in self._records_out

    def add(self, record: Record, *, code: str, message: str) -> None:
        """Leave a record out."""
        limited = self._apart["max_long" if code == TOO_LONG else "max_bad"]
        for quarantine in (self._listed, limited):
            quarantine.add(record.id, source=record.source, code=code, message=message)
        self._records_out.add(record)

    def miss_files(self) -> None:
        """Leave out the records whose videos or pictures are not there.

        Raises:
            TooManyBadError: more than the recipe allows.
        """
        for record in self._records:
            parts = [part for message in record.messages for part in message.parts]
            try:
                for part in parts:
                    if part.kind in ("video", "image"):
                        named_file(self._media, part.value)
            except MissingFileError as error:
                self.add(record, code=type(error).__name__, message=str(error))
        self.check()

    def check(self) -> None:
        """Stop where more is left out than the recipe allows.

        Raises:
            TooManyBadError: counts them by reason, and names the setting.
        """
        for setting, quarantine in self._apart.items():
            try:
                quarantine.check(len(self._records))
            except TooManyBadError as error:
                hint = f"mend them or raise --set {setting}=N; all are listed in {self._path}"
                raise TooManyBadError(str(error), hint=hint) from error

    def told(self) -> str:
        """Return how many are left out for which reason, and where they are listed."""
        counts = ", ".join(f"{number} {code}" for code, number in self._listed.summary().items())
        return f"; left out: {counts} ({self._path})" if counts else ""
