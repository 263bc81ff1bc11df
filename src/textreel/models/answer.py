"""`Answer`: what a model said about a video, and what it saw and heard to say it."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SoundUse = Literal["used", "unused", "absent", "silent", "undecodable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer to one question about one video; but for its frames JSON values only.

    A notebook shows it with its frames (`_repr_html_`).

    Attributes:
        text: the answer in words; a chosen option's own text.
        chosen: index of the chosen option; None: an open question.
        options: the options' texts, in the order they were asked.
        log_likelihoods: summed over each option's tokens, in nats.
        probabilities: of each option; they sum to 1.
        frame_times_s: the times of the frames that were looked at, in seconds.
        sound_status: what became of the video's sound.
        heard_times_s: the middles of the pieces of sound that were heard, in seconds.
        bridge: name of the bridge that features passed.
        encoder: name of the encoder that made them, or of the image-LLM that saw the frames.
        note: what a reader must know, such as words the model does not know; may be empty.
        question: what was asked.
        frames: uint8 (T, 3, H, W), what was looked at; None where pixels were not kept. Not part
            of what is compared or written as JSON.
    """

    text: str
    frame_times_s: tuple[float, ...]
    sound_status: SoundUse
    bridge: str
    encoder: str
    chosen: int | None = None
    options: tuple[str, ...] = ()
    log_likelihoods: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()
    note: str = ""
    question: str = ""
    heard_times_s: tuple[float, ...] = ()
    frames: NDArray[np.uint8] | None = field(
        default=None, repr=False, compare=False, metadata={"json": False}
    )

    def __post_init__(self) -> None:
        counts = {len(self.options), len(self.log_likelihoods), len(self.probabilities)}
        if len(counts) > 1:
            raise ValueError(
                f"Answer: {len(self.options)} options with {len(self.log_likelihoods)} "
                f"log-likelihoods and {len(self.probabilities)} probabilities"
            )
        if (self.chosen is not None) != bool(self.options):
            raise ValueError(f"Answer: chosen={self.chosen} among {len(self.options)} options")
        if self.chosen is not None and not 0 <= self.chosen < len(self.options):
            raise ValueError(f"Answer: option {self.chosen} of {len(self.options)} does not exist")

    def _repr_html_(self) -> str:
        """Return the answer with frames, times, probabilities and sound, for notebooks."""
        from textreel.models.answer_html import answer_html, frames_html, odds_html

        footer = f"sound {self.sound_status}; through {self.encoder}, bridge {self.bridge}"
        return answer_html(
            question=self.question,
            text=self.text,
            body=odds_html(self.options, self.probabilities, self.chosen)
            + frames_html(self.frames, self.frame_times_s),
            footer=f"{footer}; {self.note}" if self.note else footer,
        )
