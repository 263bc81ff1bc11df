"""From a `FrameRecipe` to its records and their lengths, and to what makes batches of them.

How long a record is is known before anything is drawn, to the token; what was measured is kept in
`lengths.jsonl` beside the run, so that a killed training goes on at once, and the fonts that pages
take in `fonts.json`: what is installed later changes no page, and on a machine that lacks one of
them, a run does not go on with other pages. Records that are too long or cannot be read are set
aside in `quarantine.jsonl`, each with its reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from textreel.data.files import Json, fingerprint
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
from textreel.recipes.frame_fonts import (
    WatchedDrawer,
    are_settled,
    begin_fonts,
    offered_fonts,
    settle_fonts,
)
from textreel.recipes.frame_left_out import TOO_LONG, LeftOut
from textreel.recipes.frame_recipe import FrameRecipe
from textreel.recipes.frame_world import world_records
from textreel.recipes.recipe import RecipeError
from textreel.synth.pages.drawer import PageDrawer
from textreel.synth.pages.errors import LayoutError, TextError
from textreel.synth.pages.fonts import shipped_font
from textreel.train.frame_records import FrameSource, describe_shown

Show = Callable[[str, int, int, str], None]
_MIX = "make a mix by `textreel data mix`, and name its folder by --set data=DIR"
LENGTHS_FILE, QUARANTINE_FILE = "lengths.jsonl", "quarantine.jsonl"
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

    Then the run keeps its fonts: `frame_fonts.kept_fonts` draws its pages.

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
        FontError: the run took a font that is not on this machine any more.
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
    drawer = WatchedDrawer.like(begin_fonts(source.drawer, out))
    settled = are_settled(out)
    source = replace(source, drawer=drawer)
    with Journal.open(out / LENGTHS_FILE, kind="lengths", fingerprint=_job(recipe)) as journal:
        measure = _Measure(made, source, drawer, journal, left_out, settled=settled)
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
    if not settled:
        settle_fonts(out, measure.taken)
    return kept, tokens


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
        drawer: of the source.
        journal: what was measured before.
        left_out: takes records that are too long, or have no length.
        settled: whether the run knows its fonts; if not, other fonts of the machine than those at
            hand then make a length that took some void.

    Attributes:
        taken: sha256 of the machine's fonts that the pages of measured records take.
    """

    def __init__(
        self,
        made: ImageLLM,
        source: FrameSource,
        drawer: WatchedDrawer,
        journal: Journal,
        left_out: LeftOut,
        *,
        settled: bool,
    ) -> None:
        unlimited = FrameCollator(made.tokenizer, made.model.family)
        self._lengths = SequenceLengths(made.reader, unlimited)
        self._describe = describe_shown(source)
        self._most = source.collator.max_tokens
        self._journal, self._left_out = journal, left_out
        self._drawer, self._settled = drawer, settled
        self.taken: set[str] = set()

    def __call__(self, record: Record) -> int | None:
        """Return the length of a record that can be trained on."""
        key = f"{record.id} {fingerprint(record.to_json())}"
        known: Json = self._journal[key] if key in self._journal else None
        if not self._holds(known):
            self._drawer.taken.clear()
            try:
                length = self._lengths.of(record, self._describe(record))
            except BAD_RECORDS as error:
                code = getattr(error, "code", type(error).__name__)
                self._left_out.add(record, code=code, message=str(error))
                return None
            known = self._noted(length.tokens)
            self._journal.record(key, known, attempt=self._journal.attempt(key) + 1)
        tokens = known if isinstance(known, int) else known["tokens"]
        if not isinstance(known, int):
            self.taken.update(known["found"])
        if tokens > self._most:
            message = f"{tokens:,} tokens, {self._most:,} allowed"
            self._left_out.add(record, code=TOO_LONG, message=message)
            return None
        return int(tokens)

    def _noted(self, tokens: int) -> Json:
        """Return what is kept of a length, with the found fonts that it follows from."""
        if not self._drawer.taken:
            return tokens
        found = sorted({font.sha256 for font in self._drawer.taken})
        return {"tokens": tokens, "found": found, "of": offered_fonts()}

    def _holds(self, known: Json) -> bool:
        """Return whether what was measured before is what would be measured now."""
        if known is None or isinstance(known, int) or self._settled:
            return known is not None
        return bool(known["of"] == offered_fonts())
