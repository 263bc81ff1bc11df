"""TOPA's tables on the tiny world: data efficiency, ablations, the gap and its bridges, long video.

    textreel train topa_tiny_efficiency --out studies/efficiency
    textreel train topa_tiny_ablations --out studies/ablations --set 'seeds=[0]'
    textreel train topa_tiny_gap --out studies/gap
    textreel train topa_tiny_long --out studies/long

`--set` reaches every field: `recipe.train.steps=20`, `seeds=[0]`, `only=["base"]`. Results stand in
docs/LOG.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from textreel.recipes.recipe import AlignRecipe, RecipeError
from textreel.recipes.study import Cell, Look, Study
from textreel.recipes.topa import topa_tiny, tuned

NOISES = (0.0, 0.005, 0.04)
LONG_FRAMES, LONG_SECONDS, WINDOW = (8, 16, 64), (60.0, 180.0), 8
PUBLISHED_MEMORY = Look(name="memory .01", bridge="memory")
MEMORY = Look(name="memory", bridge="memory", temperature=0.07, memory_videos=3000, centred=True)
"""The memory that did best on validation scenes, of `MEMORY_CHOICES`; docs/LOG.md."""
BRIDGES = (
    Look(name="texts", shown="texts"),
    Look(name="none"),
    PUBLISHED_MEMORY,
    Look(name="memory .03", bridge="memory", temperature=0.03),
    Look(name="memory .03 of 3000", bridge="memory", temperature=0.03, memory_videos=3000),
    MEMORY,
    Look(name="mean shift", bridge="mean_shift"),
)
MEMORIES = (
    Look(name="none"),
    *(
        Look(name=f"memory of {count} videos", bridge="memory", memory_videos=count)
        for count in (30, 300)
    ),
    PUBLISHED_MEMORY,
    Look(name="memory of 3000 videos", bridge="memory", memory_videos=3000),
    Look(name="memory, captions + objects", bridge="memory", make_up="caption+objects"),
    Look(name="memory, top 8", bridge="memory", top_k=8),
    *(
        replace(MEMORY, name=f"centred memory of {count} videos", memory_videos=count)
        for count in (30, 300, 1000, 3000)
    ),
)
"""Size and make-up at the published temperature, and size about the means."""
MEMORY_CHOICES = tuple(
    replace(look, name=f"validation: {look.name}", part="validation")
    for look in (
        Look(name="none"),
        Look(name="texts", shown="texts"),
        *(
            Look(name=f"memory {temperature}", bridge="memory", temperature=temperature)
            for temperature in (0.01, 0.02, 0.03, 0.05)
        ),
        Look(name="memory .03, top 8", bridge="memory", temperature=0.03, top_k=8),
        Look(name="memory .03, top 64", bridge="memory", temperature=0.03, top_k=64),
        Look(name="memory .03 of 3000", bridge="memory", temperature=0.03, memory_videos=3000),
        Look(
            name="memory .03, captions + objects",
            bridge="memory",
            temperature=0.03,
            make_up="caption+objects",
        ),
        *(
            replace(
                MEMORY,
                name=f"centred memory {temperature} of {count}",
                temperature=temperature,
                memory_videos=count,
            )
            for count, temperature in (
                *((1000, temperature) for temperature in (0.05, 0.07, 0.1, 0.15)),
                (300, 0.1),
                (3000, 0.07),
                (3000, 0.1),
            )
        ),
        replace(MEMORY, name="centred memory, top 64", top_k=64),
        replace(MEMORY, name="centred memory, captions + objects", make_up="caption+objects"),
        Look(name="mean shift", bridge="mean_shift"),
    )
)
"""What a memory's options were chosen from, across `ablations`' wide gap; the best is `MEMORY`."""


def efficiency(study: Study) -> list[Cell]:
    """Aligned then tuned, against the raw decoder, on 10% and 100% of the clips.

    The paper's claim (arXiv:2405.13911, figure 3): 10% after alignment beats 100% without.
    """
    cells = [Cell(name="aligned", recipe=study.recipe)]
    for kind, name in (("finetune", "tuned"), ("baseline", "baseline")):
        whole = tuned(study.recipe, kind=kind, name=name)
        whole = replace(whole, data=f"world:{study.clips}")
        after = "aligned" if kind == "finetune" else ""
        cells.append(Cell(name=f"{name} 100%", recipe=whole, after=after))
        for equal in ("steps", "epochs"):
            tenth = replace(whole, data_fraction=0.1, equal=equal)
            cells.append(Cell(name=f"{name} 10%, equal {equal}", recipe=tenth, after=after))
    return cells


def ablations(study: Study) -> list[Cell]:
    """The paper's ablations, each a change of the base."""
    base = study.recipe
    ten = replace(base.connector, max_frames=10)
    frames = [
        _cell(f"frames {n}", replace(base, text_frames=10, num_frames=n, connector=ten))
        for n in (1, 5, 10)
    ]
    mix = base.mix
    tasks = {
        "without choices": replace(mix, choices_share=0.0),
        "without open questions": replace(mix, choices_share=1.0),
        "without summaries": replace(mix, summary_share=0.0),
        **{f"noise {n}": replace(mix, noise=n) for n in NOISES if n != mix.noise},
    }
    sizes = [_cell(f"textual videos {n}", replace(base, data=f"world:{n}")) for n in (325, 1300)]
    return [
        Cell(name="base", recipe=base, looks=MEMORIES),
        *frames,
        *(_cell(name, replace(base, mix=changed)) for name, changed in tasks.items()),
        _cell("without a head start", replace(base, head_start=None)),
        _cell("captions + objects", replace(base, fuse="caption+objects")),
        *sizes,
        _cell("centred", replace(base, centred=True)),
        Cell(
            name="wide gap",
            recipe=replace(base, wide_gap=True, mix=replace(mix, noise=0.0)),
            looks=(*MEMORIES, *MEMORY_CHOICES),
        ),
    ]


