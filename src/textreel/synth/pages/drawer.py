"""`PageDrawer`: what a data worker needs to draw the pages of any record when a batch wants them.

It is a few JSON values (settings, jitter, the hashes of fonts), so it is sent to a worker or kept
in a run at no cost; pages are never stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from textreel.data.files import fingerprint
from textreel.data.record import Record
from textreel.media.clip import Clip
from textreel.synth.pages.errors import EmptyTextError
from textreel.synth.pages.fonts import FontFile, default_font, font_by_hash
from textreel.synth.pages.jitter import Jitter, check_jitter, jitter_fonts, jitter_settings
from textreel.synth.pages.settings import PageSettings
from textreel.synth.pages.typeset import Typeset, typeset


@dataclass(frozen=True, kw_only=True)
class PageDrawer:
    """How the texts of a data set become pages.

    Attributes:
        settings: of all pages.
        font_hashes: sha256 of the fonts, in order of preference; none: the default font.
        jitter: what differs from text to text.
        search: whether fonts of the machine may draw what these lack; or the sha256 of all fonts of
            it that may, in order of preference: then no other is taken, whatever is installed.

    Raises:
        LayoutError: jitter that these settings cannot have.
    """

    settings: PageSettings = field(default_factory=PageSettings)
    font_hashes: tuple[str, ...] = ()
    jitter: Jitter | None = None
    search: bool | tuple[str, ...] = True

    def __post_init__(self) -> None:
        if self.jitter is not None:
            check_jitter(self.settings, self.jitter)

    @classmethod
    def of_fonts(
        cls,
        settings: PageSettings,
        fonts: Sequence[FontFile],
        *,
        jitter: Jitter | None = None,
        search: bool | tuple[str, ...] = True,
        **more: Any,  # noqa: ANN401 - the fields of a subclass
    ) -> Self:
        """Return a drawer with these font files at hand; elsewhere they are found by hash."""
        made = cls(
            settings=settings,
            font_hashes=tuple(font.sha256 for font in fonts),
            jitter=jitter,
            search=search,
            **more,
        )
        made.__dict__["fonts"] = tuple(fonts)
        return made

    @cached_property
    def fonts(self) -> tuple[FontFile, ...]:
        """The font files, found by their hashes."""
        return tuple(map(font_by_hash, self.font_hashes)) or (default_font(),)

    @cached_property
    def _offered(self) -> bool | tuple[FontFile, ...]:
        """What `typeset` searches: the machine's fonts, none, or those of these hashes."""
        search = self.search
        return search if isinstance(search, bool) else tuple(map(font_by_hash, search))

    @property
    def fingerprint(self) -> str:
        """Name of everything that decides what pages look like."""
        return fingerprint(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "settings": self.settings.to_json(),
            "fonts": list(self.font_hashes),
            "jitter": None if self.jitter is None else self.jitter.to_json(),
            "search": self.search if isinstance(self.search, bool) else list(self.search),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        jitter, search = values["jitter"], values["search"]
        spans: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in (jitter or {}).items()
        }
        return cls(
            settings=PageSettings.from_json(values["settings"]),
            font_hashes=tuple(values["fonts"]),
            jitter=None if jitter is None else Jitter(**spans),
            search=tuple(search) if isinstance(search, list) else search,
        )

    def typeset(self, text: str, *, id: str) -> Typeset:
        """Return the pages of one text; nothing is drawn yet.

        Raises:
            TextError: it has no pages.
            LayoutError: it does not fit its budget.
        """
        settings, fonts = self.settings, self.fonts
        if self.jitter is not None:
            settings = jitter_settings(settings, self.jitter, id=id)
            fonts = jitter_fonts(fonts, self.jitter, id=id)
        return typeset(text, settings, fonts=fonts, search=self._offered)

    def clip(self, record: Record) -> Clip:
        """Return the pages of a record as a video of one page a second.

        Raises:
            TextError: the record has no pages, or its text has none.
        """
        return self.typeset(text_of(record), id=record.id).clip(source=record.id)


def text_of(record: Record) -> str:
    """Return the text that a record's pages show.

    Raises:
        EmptyTextError: it has none, or more than one.
    """
    texts = [p.value for message in record.messages for p in message.parts if p.kind == "pages"]
    if len(texts) != 1:
        raise EmptyTextError(
            f"record {record.id} has {len(texts)} texts for pages, one is wanted",
            hint="records with pages come from `textreel data mix`",
        )
    return texts[0]
