"""The rows of the demo's table: each system answers the same questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from textreel.evaluate.choices import SystemScores, chance, macro, score_system
from textreel.evaluate.rows import ChoiceRow
from textreel.models.batch import Features
from textreel.models.bridges import Identity, MeanShift, Memory
from textreel.models.open_encoder import TextEncoder
from textreel.recipes.answering import ExamItem, answer_exam
from textreel.recipes.demo_media import ExamFeatures, last_frame_only
from textreel.recipes.prepare import Learner
from textreel.serve.run_files import BridgeSettings
from textreel.serve.run_memory import CENTRED_TEMPERATURE
from textreel.synth.world.questions import QUESTION_TYPES

ROW_OF_BRIDGE = {
    "none": "text_only",
    "memory": "text_only_memory",
    "mean_shift": "text_only_mean_shift",
}
MEMORY_TEMPERATURES = (0.01, 0.03)
NOTES = {
    "chance": "guessing",
    "blind": "a model trained without video tokens, for a quarter of the steps",
    "video_removed": "the sighted model with its video taken away",
    "text_only": "aligned on text only; frames pass no bridge",
    "text_only_memory": "the same, frames moved onto remembered captions",
    "text_only_mean_shift": "the same, frames moved by the difference of the towers' stored means",
    "last_frame": "the same, but it sees the last frame only, repeated",
    "similarity": "no language model: mean frame vector against the option's text",
    "text_features": "the same model, given text features of the true captions at test time",
    "captions_as_text": "the decoder reads the true captions as words; no training",
}


@dataclass(frozen=True, slots=True, eq=False)
class ChosenBridge:
    """The bridge that did best on validation scenes.

    Attributes:
        settings: what it is.
        module: ready to use.
        tried: validation macro of every bridge tried, by name.
    """

    settings: BridgeSettings
    module: nn.Module
    tried: dict[str, float]


def make_bridges(
    encoder: TextEncoder, memory: Tensor
) -> list[tuple[str, BridgeSettings, nn.Module]]:
    """Make every bridge that is compared: (name, settings, module)."""
    made: list[tuple[str, BridgeSettings, nn.Module]] = [("none", BridgeSettings(), Identity())]
    rows = normalize(memory.float(), dim=-1)
    for temperature in MEMORY_TEMPERATURES:
        settings = BridgeSettings(name="memory", temperature=temperature)
        module = Memory(rows, temperature=temperature)
        made.append((f"memory at {temperature}", settings, module))
    if (means := encoder.statistics) is not None:
        settings = BridgeSettings(name="memory", temperature=CENTRED_TEMPERATURE, centred=True)
        centred = Memory(rows, temperature=CENTRED_TEMPERATURE, picture_mean=means.image_mean)
        made.append((f"centred memory at {CENTRED_TEMPERATURE}", settings, centred))
        shift = MeanShift(picture_mean=means.image_mean, text_mean=means.text_mean)
        made.append(("mean_shift", BridgeSettings(name="mean_shift"), shift))
    return made


def choose_bridges(
    learner: Learner, exam: ExamFeatures, made: Sequence[tuple[str, BridgeSettings, nn.Module]]
) -> tuple[ChosenBridge, dict[str, nn.Module]]:
    """Try every bridge on validation pictures.

    Returns:
        The best one (the simpler one of equals), and the best of each kind, by kind.
    """
    tried: dict[str, float] = {}
    best: dict[str, tuple[float, BridgeSettings, nn.Module]] = {}
    for name, settings, module in made:
        learner.model.bridge = module
        rows = answer_exam(learner.model, learner.collator, exam.items, exam.pictures)
        tried[name] = macro(rows, kinds=QUESTION_TYPES).value
        if settings.name not in best or tried[name] > best[settings.name][0]:
            best[settings.name] = (tried[name], settings, module)
    _, settings, module = max(best.values(), key=lambda found: found[0])
    learner.model.bridge = module
    return ChosenBridge(settings, module, tried), {kind: b[2] for kind, b in best.items()}


def answer_all(
    exam: ExamFeatures,
    *,
    sighted: Learner,
    blind: Learner,
    reader: Learner,
    encoder: TextEncoder,
    bridges: tuple[ChosenBridge, Mapping[str, nn.Module]],
) -> dict[str, list[ChoiceRow]]:
    """Let every system answer; see `NOTES` for what each is."""
    chosen, by_kind = bridges
    model, collator = sighted.model, sighted.collator
    rows: dict[str, list[ChoiceRow]] = {}
    rows["blind"] = answer_exam(blind.model, blind.collator, exam.items, None)
    rows["video_removed"] = answer_exam(model, collator, exam.items, None)
    for kind, module in by_kind.items():
        model.bridge = module
        rows[ROW_OF_BRIDGE[kind]] = answer_exam(model, collator, exam.items, exam.pictures)
    model.bridge = chosen.module
    rows["last_frame"] = answer_exam(model, collator, exam.items, last_frame_only(exam.pictures))
    rows["similarity"] = answer_by_similarity(exam.items, exam.pictures, encoder)
    model.bridge = Identity()
    rows["text_features"] = answer_exam(model, collator, exam.items, exam.texts)
    model.bridge = chosen.module
    rows["captions_as_text"] = answer_exam(
        reader.model, reader.collator, exam.items, None, captions=exam.captions
    )
    return rows


def answer_by_similarity(
    items: Sequence[ExamItem], features: Mapping[str, Features], encoder: TextEncoder
) -> list[ChoiceRow]:
    """Choose the option whose text is nearest to the mean of the frame vectors."""
    words = sorted({option for item in items for option in item.question.options})
    vectors = dict(zip(words, encoder.encode_texts(words), strict=True))
    rows = []
    for item in items:
        mean = normalize(features[item.video_id].values[:, 0].float().mean(0), dim=-1)
        near = torch.stack([vectors[option] @ mean for option in item.question.options])
        rows.append(
            ChoiceRow(
                question_id=item.id,
                video_id=item.video_id,
                kind=item.question.kind,
                answer=item.question.answer,
                chosen=int(near.argmax()),
                num_options=len(item.question.options),
                prompt=item.question.question,
            )
        )
    return rows


def score_all(rows: Mapping[str, Sequence[ChoiceRow]]) -> list[SystemScores]:
    """Score every system, in the order of `NOTES`; `chance` first."""
    known = {"chance": chance(next(iter(rows.values())), kinds=QUESTION_TYPES)}
    for name, answered in rows.items():
        known[name] = score_system(name, answered, kinds=QUESTION_TYPES)
    return [known[name] for name in NOTES if name in known]