def _cell(name: str, recipe: AlignRecipe) -> Cell:
    return Cell(name=name, recipe=recipe)


def gaps(study: Study) -> list[Cell]:
    """Gap {small, wide} x noise {none, the recipe's} x bridge, of the same towers."""
    return [
        Cell(
            name=f"{'wide' if wide else 'small'} gap, noise {noise}",
            recipe=replace(study.recipe, wide_gap=wide, mix=replace(study.recipe.mix, noise=noise)),
            looks=BRIDGES,
        )
        for wide in (False, True)
        for noise in (0.0, study.recipe.mix.noise)
    ]


def long_video(study: Study) -> list[Cell]:
    """Models aligned on 8-second and on long textual videos, slots beside seconds, long exams."""
    base = study.recipe
    table, time = base.connector, replace(base.connector, temporal="time")
    slots = replace(table, max_frames=16)
    longer = replace(base.train, steps=3 * base.train.steps)  # the decoder never met such questions
    long = replace(base, seconds=60.0, text_frames=16, num_frames=16, connector=slots, train=longer)
    looks = tuple(
        Look(
            name=f"{seconds:g} s, {frames} frames{', windowed' if window else ''}",
            seconds=seconds,
            num_frames=frames,
            window=window,
        )
        for seconds in LONG_SECONDS
        for frames in LONG_FRAMES
        for window in (None, WINDOW)
        if window is None or frames > window
    )
    recipes = {
        "8 s, slots": base,
        "8 s, seconds": replace(base, connector=time),
        "60 s, slots": long,
        "60 s, seconds": replace(long, connector=time),
        "180 s, seconds": replace(long, seconds=180.0, connector=time),
    }
    return [Cell(name=name, recipe=recipe, looks=looks) for name, recipe in recipes.items()]


TABLES: dict[str, Callable[[Study], list[Cell]]] = {
    "efficiency": efficiency,
    "ablations": ablations,
    "gap": gaps,
    "long": long_video,
}


def chosen_cells(study: Study) -> list[Cell]:
    """Return the cells to run: all, or those of `only` with those they begin with.

    Raises:
        RecipeError: no such table, or no such cell.
    """
    if study.table not in TABLES:
        raise RecipeError(f"there is no table {study.table!r}", hint=f"one of {', '.join(TABLES)}")
    cells = TABLES[study.table](study)
    known = {cell.name: cell for cell in cells}
    if missing := [name for name in study.only if name not in known]:
        raise RecipeError(
            f"the study has no cell {missing[0]!r}", hint=f"one of {', '.join(known)}"
        )
    wanted = set(study.only) | {known[name].after for name in study.only}
    return [cell for cell in cells if not study.only or cell.name in wanted]


def compared(study: Study) -> Sequence[tuple[str, str]]:
    """Return which cells' differences the table ends with."""
    if study.table != "efficiency":
        return ()
    return (
        ("tuned 100%", "baseline 100%"),
        *(
            (f"tuned 10%, equal {equal}", other)
            for equal in ("steps", "epochs")
            for other in ("baseline 100%", f"baseline 10%, equal {equal}")
        ),
    )


def _study(name: str, *, brief: bool = True, **changes: object) -> Callable[[], Study]:
    """Return the maker of a study; variants are compared after 40 updates of half a batch."""
    table, recipe = name.removeprefix("topa_tiny_"), topa_tiny()
    if brief:
        recipe = replace(recipe, train=replace(recipe.train, steps=40, accumulate=1))
    return lambda: Study(name=name, recipe=recipe, table=table, **changes)  # type: ignore[arg-type]


STUDIES: dict[str, Callable[[], Study]] = {
    "topa_tiny_efficiency": _study("topa_tiny_efficiency", brief=False),
    "topa_tiny_ablations": _study("topa_tiny_ablations", seeds=(0,)),
    "topa_tiny_gap": _study("topa_tiny_gap"),
    "topa_tiny_long": _study("topa_tiny_long", seeds=(0,), num_scenes=40),
}
