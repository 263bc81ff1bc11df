"""`Answer`: what a model said about a video, and what it saw and heard to say it."""

from dataclasses import dataclass
from typing import Literal

SoundUse = Literal["used", "unused", "absent", "silent", "undecodable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer to one question about one video; JSON values only.

    Attributes:
        text: the answer in words; a chosen option's own text.
        chosen: index of the chosen option; None: an open question.
        options: the options' texts, in the order they were asked.
        log_likelihoods: summed over each option's tokens, in nats.
        probabilities: of each option; they sum to 1.
        frame_times_s: the times of the frames that were looked at, in seconds.
        sound_status: what became of the video's sound.
        bridge: name of the bridge that features passed.
        encoder: name of the encoder that made them.
        note: what a reader must know, such as words the model does not know; may be empty.
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
