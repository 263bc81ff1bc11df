"""Encode the frames, or the sound, of many files into a feature store: `textreel encode run`.

    files --content hash--> windows of distinct files --Decode--> Encode --Write--> store/

        store/                what `features/store.py` says, and
          sampling.json       the rule by which frames, or pieces of sound, were chosen
          files-0-of-1.jsonl  which file has which features
          quarantine.jsonl    files that cannot be read, each with its reason (of one part of
                              several: quarantine-0-of-4.jsonl)

The id of a clip's features is the sha256 of its file, so moving or renaming files costs nothing,
and files of one content share one entry.

A file of more than `stages.LONG_FRAMES` frames is encoded on its own, in parts, while it is being
decoded: memory is bounded whatever its length.

A killed job goes on with what is not stored. Which clips share a window decides the last bits of a
vector, so windows depend on the files and the sampling alone, are stored whole, and one that lacks
something is encoded whole again. Files that were set aside are tried again; where all that a
window lacks is bad again, nothing else of it is touched.
"""

import logging
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from textreel.data.errors import TakenError, TooManyBadError
from textreel.data.files import write_atomic
from textreel.data.media_files import MediaFile
from textreel.data.quarantine import Quarantine
from textreel.data.shards import in_shard
from textreel.features.encode import EncodedClip, PreparedClip
from textreel.features.file_index import FileIndex
from textreel.features.file_keys import keys_ahead
from textreel.features.rules import RULE_FILE, check_resampler
from textreel.features.stages import Decode, Encode, Ticket, Tracks, Write
from textreel.features.store import FeatureStore
from textreel.features.towers import ClipTower, as_tower, sampling_of
from textreel.media.errors import MediaError
from textreel.media.pool import run_ahead
from textreel.media.sampling import SamplingSpec
from textreel.media.worker import DecodeLimits
from textreel.models.open_encoder import Encoder

