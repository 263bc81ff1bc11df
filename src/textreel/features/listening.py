"""A file's sound to features, a few pieces at a time: an hour takes no more memory than minutes.

    decode_pieces  --TOGETHER pieces-->  prepare_heard  --LONG_PIECES rows-->  the tower

A tower that does not hear pieces apart gets all of them at once: those are few, however long the
sound is.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from textreel.features.encode import (
    PreparedClip,
    encode_together,
    join_features,
    join_parts,
    prepare_heard,
)
from textreel.features.freed import give_back
from textreel.features.towers import SoundTower
from textreel.media.decode import Decoded, decode_pieces
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_pieces import Piece
from textreel.models.batch import Features

TOGETHER = 4
"""Pieces that are prepared together, of a tower that hears them apart."""
LONG_PIECES = 12
"""A sound of more pieces goes to the tower in parts of so many, while it is being decoded. CLAP's
windows fill a processor's batches in twelves or threes, so the vectors are those of all pieces in
one call; what several files share a batch for is another matter (`stages.Decode`)."""


class Groups:
    """Gives pieces to a taker in groups: a few, or all of a sound, as the tower hears them."""

    def __init__(self, tower: SoundTower, use: Callable[[Sequence[Piece]], None]) -> None:
        self._apart, self._use = tower.apart, use
        self._waiting: list[Piece] = []
        self._used = False

    def take(self, piece: Piece) -> None:
        """Take the next piece."""
        self._waiting.append(piece)
        if self._apart and len(self._waiting) == TOGETHER:
            self._pass_on()

    def finish(self) -> None:
        """Pass on the rest; of a sound without any piece, nothing, which the tower refuses."""
        if self._waiting or not self._used:
            self._pass_on()

    def _pass_on(self) -> None:
        pieces, self._waiting, self._used = self._waiting, [], True
        self._use(pieces)


def hear(
    path: Path | str,
    tower: SoundTower,
    spec: SamplingSpec,
    *,
    clock: Decoded | None = None,
    silence: bool = True,
) -> tuple[Features | None, Decoded]:
    """Encode the sound of a file, in this process.

    Args:
        path: the file.
        tower: hears it.
        spec: its window and its resampler.
        clock: see `decode_pieces`.
        silence: whether the features of a silent sound are wanted too. That a long one is silent is
            known at its end, when a tower that hears pieces apart has heard most of them.

    Returns:
        The features, None where the file has no sound, or one that cannot be decoded (or heard);
        and what reading the file was like.

    Raises:
        MediaError: the file cannot be read, or its sound is too short.
    """
    start_s, source = spec.start_s or 0.0, str(path)
    waiting: list[PreparedClip] = []
    encoded: list[Features] = []

    def encode() -> None:
        ((_, features),) = encode_together([join_parts(waiting)], tower)
        encoded.append(features)
        waiting.clear()

    def use(pieces: Sequence[Piece]) -> None:
        waiting.append(prepare_heard(source, pieces, tower=tower, source=source, start_s=start_s))
        if sum(len(clip.times_s) for clip in waiting) >= LONG_PIECES:
            encode()
            give_back()

    groups = Groups(tower, use)
    decoded = decode_pieces(path, spec, tower.cutting, hand_on=groups.take, clock=clock)
    if decoded.clip.sound_status not in (("used", "silent") if silence else ("used",)):
        return None, decoded
    groups.finish()
    if waiting:
        encode()
    return join_features(encoded), decoded
