"""From a `FrameRecipe` to its records and their lengths, and to what makes batches of them.

How long a record is is known before anything is drawn, to the token; what was measured is kept in
`lengths.jsonl` beside the run, so that a killed training goes on at once, and the fonts that pages
take in `fonts.json`: on a machine that lacks one of them, a run does not go on with other pages.
Records that are too long or cannot be read are set aside in `quarantine.jsonl`, each with its
reason.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from textreel.data.files import fingerprint, write_atomic
from textreel.data.frame_collate import FrameCollator
from textreel.data.journal import Journal
from textreel.data.prompt import PromptError
from textreel.data.record import Record
from textreel.data.record_files import read_records
from textreel.data.sequence_length import SequenceLengths
from textreel.data.templates import FRAME_TEMPLATES
from textreel.media.errors import MediaError
from textreel.media.sampling import SamplingError, SamplingSpec
from textreel.models.image_mllm.loading import ImageLLM
from textreel.recipes.frame_left_out import TOO_LONG, LeftOut
from textreel.recipes.frame_recipe import FrameRecipe
from textreel.recipes.frame_world import world_records
from textreel.recipes.recipe import RecipeError
from textreel.synth.pages.drawer import PageDrawer
from textreel.synth.pages.errors import LayoutError, TextError
from textreel.synth.pages.fonts import font_by_hash, shipped_font
from textreel.synth.pages.typeset import Typeset
from textreel.train.frame_records import FrameSource, describe_shown

Show = Callable[[str, int, int, str], None]
_MIX = "make a mix by `textreel data mix`, and name its folder by --set data=DIR"
LENGTHS_FILE, QUARANTINE_FILE = "lengths.jsonl", "quarantine.jsonl"
FONTS_FILE = "fonts.json"
UNLIMITED = 1 << 30
BAD_RECORDS = (MediaError, SamplingError, PromptError, LayoutError, TextError)
"""What can be wrong with one record; anything else ends the job."""


def check_places(recipe: FrameRecipe) -> None:
    """Refuse data and media that are not there; quick, so that no model is fetched for nothing.

    Raises:
        RecipeError: says which.
    """
    if recipe.world is not None:
        return
    if not Path(recipe.data).exists():
        raise RecipeError(f"data={recipe.data!r}: no such file or folder of records", hint=_MIX)
    if not Path(recipe.media).is_dir():
        raise RecipeError(
            f"media={recipe.media!r}: no such folder of videos",
            hint="name the folder that paths in the records start from by --set media=DIR",
        )


def open_source(recipe: FrameRecipe, made: ImageLLM) -> FrameSource:
    """Return what makes batches of the recipe's records."""
    limits = [n for n in (recipe.max_tokens, made.model.limit) if n is not None]
    drawer = open_drawer(recipe)
    return FrameSource(
        drawer=drawer,
        reader=made.reader,
        collator=FrameCollator(
            made.tokenizer,
            made.model.family,
            template=FRAME_TEMPLATES[recipe.template],
            max_tokens=min(limits, default=UNLIMITED),
        ),
        loss=recipe.loss,
        sampling=SamplingSpec(num_frames=recipe.num_frames),
        media=Path(recipe.media),
        draw=world_records(recipe, drawer).draw if recipe.world is not None else None,
    )


def open_drawer(recipe: FrameRecipe) -> PageDrawer:
    """Return what draws the recipe's pages."""
    jitter = recipe.page_jitter
    if not recipe.page_font:
        search = recipe.world is None
        return PageDrawer(settings=recipe.pages, jitter=jitter, search=search)
    fonts = [shipped_font(recipe.page_font)]
    return PageDrawer.of_fonts(recipe.pages, fonts, jitter=jitter, search=False)


