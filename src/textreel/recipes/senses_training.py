"""`run_senses`: the stages of a `VideoLlama`, one after the other, and a run that answers.

    out/recipe.json            the recipe, resolved
       /stages/1-NAME/         a training run of its own: train.json, log.jsonl, checkpoints, and,
                               when it is finished, the model as it left it
       /features/NAME/         features that the world's sources were encoded to
       /config.json, ...       the run, after the last stage

Each stage begins with what the stage before it saved. A stage that is killed, at any moment, goes
on from its last checkpoint and ends with the same bits.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from textreel.data.files import write_atomic
from textreel.data.senses_collate import SensesCollator
from textreel.data.senses_templates import SENSES_TEMPLATES
from textreel.models.branch_words import BranchToWords, WordsBatch
from textreel.models.decoder import load_decoder, locate, max_positions, weight_fingerprint
from textreel.models.encoder_files import find_encoder, published_files
from textreel.models.encoders import DualEncoder
from textreel.models.qformer_connector import QFormerConnector
from textreel.models.qformer_start import fit_last_map, open_eyes
from textreel.models.tokenizer import load_tokenizer
from textreel.models.video_llama import EncoderSource, VideoLlama, VideoLlamaConfig
from textreel.models.video_llama_checkpoint import Branch
from textreel.recipes.prepare import DEFAULT_MAX_TOKENS, LENGTH_MULTIPLE
from textreel.recipes.recipe import RecipeError
from textreel.recipes.recipe_values import read_as, read_recipe_file
from textreel.recipes.senses_data import Sources, stage_data
from textreel.recipes.senses_frames import build_frames
from textreel.recipes.senses_means import sound_means
from textreel.recipes.senses_recipe import (
    FRAMES_FOLDER,
    TEXTUAL,
    WORLD,
    EncoderChoice,
    SensesRecipe,
    SensesStage,
)
from textreel.recipes.senses_words import (
    WordsSample,
    image_samples,
    mixed_frames,
    sound_samples,
    usual_times,
    words_data,
)
from textreel.serve.bridging import SOUND_MEANS_FILE, save_sound_means
from textreel.serve.senses_files import SensesSettings, save_senses_settings
from textreel.train.buckets import Bucketed
from textreel.train.config import TrainConfig
from textreel.train.contracts import Progress
from textreel.train.loop import train
from textreel.train.result import TrainResult
from textreel.train.staged import StartedData

Show = Callable[[str, int, int, str], None]
DONE = "model.safetensors"
FITTED_ON = 300
"""Samples that the linear map of a branch is fitted on when its eyes are opened."""


class StageError(RecipeError):
    """A stage that cannot be run now."""


@dataclass(frozen=True, slots=True, eq=False)
class SensesLearner:
    """A model with its collator.

    Attributes:
        model: untrained.
        collator: of its decoder's tokenizer and the recipe's template.
    """

    model: VideoLlama
    collator: SensesCollator


def run_senses(
    recipe: SensesRecipe,
    out: Path,
    *,
    stage: str = "",
    show: Show = lambda *_: None,
    inexact: bool = False,
    features: Path | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, TrainResult]:
    """Train a recipe's stages, or one of them; safe to kill and to call again.

    Args:
        recipe: everything.
        out: the run's folder.
        stage: only this one; those before it must be finished.
        show: told how far each phase is.
        inexact: go on although other last bits must be expected.
        features: where the world's features go; None: into the run's folder.
        device: where its stages encode and train; a frame encoder of its own on the processor.

    Returns:
        The end of every stage that was run now, by name; finished ones are only read.

    Raises:
        StageError: no such stage, one before it is not finished, or the folder of another recipe.
        RecipeError: data or encoders that do not fit the recipe.
    """
    names = list(recipe.stages)
    if stage and stage not in names:
        raise StageError(f"there is no stage {stage!r}", hint=f"one of {', '.join(names)}")
    _check_folder(recipe, out)
    _build_frames(recipe, out, show, inexact=inexact)
    learner = build_senses(recipe, out, device=device)
    sources = Sources(
        recipe,
        learner.collator,
        features or out / "features",
        run=out,
        revisions=encoder_revisions(learner.model.config),
        device=device,
    )
    results: dict[str, TrainResult] = {}
    for name in names[: names.index(stage) + 1] if stage else names:
        folder = stage_folder(out, recipe, name)
        if (folder / DONE).is_file():
            learner.model.load_learned(folder)
            continue
        if stage and name != stage:
            raise StageError(
                f"stage {stage} begins with what stage {name} leaves, which is not finished in "
                f"{out}",
                hint=f"run it first: --stage {name}",
            )
        results[name] = _Stage(recipe, name, sources, folder, show).run(learner.model, inexact)
        learner.model.save_pretrained(folder)
    if all((stage_folder(out, recipe, name) / DONE).is_file() for name in names):
        save_senses_run(out, learner.model, recipe)
        _save_means(out, recipe, sources)
    return results


def _build_frames(recipe: SensesRecipe, out: Path, show: Show, *, inexact: bool) -> None:
    if recipe.frames is None:
        return
    build_frames(
        recipe.frames,
        out,
        decoder=recipe.decoder,
        seed=recipe.seed,
        progress=lambda p: show(FRAMES_FOLDER, p.step, p.steps, f"loss {p.loss:.3f}"),
        inexact=inexact,
    )


def _save_means(out: Path, recipe: SensesRecipe, sources: Sources) -> None:
    """Write the means that a mean shift of sounds moves by; of the world's, for its own recipes."""
    bridge = recipe.bridges.get("sound")
    if bridge is None or bridge.name != "mean_shift" or (out / SOUND_MEANS_FILE).is_file():
        return
    if any(source.corpus != WORLD for source in recipe.data.values()):
        raise StageError(
            f"{out} moves sounds by their means, which are known for the world only",
            hint="measure them (serve.bridging.save_sound_means), and call this again",
        )
    ear = sources.encoder("sound")
    if not isinstance(ear, DualEncoder):
        raise StageError(
            f"{out}: {ear.name} has no sound tower whose means in the world could be measured",
            hint="leave out bridges.sound, or use the tiny towers",
        )
    sound, text = sound_means(ear, recipe.clips)
    save_sound_means(out, sound=sound, text=text)