_log = logging.getLogger("textreel.features")
WINDOW_FRAMES = 256
"""Frames that share the tower's batches: 154 MB once prepared for 224 pixels."""
MAX_WINDOW_FILES = 32
FIRST_WINDOW_FILES = 4
"""Of the first window; each has twice as many as the one before, up to the most."""
UNKNOWN_FRAMES = 64
"""Frames expected of a file where the sampling sets no number."""
Show = Callable[[str, int, int, str], None]
Window = list[tuple[str, MediaFile]]


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeSettings:
    """How files are encoded.

    Attributes:
        spec: which frames.
        workers: processes that decode, one per processor where None.
        limits: how long one file may take, `DecodeLimits()` where None.
        shard: (i, n): only part i of n of the files, picked by name.
        max_bad: how many files may be bad; see `Quarantine`.
        patches: store (T, P, F), one vector per patch, instead of pooled (T, 1, F).
    """

    spec: SamplingSpec
    workers: int | None = None
    limits: DecodeLimits | None = None
    shard: tuple[int, int] = (0, 1)
    max_bad: int | str | None = "1%"
    patches: bool = False

    @property
    def window(self) -> int:
        """Files whose frames share batches, at most; it follows from the sampling alone."""
        frames = self.spec.num_frames or self.spec.max_frames or UNKNOWN_FRAMES
        return max(1, min(MAX_WINDOW_FILES, WINDOW_FRAMES // frames))


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodeReport:
    """What became of the files. JSON values only; `files` is the sum of the next four.

    Attributes:
        store: the folder.
        files: how many there are in this part.
        encoded: whose features are new.
        skipped: whose features were stored before.
        shared: whose content is that of another of these files.
        bad: that could not be read.
        bad_by_kind: those by kind of error, most frequent first.
        frames: frames of the new features.
        seconds: wall time.
        wait_share: share of it in which the encoder waited for data, 0 to 1.
        files_per_s: encoded and bad files per second.
        quarantine: the file that lists the bad ones, None where there are none.
    """

    store: str
    files: int
    encoded: int
    skipped: int
    shared: int
    bad: int
    bad_by_kind: dict[str, int]
    frames: int
    seconds: float
    wait_share: float
    files_per_s: float
    quarantine: str | None


def encode_files(
    files: Sequence[MediaFile],
    out: Path | str,
    encoder: Encoder | ClipTower,
    settings: EncodeSettings,
    *,
    show: Show = lambda phase, done, total, note: None,
) -> EncodeReport:
    """Encode the frames or the sound of files into a store, made if it is not there.

    Args:
        files: what `find_media` found, also those of other parts.
        out: the store's folder.
        encoder: whose picture tower sees them, or the tower itself.
        settings: which frames, and the rest.
        show: told the phase, files done, files in all, and a note, after every file.

    Raises:
        FeatureMismatchError: the store that is there has another encoder or sampling, or pooled
            features where patches are wanted, or the other way round.
        EncoderError: patches are wanted of a picture tower that has none.
        TowerError: the same, of an encoder of another kind; or a resampler for one of pictures.
        LockedError: another process writes this part of it.
        TooManyBadError: more files are bad than allowed; what is encoded by then is stored.
        LimitError: `max_bad` is no limit.
    """
    mine = [file for file in files if in_shard(file.name, shard=settings.shard)]
    quarantine_path = Path(out) / _quarantine_name(settings.shard)
    Quarantine(max_bad=settings.max_bad)  # a bad limit is told before anything is made
    tower = as_tower(encoder, patches=settings.patches)
    check_resampler(tower, settings.spec)
    store = open_store(out, tower, settings.spec)
    with ExitStack() as held:
        whole = sys.maxsize  # the stage commits between windows
        writer = held.enter_context(
            store.writer(shard=settings.shard, tracks_per_shard=whole, bytes_per_shard=whole)
        )
        index = held.enter_context(FileIndex.open(store, shard=settings.shard))
        quarantine = Quarantine(quarantine_path, max_bad=settings.max_bad)
        quarantine.start_again({str(file.path) for file in mine})
        job = _Job(mine, store, index, quarantine, settings.window, show)
        write = held.enter_context(Write(writer, index))
        encode = held.enter_context(Encode(tower))
        decode = held.enter_context(
            Decode(
                tower,
                settings.spec,
                tower=encode.alone,
                workers=settings.workers,
                limits=settings.limits,
            )
        )
        job.run(decode, encode, write)
        return job.report(encode)


def open_store(
    out: Path | str, encoder: Encoder | ClipTower, spec: SamplingSpec, *, patches: bool = False
) -> FeatureStore:
    """Open the store of an encoder, or a tower, and a sampling, made if it is not there.

    A store holds pooled features or patches, never both: the encoder's name in its identity ends
    in `#patches` for the latter.

    Raises:
        FeatureMismatchError: the store that is there holds other features.
        TakenError: something else is there.
        EncoderError: patches are wanted of a picture tower that has none; nothing is made.
    """
    tower = as_tower(encoder, patches=patches)
    feature_dim = tower.dim

    def attempt() -> FeatureStore:
        return FeatureStore.open_or_create(
            out,
            encoder=tower.name,
            revision=tower.revision,
            sampling=sampling_of(tower, spec),
            feature_dim=feature_dim,
        )

    try:
        store = attempt()
    except TakenError:
        if not (Path(out) / "store.json").exists():
            raise
        store = attempt()  # another part made it in this very moment
    rule = store.path / RULE_FILE
    if not rule.exists():
        write_atomic(rule, tower.rule(spec) + "\n")
    return store


def _quarantine_name(shard: tuple[int, int]) -> str:
    return "quarantine.jsonl" if shard[1] == 1 else f"quarantine-{shard[0]}-of-{shard[1]}.jsonl"


class _Job:
    """One run over the files of one part."""

    def __init__(
        self,
        files: Sequence[MediaFile],
        store: FeatureStore,
        index: FileIndex,
        quarantine: Quarantine,
        window: int,
        show: Show,
    ) -> None:
        self._files, self._store, self._index = files, store, index
        self._quarantine, self._window, self._show = quarantine, window, show
        self._started_s = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._frames = 0
        self._paths: dict[str, Path] = {}  # of what is being encoded
        self._copies: Window = []
        self._bad: dict[str, MediaError] = {}

    def run(self, decode: Decode, encode: Encode, write: Write) -> None:
        """Send every window through the stages."""
        ahead = 1 + math.ceil(2 * decode.workers / self._window)

        def submit(window: Window) -> dict[str, Ticket]:
            missing = [(key, file) for key, file in window if key not in self._store]
            return {key: decode.submit(key, file.path) for key, file in missing}

        with closing(run_ahead(self._windows(), submit, ahead=ahead)) as windows:
            for window, tickets in windows:
                clips = self._collect(window, tickets, decode, encode)
                if clips:
                    self._pass_on(encode.put(clips), write)
                if self._too_many_are_bad():
                    break
        self._pass_on(encode.finish(), write)
        write.finish()
        self._settle_copies(encode)
        self._quarantine.check(total=len(self._files))

    def report(self, encode: Encode) -> EncodeReport:
        """Sum up."""
        seconds = time.monotonic() - self._started_s
        counts = self._counts
        return EncodeReport(
            store=str(self._store.path),
            files=len(self._files),
            encoded=counts["encoded"],
            skipped=counts["skipped"],
            shared=counts["shared"],
            bad=counts["bad"],
            bad_by_kind=self._quarantine.summary(),
            frames=self._frames,
            seconds=seconds,
            wait_share=encode.wait_share,
            files_per_s=(counts["encoded"] + counts["bad"]) / max(seconds, 1e-9),
            quarantine=str(self._quarantine.path) if counts["bad"] else None,
        )

    def _windows(self) -> Iterator[Window]:
        """Yield the windows of distinct files that lack something, in order.

        The first ones are small, so that the tower soon has something to do.
        """
        seen: set[str] = set()
        size = min(FIRST_WINDOW_FILES, self._window)
        window: Window = []
        for file, key in keys_ahead(self._files):
            if isinstance(key, MediaError):
                self._set_aside(file, key)
            elif key in seen:
                self._copies.append((key, file))
            else:
                seen.add(key)
                window.append((key, file))
            if len(window) == size:
                yield from self._if_it_lacks(window)
                window, size = [], min(2 * size, self._window)
        yield from self._if_it_lacks(window)

    def _if_it_lacks(self, window: Window) -> Iterator[Window]:
        stored = [(key, file) for key, file in window if key in self._store]
        for key, file in stored:
            self._index.record(file.path, key)  # a kill may have come between the two
            self._counts["skipped"] += 1
        if len(stored) < len(window):
            yield window

    def _collect(
        self, window: Window, tickets: Mapping[str, Ticket], decode: Decode, encode: Encode
    ) -> list[PreparedClip | EncodedClip]:
        """Wait for a window's clips; return those to encode together, none if none is missing."""
        clips: dict[str, PreparedClip | EncodedClip] = {}
        for key, file in window:
            if key not in tickets:
                continue
            try:
                clips[key] = tickets[key].result()
                self._paths[key] = file.path
                self._counts["encoded"] += 1
            except MediaError as error:
                self._bad[key] = error
                self._set_aside(file, error)
            self._tell(encode)
        if clips:
            again = {k: decode.submit(k, f.path) for k, f in window if k not in tickets}
            for key, ticket in again.items():
                try:
                    clips[key] = ticket.result()
                except MediaError as error:
                    _log.info("%s is stored, but cannot be read again: %s", key, error)
        return [clips[key] for key, _ in window if key in clips]

    def _pass_on(self, windows: Sequence[Tracks], write: Write) -> None:
        for tracks in windows:
            new = [(key, features) for key, features in tracks if key in self._paths]
            self._frames += sum(len(features.times_s) for _, features in new)
            write.put(new, [self._paths.pop(key) for key, _ in new])

    def _settle_copies(self, encode: Encode) -> None:
        """Give files of a content met before what the first one got."""
        for key, file in self._copies:
            if key in self._store:
                self._index.record(file.path, key)
                self._counts["shared"] += 1
            elif key in self._bad:
                self._set_aside(file, self._bad[key])
        self._tell(encode)

    def _set_aside(self, file: MediaFile, error: MediaError) -> None:
        self._counts["bad"] += 1
        kind, path = type(error).__name__, str(file.path)
        self._quarantine.add(path, source=path, code=kind, message=error.cause)

    def _too_many_are_bad(self) -> bool:
        try:
            self._quarantine.check(total=len(self._files))
        except TooManyBadError:
            return True
        return False

    def _tell(self, encode: Encode) -> None:
        counts, elapsed_s = self._counts, max(time.monotonic() - self._started_s, 1e-9)
        rate = (counts["encoded"] + counts["bad"]) / elapsed_s
        note = f"{rate:.1f} files/s, encoder waits {encode.wait_share:.0%}, {counts['bad']} bad"
        self._show("files", counts.total(), len(self._files), note)
