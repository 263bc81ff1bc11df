"""From a stage's sources to its batches.

    world     features in memory, questions from the scenes (`senses_world`)
    corpora   records of annotation files; features from a store, read when a batch is made

A batch is of one source, drawn by the stage's ratios (`train.ratio`). A branch reads what the stage
says: a sound branch may read features of pictures, as the published one does all through training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

from textreel.data.corpora import CorpusFile, read_corpus
from textreel.data.encoding import EncodedPrompt
from textreel.data.prompt import Prompt, Turn
from textreel.data.quarantine import Quarantine
from textreel.data.record import Record
from textreel.data.senses_collate import SensesCollator, SensesSample
from textreel.data.senses_prompt import Shown, shown_of, write_caption_prompt
from textreel.data.senses_templates import STILL_REQUESTS
from textreel.features.errors import MissingFeaturesError
from textreel.features.file_index import read_file_index
from textreel.features.pixels import pixels_of
from textreel.features.rules import require_rule
from textreel.features.store import FeatureStore
from textreel.models.decoder import locate
from textreel.models.open_encoder import Encoder, open_encoder
from textreel.models.senses_batch import SensesBatch
from textreel.recipes.recipe import RecipeError
from textreel.recipes.senses_recipe import TEXTUAL, WORLD, DataSource, SensesRecipe, SensesStage
from textreel.recipes.senses_texts import textual_data
from textreel.recipes.senses_words import blurred_track
from textreel.recipes.senses_world import WorldData, world_data, world_items
from textreel.train.buckets import Bucketed
from textreel.train.ratio import RatioData


class Sources:
    """A recipe's data, each source opened once.

    Args:
        recipe: which.
        collator: the model's.
        features: folder for what the world's sources are encoded to.
        run: the run's folder, where a frame encoder is that the recipe has built.
        revisions: of the encoders, by `image` and `sound`; features of another are refused.
        max_bad: rows of an annotation file that may be bad.
        device: where encoders run.
    """

    def __init__(
        self,
        recipe: SensesRecipe,
        collator: SensesCollator,
        features: Path,
        *,
        revisions: Mapping[str, str],
        run: Path | None = None,
        max_bad: int | str | None = "1%",
        device: torch.device | str = "cpu",
    ) -> None:
        self.recipe, self.collator, self.features = recipe, collator, features
        self.device = device
        self.revisions, self.max_bad, self.run = revisions, max_bad, run
        self._world: dict[str, WorldData] = {}
        self._encoders: dict[str, Encoder] = {}

    def encoder(self, sense: str) -> Encoder:
        """Return the encoder of a branch.

        Raises:
            RecipeError: it is read from published files that hold no text side.
        """
        choice = self.recipe.sound_encoder if sense == "sound" else self.recipe.image_encoder
        assert choice is not None  # the recipe has checked it
        if choice.weights:
            raise RecipeError(
                f"the {sense} branch reads {choice.name}, whose files hold no text side that "
                f"captions could be read with",
                hint="align on texts with a dual encoder: CLIP, SigLIP, the tiny towers",
            )
        if choice.name not in self._encoders:
            place = locate(choice.name, base=self.run)
            self._encoders[choice.name] = open_encoder(place, device=self.device)
        return self._encoders[choice.name]

    def world(self, name: str) -> WorldData:
        """Write, draw or read, and encode, a source that is no annotation file."""
        if name not in self._world:
            recipe, source = self.recipe, self.recipe.data[name]
            shown = ("image", "sound") if source.sense == "both" else (source.sense,)
            encoders = {sense: self.encoder(sense) for sense in shown}
            store = self.features / name
            made = textual_data if source.corpus == TEXTUAL else world_data
            self._world[name] = made(recipe, source, encoders, store)
        return self._world[name]


def stage_data(sources: Sources, stage: SensesStage) -> RatioData[SensesBatch]:
    """Return what a stage of captions or instructions is trained on.

    Args:
        sources: the recipe's.
        stage: the stage.

    Raises:
        RecipeError: a source that does not suit the stage, or holds nothing.
        TooManyBadError: too many rows of an annotation file are bad.
        MissingFeaturesError: pictures or videos without features.
    """
    parts = []
    for name in stage.mix:
        source = sources.recipe.data[name]
        made = _world if source.corpus in (WORLD, TEXTUAL) else _corpus
        parts.append(made(sources, stage, name))
    return RatioData(parts, list(stage.mix.values()), seed=sources.recipe.seed)


def _world(sources: Sources, stage: SensesStage, name: str) -> Bucketed[SensesSample, SensesBatch]:
    recipe, source = sources.recipe, sources.recipe.data[name]
    if stage.task != "instructions" or (stage.reads != "both" and stage.reads != source.sense):
        raise RecipeError(
            f"the source {name} asks questions about {source.sense}, which a stage of "
            f"{stage.task} that reads {stage.reads} cannot use"
        )
    items = world_items(source, sources.world(name), seed=recipe.seed)
    collator = sources.collator
    prompts = [collator.write(i.id, turns=i.turns, shown=shown_of(i.image, i.sound)) for i in items]
    records = collator.encode_many(prompts)
    samples = [
        SensesSample(record, item.image, item.sound)
        for record, item in zip(records, items, strict=True)
    ]

    def collate(chosen: list[SensesSample], generator: torch.Generator) -> SensesBatch:
        return blurred(collator.collate(chosen), recipe.noise, generator)

    lengths = [collator.length(sample) for sample in samples]
    size = stage.train.batch_size
    return Bucketed(samples, lengths, collate, batch_size=size, seed=recipe.seed)


def blurred(batch: SensesBatch, noise: float, generator: torch.Generator) -> SensesBatch:
    """Add noise to the features of both senses; 0: the batch itself."""
    if not noise:
        return batch
    image, sound = (
        None if track is None else blurred_track(track, noise, generator)
        for track in (batch.image, batch.sound)
    )
    return SensesBatch(
        input_ids=batch.input_ids,
        labels=batch.labels,
        ids=batch.ids,
        image_slots=batch.image_slots,
        sound_slots=batch.sound_slots,
        image=image,
        sound=sound,
        attention_mask=batch.attention_mask,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """A tokenized record, and the ids of its features in the stores of the two senses."""

    record: EncodedPrompt
    ids: Mapping[str, str]


def _corpus(sources: Sources, stage: SensesStage, name: str) -> Bucketed[_Stored, SensesBatch]:
    recipe, source = sources.recipe, sources.recipe.data[name]
    stores = _open_stores(sources, stage, name)
    records = _read(sources, source, name)
    paths = [path for _, path in records]
    ids = {sense: _feature_ids(source, store, paths) for sense, store in stores.items()}
    rng = Random(f"requests-{recipe.seed}-{name}")
    prompts, chosen = [], []
    for number, (record, _) in enumerate(records):
        own = {sense: found[number] for sense, found in ids.items()}
        times_s = stores["image"][own["image"]].times_s.tolist() if "image" in own else ()
        shown = Shown(times_s=tuple(times_s), sound="sound" in own)
        prompts.append(_prompt(sources, stage, record, shown, rng))
        chosen.append(own)
    limit = stage.max_caption_tokens if stage.task == "captions" else None
    encoded = sources.collator.encode_many(prompts, max_target=limit)
    samples = [_Stored(record, own) for record, own in zip(encoded, chosen, strict=True)]

    def collate(taken: list[_Stored], generator: torch.Generator) -> SensesBatch:
        found = {s: store.read_many([one.ids[s] for one in taken]) for s, store in stores.items()}
        nothing = [None] * len(taken)
        rows = zip(taken, found.get("image", nothing), found.get("sound", nothing), strict=True)
        batch = sources.collator.collate([SensesSample(o.record, i, s) for o, i, s in rows])
        return blurred(batch, recipe.noise, generator)

    lengths = [len(record.token_ids) for record in encoded]
    size = stage.train.batch_size
    return Bucketed(samples, lengths, collate, batch_size=size, seed=recipe.seed)


def _open_stores(sources: Sources, stage: SensesStage, name: str) -> dict[str, FeatureStore]:
    """Open the store of every sense that a stage reads."""
    source = sources.recipe.data[name]
    wanted = {"image": source.features, "sound": source.sound_features}
    if stage.reads == "sound" and not source.sound_features:
        wanted["sound"] = source.features
    senses = ("image", "sound") if stage.reads == "both" else (stage.reads,)
    if missing := [sense for sense in senses if not wanted[sense]]:
        raise RecipeError(
            f"the source {name} names no store with features for the {missing[0]} branch",
            hint="fill one with `textreel encode run`, and set features and sound_features",
        )
    stores = {sense: FeatureStore.open(wanted[sense]) for sense in senses}
    for sense, store in stores.items():
        store.require(revision=sources.revisions[sense])
        shown = pixels_of(store.identity.encoder)
        if shown != source.pixels and "sound" not in store.modalities:
            raise RecipeError(
                f"the source {name} is of {source.pixels} pixels, but {store.path} shows {shown} "
                f"ones",
                hint=f"encode again with --pixels {source.pixels}, or set data.{name}.pixels="
                f"{shown}",
            )
        require_rule(store, source.sampling or sources.recipe.sampling, sources.recipe.clips)
    return stores


def _read(sources: Sources, source: DataSource, name: str) -> list[tuple[Record, str]]:
    """Return a corpus's records with the picture or video that each is about."""
    bad = Quarantine(max_bad=sources.max_bad)
    file = CorpusFile(path=Path(source.path), corpus=source.corpus)
    found = []
    for record in read_corpus(file, quarantine=bad):
        media = [p.value for m in record.messages for p in m.parts if p.kind in ("image", "video")]
        if len(media) != 1:
            bad.add(
                record.id,
                source=source.path,
                code="media",
                message=f"{len(media)} pictures and videos; a sample shows one",
            )
            continue
        found.append((record, media[0]))
    bad.check(len(found) + len(bad))
    if not found:
        raise RecipeError(f"the source {name} holds nothing to train on ({source.path})")
    return found