def stage_folder(out: Path, recipe: SensesRecipe, name: str) -> Path:
    """Return the folder of a stage's own run."""
    return out / "stages" / f"{list(recipe.stages).index(name) + 1}-{name}"


def _check_folder(recipe: SensesRecipe, out: Path) -> None:
    path = out / "recipe.json"
    if not path.is_file():
        write_atomic(path, json.dumps(recipe.to_json(), indent=2) + "\n")
        return
    found = read_as(SensesRecipe, read_recipe_file(path))
    if found.to_json() != read_as(SensesRecipe, json.loads(json.dumps(recipe.to_json()))).to_json():
        raise StageError(
            f"{out} was begun with another recipe than this {recipe.name}",
            hint=f"choose another folder, or go on: textreel train {path} --out {out}",
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Stage:
    """One stage, about to be run."""

    recipe: SensesRecipe
    name: str
    sources: Sources
    folder: Path
    show: Show

    @property
    def stage(self) -> SensesStage:
        return self.recipe.stages[self.name]

    def run(self, model: VideoLlama, inexact: bool) -> TrainResult:
        """Train; a killed stage goes on."""
        self.show(self.name, 0, self.stage.train.steps, "reads its data")
        if self.stage.task == "words":
            return self._head_start(model, inexact)
        data = stage_data(self.sources, self.stage)
        model.learn(self.stage.trains)
        return train(model, data, self._config(), self.folder, progress=self._told, inexact=inexact)

    def _head_start(self, model: VideoLlama, inexact: bool) -> TrainResult:
        """Fit every branch of the stage to words; each is a run in a folder of its own."""
        result: TrainResult | None = None
        source, *others = self.stage.mix
        if others or self.recipe.data[source].corpus not in (WORLD, TEXTUAL):
            raise RecipeError(
                f"a head start reads one source of {WORLD} or {TEXTUAL}, not "
                f"{' and '.join(self.stage.mix)}",
                hint="give its stage such a mix",
            )
        world = self.sources.world(source)
        embeddings = model.decoder.get_input_embeddings().weight
        assert isinstance(embeddings, torch.Tensor)
        table = embeddings.detach().float().cpu()  # batches are made on the processor
        for branch in _branches(self.stage.trains):
            connector = model.branch(branch)
            made = image_samples if branch == "image" else sound_samples
            samples = made(world, queries=connector.config.queries)
            if self.stage.mixed and branch == "image":
                samples = mixed_frames(samples, seed=self.recipe.seed)
            data, spread = self._words(samples, table, self.stage.train.batch_size)
            seen = branch == "image"
            steps = len(samples[0].features.values) if seen else connector.config.queries
            model.learn([branch])
            result = train(
                BranchToWords(connector, spread=spread),
                StartedData(data, partial(self._start, connector, steps, samples, table)),
                self._config(),
                self.folder / branch,
                progress=self._told,
                inexact=inexact,
            )
        assert result is not None
        return result

    def _words(
        self, samples: Sequence[WordsSample], table: torch.Tensor, batch_size: int
    ) -> tuple[Bucketed[WordsSample, WordsBatch], float]:
        return words_data(
            samples,
            self.sources.collator.tokenizer,
            table,
            noise=self.recipe.noise,
            batch_size=batch_size,
            seed=self.recipe.seed,
        )

    def _start(
        self,
        connector: QFormerConnector,
        steps: int,
        samples: Sequence[WordsSample],
        table: torch.Tensor,
    ) -> None:
        """Open a branch's eyes before the first step, where the stage wants it."""
        if not self.stage.eyes:
            return
        some, device = samples[:FITTED_ON], connector.project.weight.device
        connector.cpu()
        open_eyes(
            connector,
            torch.cat([sample.features.values.float() for sample in samples]),
            times_s=usual_times(samples, steps),
            noise=self.recipe.noise,
            generator=torch.Generator().manual_seed(self.recipe.seed),
        )
        batch = self._words(some, table, len(some))[0].batch(0)
        fit_last_map(connector, batch.track, batch.words)
        connector.to(device)

    def _config(self) -> TrainConfig:
        config = self.stage.train
        return replace(config, seed=config.seed or self.recipe.seed)

    def _told(self, progress: Progress) -> None:
        note = f"loss {progress.loss:.3f}" if progress.step else ""
        self.show(self.name, progress.step, progress.steps, note)


def _branches(trains: Sequence[str]) -> list[Branch]:
    """Return the branches among what a head start trains.

    Raises:
        RecipeError: it trains something else.
    """
    found: list[Branch] = [b for b in ("image", "sound") if b in trains]
    if len(found) != len(trains):
        raise RecipeError(
            f"a head start fits branches to words; it cannot train {', '.join(trains)}",
            hint="leave out the adapter",
        )
    return found


def build_senses(
    recipe: SensesRecipe, run: Path | None = None, *, device: torch.device | str = "cpu"
) -> SensesLearner:
    """Build a recipe's model around a freshly loaded decoder, with its collator.

    Args:
        recipe: which.
        run: its folder, where a frame encoder is that it has built.
        device: where the model is put; its weights are drawn on the processor. On an accelerator
            the frozen decoder may be in bfloat16 (`SensesRecipe.halves_frozen`).
    """
    config = senses_config(recipe, run)
    generator = torch.Generator().manual_seed(recipe.seed)
    halved = recipe.halves_frozen(torch.device(device).type)
    decoder = load_decoder(recipe.decoder, dtype=torch.bfloat16 if halved else torch.float32)
    model = VideoLlama(decoder, config, generator=generator)

    def num_tokens(name: str, steps: int) -> int:
        branch: Branch = "image" if name == "image" else "sound"
        return model.branch(branch).num_soft_tokens(steps)

    collator = SensesCollator(
        load_tokenizer(recipe.decoder),
        SENSES_TEMPLATES[recipe.template],
        num_tokens,
        max_tokens=max_positions(model.decoder) or DEFAULT_MAX_TOKENS,
        multiple=LENGTH_MULTIPLE,
    )
    return SensesLearner(model.to(device), collator)


def senses_config(recipe: SensesRecipe, run: Path | None = None) -> VideoLlamaConfig:
    """Return the config of a recipe's model, its encoders' files looked at; see `build_senses`."""
    image = _encoder_source(recipe.image_encoder, run)
    shared = recipe.sound_encoder == recipe.image_encoder
    return VideoLlamaConfig(
        decoder=recipe.decoder,
        decoder_weights=weight_fingerprint(recipe.decoder),
        image=recipe.image,
        sound=recipe.sound,
        image_encoder=image,
        sound_encoder=image if shared else _encoder_source(recipe.sound_encoder, run),
        lora=recipe.lora,
    )


def encoder_revisions(config: VideoLlamaConfig) -> dict[str, str]:
    """Return the revisions of a model's encoders, by sense."""
    return {"image": config.image_encoder.revision, "sound": config.sound_encoder.revision}


def _encoder_source(choice: EncoderChoice | None, run: Path | None) -> EncoderSource:
    if choice is None:
        return EncoderSource()
    if choice.weights:
        name = choice.name.partition("#")[0]
        files = published_files(list(choice.weights), name=name)
        return EncoderSource(name=choice.name, revision=files.revision, weights=choice.weights)
    files = find_encoder(locate(choice.name, base=run))
    return EncoderSource(name=files.name, revision=files.revision, weights=(choice.name,))


def save_senses_run(out: Path, model: VideoLlama, recipe: SensesRecipe) -> None:
    """Write a run that `ask` and `load` take."""
    model.save_pretrained(out)
    settings = SensesSettings(
        template=SENSES_TEMPLATES[recipe.template],
        sampling=recipe.sampling,
        clips=recipe.clips,
        bridges=recipe.bridges,
        remembers=recipe.remembers,
        knows=recipe.knows,
    )
    save_senses_settings(out, settings)
