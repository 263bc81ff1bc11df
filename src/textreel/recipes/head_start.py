"""The head start: before the first step, the connector is fitted to words, from text alone.

Textual videos name the objects of every frame and say a line about each (TOPA's frames have both,
arXiv:2405.13911, section 3.1). A frame's K soft tokens get a column each: one for each of the K
commonest nouns that objects are named by. What a column should hold is the sum of the decoder's own
embeddings of the line about that object, or of a word for absence. A linear map from text features
to that is one least-squares problem (`models.word_fit`); the tasks then train it further.

Not as published. docs/LOG.md has what it is worth: without it the same steps do not learn which
properties belong to which object.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textreel.data.encoding import Tokenizer
from textreel.data.textual_video import TextualFrame, TextualVideo
from textreel.models.batch import Features
from textreel.models.track_lm import TrackLM
from textreel.models.word_fit import fit_to_words
from textreel.train.errors import TrainConfigError

LOGGER = logging.getLogger("textreel.recipes")


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadStart:
    """How the connector is fitted.

    Attributes:
        absent: text of a column whose object is not in the frame.
        ridge: see `models.word_fit`; about the training noise.
    """

    absent: str = "nothing"
    ridge: float = 0.005

    def __post_init__(self) -> None:
        if not 0 <= self.ridge < math.inf:
            raise TrainConfigError(f"HeadStart: ridge={self.ridge} must be 0 or more")


def columns(videos: Sequence[TextualVideo], count: int) -> tuple[str, ...]:
    """Return the `count` commonest nouns (last words of objects' names), in order of the alphabet.

    Raises:
        TrainConfigError: the objects of all frames have fewer nouns.
    """
    nouns = Counter(
        _noun(name) for video in videos for frame in video.frames for name, _ in frame.objects
    )
    if len(nouns) < count:
        raise TrainConfigError(
            f"a head start of {count} soft tokens a vector needs {count} nouns, but the objects of "
            f"{len(videos)} textual videos have {len(nouns)}",
            hint="lower connector.tokens_per_vector, or set head_start=null",
        )
    return tuple(sorted(noun for noun, _ in nouns.most_common(count)))


def object_words(
    videos: Sequence[TextualVideo], tokenizer: Tokenizer, model: TrackLM, *, absent: str
) -> Tensor:
    """Return what the soft tokens of every frame should be, float32 (frames, K, D).

    Args:
        videos: with named objects.
        tokenizer: the decoder's.
        model: whose decoder's embeddings.
        absent: see `HeadStart`.

    Errors as `columns`.
    """
    lines = object_lines(videos, model.config.connector.tokens_per_vector, absent=absent)
    table = model.decoder.get_input_embeddings().weight.detach().float()
    known = word_sums({line for row in lines for line in row}, tokenizer, table)
    return torch.stack([torch.stack([known[line] for line in row]) for row in lines])


def object_lines(videos: Sequence[TextualVideo], count: int, *, absent: str) -> list[list[str]]:
    """Return the `count` lines of every frame of every video, in order; errors as `columns`."""
    nouns = columns(videos, count)
    return [_row(frame, nouns, absent) for video in videos for frame in video.frames]


def word_sums(texts: Iterable[str], tokenizer: Tokenizer, table: Tensor) -> dict[str, Tensor]:
    """Return for every text the sum of the rows of `table` (V, D) of its tokens, float32 (D,)."""
    ordered = sorted(set(texts))
    told = tokenizer(ordered, add_special_tokens=False, return_offsets_mapping=True)
    return {text: table[ids].sum(0) for text, ids in zip(ordered, told["input_ids"], strict=True)}


def fit_head_start(
    model: TrackLM, features: Sequence[Features], words: Tensor, *, ridge: float
) -> None:
    """Fit the model's connector to `words`, one row for each vector of `features`."""
    vectors = torch.cat([track.values[:, 0].float() for track in features])
    device = model.connector.project.weight.device
    share = fit_to_words(model.connector.cpu(), vectors, words.cpu(), ridge=ridge)
    model.connector.to(device)
    LOGGER.info("head start: the connector explains %.0f%% of the words", 100 * share)


def _row(frame: TextualFrame, nouns: Sequence[str], absent: str) -> list[str]:
    found = {_noun(name): line for name, line in frame.objects}
    return [found.get(noun, absent) for noun in nouns]


def _noun(name: str) -> str:
    return name.split()[-1]