def _feature_ids(source: DataSource, store: FeatureStore, paths: Sequence[str]) -> list[str]:
    """Return the ids of the features of every file: by its path, or the path itself as an id."""
    by_path = read_file_index(store.path)
    full = [str((Path(source.media) / path).absolute()) for path in paths]
    ids = [by_path.get(where, path) for where, path in zip(full, paths, strict=True)]
    if missing := [id for id in dict.fromkeys(ids) if id not in store]:
        raise MissingFeaturesError.of(missing, wanted=len(set(ids)), store=store.path)
    return ids


def _prompt(
    sources: Sources, stage: SensesStage, record: Record, shown: Shown, rng: Random
) -> Prompt:
    turns = conversation_turns(record, rng)
    if stage.task == "captions":
        caption = turns[0].answer_text
        return write_caption_prompt(record.id, caption=caption, heard=shown.sound)
    still = any(part.kind == "image" for m in record.messages for part in m.parts)
    shown = Shown(times_s=shown.times_s, sound=shown.sound, still=still)
    return sources.collator.write(record.id, turns=turns, shown=shown)


def conversation_turns(record: Record, rng: Random) -> list[Turn]:
    """Return a record's questions and answers; a caption becomes the answer to a request.

    Args:
        record: the user's and the assistant's messages by turns; words of a system stand before
            the first question.
        rng: draws the request.

    Raises:
        RecipeError: messages that do not alternate.
    """
    said = [
        (m.role, " ".join(p.value for p in m.parts if p.kind == "text")) for m in record.messages
    ]
    system = [text for role, text in said if role == "system"]
    rest = [(role, text) for role, text in said if role != "system"]
    if not rest or [role for role, _ in rest] != ["user", "assistant"] * (len(rest) // 2):
        raise RecipeError(f"{record.id}: its messages do not alternate from user to assistant")
    asked = [text or rng.choice(STILL_REQUESTS) for _, text in rest[::2]]
    asked[0] = "\n".join((*system, asked[0]))
    return [
        Turn(task="open", question=question, answer_text=answer)
        for question, (_, answer) in zip(asked, rest[1::2], strict=True)
    ]
