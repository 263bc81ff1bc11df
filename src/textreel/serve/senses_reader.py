"""`SensesReader`: a run with eyes and ears (`VideoLlama`) behind a session."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from textreel.data.encoding import EncodedChoice, EncodedPrompt
from textreel.data.prompt import Turn
from textreel.data.senses_collate import SensesCollator, SensesSample
from textreel.data.senses_prompt import shown_of
from textreel.features.dual_sound import DualSoundTower
from textreel.features.towers import (
    ClipTower,
    ImageBindTower,
    PictureTower,
    SoundTower,
    WindowTower,
)
from textreel.models.answer import Answer
from textreel.models.bridges import Identity
from textreel.models.decoder import locate, max_positions
from textreel.models.encoders import DualEncoder
from textreel.models.errors import BatchError
from textreel.models.frame_encoder import NAME as FRAMES
from textreel.models.generate import Sampling
from textreel.models.imagebind import SoundScale
from textreel.models.imagebind_encoder import NAME as IMAGEBIND
from textreel.models.imagebind_encoder import SCALED_SUFFIX, ImageBindEncoder
from textreel.models.open_encoder import Encoder, open_encoder
from textreel.models.precision import Precision, decoder_dtype, precision_note
from textreel.models.senses_batch import SensesBatch
from textreel.models.sound_text import SoundTextEncoder
from textreel.models.thread import Thread
from textreel.models.tokenizer import load_tokenizer
from textreel.models.track_row import TrackRow
from textreel.models.video_llama import EncoderSource, VideoLlama, read_video_llama_config
from textreel.models.video_llama_checkpoint import Branch
from textreel.serve.bridging import make_bridge
from textreel.serve.errors import EncoderMismatchError, RunError, TooManyFramesError
from textreel.serve.looking import Seen, Video
from textreel.serve.questions import as_turn
from textreel.serve.reader import Asked, chosen, too_long, whole_text
from textreel.serve.run_files import find_run
from textreel.serve.senses_files import SensesSettings, load_senses_settings
from textreel.serve.senses_looking import Senses, look_and_listen
from textreel.serve.track_reader import BATCH_SIZE, UNLIMITED, TextTokenizer
from textreel.serve.words import unknown_words

STILL_S = 0.1
"""What shows one frame for less than this is a picture."""


class SensesReader:
    """A `VideoLlama` with its encoders and its decoder's tokenizer.

    Args:
        model: the trained model, on its device.
        senses: its encoders.
        tokenizer: the decoder's.
        settings: template, sampling, bridges and limits of the run.
        bridges: what features of pictures and of sound pass; `settings.bridges`, made.
        name: the run's name, for messages.
    """

    def __init__(
        self,
        model: VideoLlama,
        *,
        senses: Senses,
        tokenizer: TextTokenizer,
        settings: SensesSettings,
        bridges: dict[str, nn.Module],
        name: str,
    ) -> None:
        self.model, self.senses, self.settings = model, senses, settings
        self.tokenizer, self.name = tokenizer, name
        self.remembers = settings.remembers
        self.limit = max_positions(model.decoder)
        self.collator = SensesCollator(
            tokenizer, settings.template, self._num_tokens, max_tokens=self.limit or UNLIMITED
        )
        self._bridges = bridges

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.decoder.device

    def look(self, video: Video) -> Seen:
        """See `senses_looking.look_and_listen`.

        Raises:
            TooManyFramesError: more frames or clips of sound than the branch has positions for.
        """
        sampling = self.settings.sampling
        seen = look_and_listen(video, self.senses, sampling=sampling, name=self.name)
        try:
            self.num_tokens(seen)
        except BatchError as error:
            raise TooManyFramesError(
                f"{seen.source} has too many steps of time for {self.name}: {error}",
                hint=error.hint,
            ) from error
        return seen

    def num_tokens(self, seen: Seen) -> int:
        """See `Reader`."""
        tracks = (("image", seen.features), ("sound", seen.heard))
        return sum(self._num_tokens(n, len(f.values)) for n, f in tracks if f is not None)

    def check(self, question: str, options: Sequence[str] | None) -> Turn:
        """See `Reader`."""
        tokenizer = self.tokenizer.backend_tokenizer
        return as_turn(question, options, tokenizer=tokenizer, limit=self.limit)

    def write(self, seen: Seen, turns: Sequence[Turn]) -> Asked:
        """See `Reader`."""
        shown = shown_of(seen.features, seen.heard, still=_is_still(seen))
        prompt = self.collator.write(seen.source, turns=turns, shown=shown)
        return Asked(seen, tuple(turns), prompt)

    def many(self, asked: Sequence[Asked], *, max_new_tokens: int) -> list[Answer]:
        """See `Reader`.

        Choices about the same senses share batches; free answers are written one by one, for their
        end is found in the text.
        """
        answers: dict[int, Answer] = {}
        groups: dict[tuple[str, bool, bool], list[int]] = defaultdict(list)
        for index, one in enumerate(asked):
            if one.turn.options:
                seen = one.seen
                kind = "" if seen.features is None else seen.features.modality
                groups[kind, seen.features is None, seen.heard is None].append(index)
            else:
                *_, text = self.stream(one, Thread(), max_new_tokens=max_new_tokens)
                answers[index] = self.answer(one, text)
        for indices in groups.values():
            for start in range(0, len(indices), BATCH_SIZE):
                part = indices[start : start + BATCH_SIZE]
                said = self._choose_many([asked[i] for i in part])
                answers.update(zip(part, said, strict=True))
        return [answers[i] for i in range(len(asked))]

    def choose(self, asked: Asked, thread: Thread) -> Answer:
        """See `Reader`."""
        choice = self._choice(asked)
        row = TrackRow(self.model, self._batch([asked], [choice.prompt]))
        return chosen(self, asked, thread.score(row, choice.options))

    def stream(self, asked: Asked, thread: Thread, *, max_new_tokens: int) -> Iterator[str]:
        """See `Reader`."""
        [record] = self.collator.encode_many([asked.prompt])
        self._fit(asked, record, max_new_tokens)
        row = TrackRow(self.model, self._batch([asked], [record]))
        end, stop = self.collator.tokenizer.eos_token_id, asked.prompt.stop
        sampling = Sampling(stop_ids=() if end is None else (int(end),))
        ids: list[int] = []
        for token in thread.stream(row, max_new_tokens=max_new_tokens, sampling=sampling):
            ids.append(token)
            text = self.tokenizer.decode(ids, skip_special_tokens=False)
            if stop and stop in text:
                break
            if whole_text(said := held_back(self._text(ids, stop), stop)):
                yield said
        yield self._text(ids, stop)

    def answer(self, asked: Asked, text: str) -> Answer:
        """See `Reader`."""
        seen = asked.seen
        used = [t.name for t in (self.senses.eye, self.senses.ear) if t is not None]
        bridged = {self.settings.bridges[n].name for n in self._crossing(seen)}
        return Answer(
            text=text,
            frame_times_s=seen.frame_times_s,
            heard_times_s=seen.heard_times_s,
            sound_status=seen.sound_status,
            bridge=", ".join(sorted(bridged)) or "none",
            encoder=" and ".join(dict.fromkeys(used)),
            note=self._note(asked),
            question=asked.turn.question,
            frames=None if seen.clip is None else seen.clip.frames,
        )

    def _num_tokens(self, name: str, steps: int) -> int:
        branch: Branch = "image" if name == "image" else "sound"
        return self.model.branch(branch).num_soft_tokens(steps)

    def _crossing(self, seen: Seen) -> list[str]:
        """Return the senses whose features pass a bridge; texts pass none."""
        tracks = {"image": seen.features, "sound": seen.heard}
        return [
            name
            for name, features in tracks.items()
            if features is not None and features.modality != "text" and name in self._bridges
        ]

    def _batch(self, asked: Sequence[Asked], records: Sequence[EncodedPrompt]) -> SensesBatch:
        crossing = self._crossing(asked[0].seen)
        for name in self.model.bridges:
            bridge = self._bridges[name] if name in crossing else Identity()
            self.model.bridges[name] = bridge.to(self.device)
        samples = [
            SensesSample(record, one.seen.features, one.seen.heard)
            for one, record in zip(asked, records, strict=True)
        ]
        return self.collator.collate(samples).to(self.device)

    def _choice(self, asked: Asked) -> EncodedChoice:
        [choice] = self.collator.encode_choices([asked.prompt])
        self._fit(asked, choice.prompt, max(map(len, choice.options)))
        return choice

    def _choose_many(self, asked: Sequence[Asked]) -> list[Answer]:
        choices = [self._choice(one) for one in asked]
        batch = self._batch(asked, [choice.prompt for choice in choices])
        scores = self.model.score(batch, [choice.options for choice in choices])
        return [chosen(self, one, score) for one, score in zip(asked, scores, strict=True)]

    def _fit(self, asked: Asked, record: EncodedPrompt, more: int) -> None:
        prompt = len(record.token_ids) + self.num_tokens(asked.seen)
        if self.limit is not None and prompt + more > self.limit:
            raise too_long(
                asked,
                f"{prompt} tokens with what is seen and heard, and {more} for the answer, but this "
                f"model reads {self.limit}",
            )

    def _text(self, ids: Sequence[int], stop: str | None) -> str:
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        return (text.split(stop)[0] if stop else text).strip()

    def _note(self, asked: Asked) -> str:
        words = unknown_words(
            [asked.turn.question, *asked.turn.options], tokenizer=self.tokenizer.backend_tokenizer
        )
        notes = list(asked.seen.notes)
        if said := precision_note(self.model.decoder.dtype):
            notes.append(said)
        if words:
            notes.append(f"does not know: {', '.join(words)}")
        if self.settings.knows:
            notes.append(f"knows only {self.settings.knows}")
        return "; ".join(notes)


def held_back(text: str, stop: str | None) -> str:
    """Return a text that grows without what may turn out to be the beginning of its stop.

    >>> held_back("a ball ##", "###")
    'a ball'
    """
    for length in range(len(stop or "") - 1, 0, -1):
        if stop is not None and text.endswith(stop[:length]):
            return text[:-length].rstrip()
    return text


def _is_still(seen: Seen) -> bool:
    """Return whether a single picture was looked at, as a picture file shows it."""
    clip = seen.clip
    return clip is not None and len(clip.frames) == 1 and clip.duration_s < STILL_S


def load_senses_reader(
    run: str | Path,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    senses: Senses | None = None,
) -> SensesReader:
    """Load a run with eyes and ears; errors as `session.load`.

    Args:
        run: its folder.
        device: where it computes.
        precision: what its decoder is held in.
        senses: its encoders; None: opened as the run names them.
    """
    folder = find_run(run)
    settings = load_senses_settings(folder)
    where = locate(read_video_llama_config(folder).decoder, base=folder)
    dtype = decoder_dtype(where, precision=precision, device=device)
    model = VideoLlama.from_pretrained(folder, dtype=dtype)
    if senses is None:
        senses = _open_senses(model, settings, folder, device)
    for what, source, tower in (
        ("pictures", model.config.image_encoder, senses.eye),
        ("sound", model.config.sound_encoder, senses.ear),
    ):
        if tower is not None and source.revision not in ("", tower.revision):
            raise EncoderMismatchError(
                f"{run} reads {what} of {source.name} (revision {source.revision}), but the "
                f"encoder at hand is {tower.name} (revision {tower.revision})",
                hint="Use the encoder's files that the run was made with.",
            )
    bridges: dict[str, nn.Module] = {}
    for name, bridge in settings.bridges.items():
        if senses.reads is None:
            raise RunError(f"{run}: the bridge of its {name} needs an encoder that reads texts")
        bridges[name] = make_bridge(bridge, encoder=senses.reads, run=folder, sense=name)
    return SensesReader(
        model.to(device),
        senses=senses,
        tokenizer=load_tokenizer(model.config.decoder, base=folder),
        settings=settings,
        bridges=bridges,
        name=str(run),
    )


def _open_senses(
    model: VideoLlama, settings: SensesSettings, folder: Path, device: torch.device | str
) -> Senses:
    config, opened = model.config, {}

    def encoder_of(source: EncoderSource, sense: Branch) -> Encoder:
        own = sense if source.name.removesuffix(SCALED_SUFFIX) == IMAGEBIND else ""
        key = (own, source.name, source.weights)  # ImageBind is opened a tower at a time
        if key not in opened:
            opened[key] = _open(source, sense, folder, device)
        return opened[key]

    eye: ClipTower | None = None
    ear: SoundTower | None = None
    reads = None
    if config.image is not None:
        seeing = encoder_of(config.image_encoder, "image")
        eye, reads = PictureTower(seeing), seeing if isinstance(seeing, DualEncoder) else None
    if config.sound is not None:
        hearing = encoder_of(config.sound_encoder, "sound")
        if isinstance(hearing, ImageBindEncoder):
            ear = ImageBindTower(hearing, clips=settings.clips)
        elif isinstance(hearing, SoundTextEncoder):
            ear = WindowTower(hearing)
        elif isinstance(hearing, DualEncoder):
            ear = DualSoundTower(hearing, clips=settings.clips)
            reads = reads or hearing
        else:
            raise RunError(f"{folder}: {hearing.name} does not hear, so it cannot serve as an ear")
    return Senses(eye=eye, ear=ear, reads=reads)


def _open(
    source: EncoderSource, sense: Branch, folder: Path, device: torch.device | str
) -> Encoder:
    """Open an encoder as a run names it; its files may lie beside the run."""
    files = [locate(name, base=folder) for name in source.weights]
    if source.name == FRAMES or source.name.startswith(f"{FRAMES}#"):
        return open_encoder(FRAMES, weights=files, device=device)
    if source.name.removesuffix(SCALED_SUFFIX) == IMAGEBIND:
        scale: SoundScale = "published" if source.name.endswith(SCALED_SUFFIX) else "unit"
        if sense == "image":
            return open_encoder("imagebind-image", weights=files, device=device)
        return open_encoder("imagebind-audio", weights=files, sound_scale=scale, device=device)
    return open_encoder(files[0] if files else source.name, device=device)