def open_records(
    recipe: FrameRecipe,
    made: ImageLLM,
    source: FrameSource,
    out: Path,
    *,
    show: Show = lambda *_: None,
) -> tuple[Sequence[Record], list[int]]:
    """Return the records and their lengths; those that cannot be trained on are set aside.

    Args:
        recipe: whose data.
        made: the model that shall read them.
        source: makes batches of them.
        out: the run's folder, for what is measured and what is set aside.
        show: told how far it is.

    Raises:
        RecipeError: no records are left, or there were none.
        TooManyBadError: more must be left out than the recipe allows.
        FingerprintError: the folder holds lengths for another model or other pages.
        FontError: the run took a font that is not on this machine.
    """
    if recipe.world is not None:
        drawn = world_records(recipe, source.drawer)
        return drawn, drawn.lengths()
    check_places(recipe)
    records = list(read_records(Path(recipe.data)))
    if not records:
        raise RecipeError(f"data={recipe.data!r} holds no record", hint=_MIX)
    left_out = LeftOut(recipe, out / QUARANTINE_FILE, records)
    left_out.miss_files()
    kept: list[Record] = []
    tokens: list[int] = []
    drawer = _watched(source.drawer, out)
    source = replace(source, drawer=drawer)
    with Journal.open(out / LENGTHS_FILE, kind="lengths", fingerprint=_job(recipe)) as journal:
        measure = _Measure(made, source, journal, left_out)
        for number, record in enumerate(records, start=1):
            if record not in left_out and (length := measure(record)) is not None:
                kept.append(record)
                tokens.append(length)
            show("measure", number, len(records), "")
    left_out.check()
    show("measure", len(records), len(records), f"{len(kept)} records{left_out.told()}")
    if not kept:
        raise RecipeError(
            f"data={recipe.data!r}: none of {len(records)} records can be trained on"
            f"{left_out.told()}",
            hint="raise --set max_tokens=N, take fewer frames or pages, or mend the records",
        )
    return kept, tokens


@dataclass(frozen=True, kw_only=True)
class _WatchedDrawer(PageDrawer):
    """Keeps the hashes of all fonts that it takes, and their names, in a file of the run.

    They are written before a length that follows from them is: what was measured is not typeset
    again, so a killed run would lose them.
    """

    path: Path = Path(FONTS_FILE)
    taken: dict[str, str] = field(default_factory=dict)

    def typeset(self, text: str, *, id: str) -> Typeset:
        document = super().typeset(text, id=id)
        found = {font.sha256: font.name for font in document.fonts}
        if found.keys() - self.taken.keys():
            self.taken.update(found)
            text = json.dumps(self.taken, indent=1, sort_keys=True) + "\n"
            write_atomic(self.path, text)
        return document


def _watched(drawer: PageDrawer, out: Path) -> _WatchedDrawer:
    """Return a drawer like another one that knows the fonts of the run in `out`."""
    made = _WatchedDrawer.of_fonts(
        drawer.settings,
        drawer.fonts,
        jitter=drawer.jitter,
        search=drawer.search,
        path=out / FONTS_FILE,
    )
    if made.path.is_file():
        made.taken.update(json.loads(made.path.read_text(encoding="utf-8")))
    for sha256 in made.taken.keys() - {font.sha256 for font in drawer.fonts}:
        font_by_hash(sha256)
    return made


def _job(recipe: FrameRecipe) -> str:
    """Name everything that lengths follow from, beside the records."""
    pictures = [recipe.num_frames, recipe.tiles, recipe.frame_tokens]
    pages = [recipe.pages.to_json(), recipe.page_font]
    if recipe.page_jitter is not None:
        pages.append(recipe.page_jitter.to_json())
    return fingerprint([recipe.model, recipe.media, pages, pictures])


class _Measure:
    """Says how many tokens a record has, or sets it aside.

    Args:
        made: the model.
        source: says what a record shows; its collator, how long one may be.
        journal: what was measured before.
        left_out: takes records that are too long, or have no length.
    """

    def __init__(
        self, made: ImageLLM, source: FrameSource, journal: Journal, left_out: LeftOut
    ) -> None:
        unlimited = FrameCollator(made.tokenizer, made.model.family)
        self._lengths = SequenceLengths(made.reader, unlimited)
        self._describe = describe_shown(source)
        self._most = source.collator.max_tokens
        self._journal, self._left_out = journal, left_out

    def __call__(self, record: Record) -> int | None:
        """Return the length of a record that can be trained on."""
        key = f"{record.id} {fingerprint(record.to_json())}"
        if key not in self._journal:
            try:
                length = self._lengths.of(record, self._describe(record))
            except BAD_RECORDS as error:
                code = getattr(error, "code", type(error).__name__)
                self._left_out.add(record, code=code, message=str(error))
                return None
            self._journal.record(key, length.tokens)
        tokens = self._journal[key]
        assert isinstance(tokens, int)
        if tokens > self._most:
            message = f"{tokens:,} tokens, {self._most:,} allowed"
            self._left_out.add(record, code=TOO_LONG, message=message)
            return None
        return tokens
