"""`TrackReader`: a run of ours behind a session; features of frames, or of a story's lines."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import tokenizers
import torch
from torch import nn

from textreel.data.collate import Collator
from textreel.data.encoding import EncodedPrompt, Tokenizer
from textreel.data.prompt import PromptTooLongError, Turn
from textreel.data.templates import as_published
from textreel.models import bridges
from textreel.models.answer import Answer
from textreel.models.batch import Batch, Features
from textreel.models.checkpoint import read_config
from textreel.models.decoder import beside, locate, max_positions
from textreel.models.errors import BatchError
from textreel.models.generate import Sampling
from textreel.models.open_encoder import TextEncoder, open_text_encoder
from textreel.models.precision import Precision, decoder_dtype, precision_note
from textreel.models.thread import Thread
from textreel.models.tokenizer import load_tokenizer
from textreel.models.track_lm import TrackLM
from textreel.models.track_row import TrackRow
from textreel.serve.bridging import make_bridge, make_text_bridge
from textreel.serve.errors import TooManyFramesError
from textreel.serve.looking import Seen, Video, check_revision, look
from textreel.serve.questions import as_turn
from textreel.serve.reader import Asked, chosen, too_long, whole_text
from textreel.serve.run_files import RunSettings, find_run, load_settings
from textreel.serve.words import unknown_words

BATCH_SIZE = 32
UNLIMITED = 1 << 30
"""Longest prompt of a decoder that names no limit."""


class TextTokenizer(Tokenizer, Protocol):
    """What is used of the decoder's fast tokenizer."""

    backend_tokenizer: tokenizers.Tokenizer
    unk_token_id: int | None

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Return the text of token ids."""
        ...


class TrackReader:
    """A `TrackLM` with its encoder, tokenizer and bridge.

    A run answers each question as it was evaluated, on its own, unless a conversation is told to
    remember.

    Args:
        model: the trained model, on its device.
        encoder: the encoder whose features it was trained on.
        tokenizer: the decoder's.
        settings: template, sampling, bridge and limits of the run.
        bridge: what features of pictures or sounds pass; `settings.bridge`, made.
        text_bridge: what stories pass; None: nothing.
        name: the run's name, for messages.
    """

    remembers = False

    def __init__(
        self,
        model: TrackLM,
        *,
        encoder: TextEncoder,
        tokenizer: TextTokenizer,
        settings: RunSettings,
        bridge: nn.Module,
        name: str,
        text_bridge: nn.Module | None = None,
    ) -> None:
        self.model = model
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.settings = settings
        self.name = name
        self.limit = max_positions(model.decoder)
        self.collator = Collator(
            tokenizer,
            as_published(settings.template, model.config.published),
            model.num_soft_tokens,
            max_tokens=self.limit or UNLIMITED,
        )
        self._bridges = {
            "image": bridge,
            "sound": bridge,
            "text": text_bridge or bridges.Identity(),
        }

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def cross(self, modality: str) -> None:
        """Let the model's features pass what the run says for their modality."""
        self.model.bridge = self._bridges[modality]

    def look(self, video: Video) -> Seen:
        """See `looking.look`."""
        return look(video, encoder=self.encoder, sampling=self.settings.sampling)

    def num_tokens(self, seen: Seen) -> int:
        """See `Reader`."""
        return self.model.num_soft_tokens(len(features_of(seen).values))

    def check(self, question: str, options: Sequence[str] | None) -> Turn:
        """See `Reader`."""
        tokenizer = self.tokenizer.backend_tokenizer
        return as_turn(question, options, tokenizer=tokenizer, limit=self.limit)

    def write(self, seen: Seen, turns: Sequence[Turn]) -> Asked:
        """See `Reader`."""
        try:
            self.num_tokens(seen)
        except BatchError as error:
            raise TooManyFramesError(
                f"{seen.source} has too many frames for {self.name}: {error}",
                hint="Tell the story in fewer lines, or show fewer frames.",
            ) from error
        return Asked(seen, tuple(turns), self.collator.write(seen.source, turns=turns))

    def many(self, asked: Sequence[Asked], *, max_new_tokens: int) -> list[Answer]:
        """See `Reader`."""
        groups: dict[tuple[str, bool], list[int]] = defaultdict(list)
        for index, one in enumerate(asked):
            groups[(features_of(one.seen).modality, bool(one.turn.options))].append(index)
        answers: dict[int, Answer] = {}
        for (modality, is_choice), indices in groups.items():
            self.cross(modality)
            for start in range(0, len(indices), BATCH_SIZE):
                part = indices[start : start + BATCH_SIZE]
                batch = [asked[i] for i in part]
                said = self._choose_many(batch) if is_choice else self._speak(batch, max_new_tokens)
                answers.update(zip(part, said, strict=True))
        return [answers[i] for i in range(len(asked))]

    def choose(self, asked: Asked, thread: Thread) -> Answer:
        """See `Reader`."""
        record, options = self._encoded_choice(asked)
        return chosen(self, asked, thread.score(self._row(asked, record), options))

    def stream(self, asked: Asked, thread: Thread, *, max_new_tokens: int) -> Iterator[str]:
        """See `Reader`."""
        row = self._row(asked, self._encoded(asked, max_new_tokens))
        sampling = Sampling(stop_ids=(self.collator.stop_id(asked.prompt),))
        ids: list[int] = []
        for token in thread.stream(row, max_new_tokens=max_new_tokens, sampling=sampling):
            ids.append(token)
            if whole_text(text := self._text(ids)):
                yield text
        yield self._text(ids)

    def answer(self, asked: Asked, text: str) -> Answer:
        """See `Reader`."""
        features = features_of(asked.seen)
        return Answer(
            text=text,
            frame_times_s=asked.seen.frame_times_s,
            heard_times_s=asked.seen.heard_times_s,
            sound_status=asked.seen.sound_status,
            bridge="none" if features.modality == "text" else self.settings.bridge.name,
            encoder=self.encoder.name,
            note=self._note(asked),
            question=asked.turn.question,
            frames=None if asked.seen.clip is None else asked.seen.clip.frames,
        )

    def _row(self, asked: Asked, record: EncodedPrompt) -> TrackRow:
        self.cross(features_of(asked.seen).modality)
        return TrackRow(self.model, self._batch([asked], [record]))

    def _batch(self, asked: Sequence[Asked], records: Sequence[EncodedPrompt]) -> Batch:
        samples = [(r, features_of(one.seen)) for r, one in zip(records, asked, strict=True)]
        return self.collator.collate(samples).to(self.device)

    def _encoded(self, asked: Asked, max_new_tokens: int) -> EncodedPrompt:
        frames = len(features_of(asked.seen).values)
        try:
            record = self.collator.encode(asked.prompt, num_frames=frames)
        except PromptTooLongError as error:
            raise too_long(asked, str(error)) from error
        prompt = len(record.token_ids) + self.model.num_soft_tokens(frames)
        if self.limit is not None and prompt + max_new_tokens > self.limit:
            raise too_long(
                asked,
                f"{prompt} tokens with its video, and {max_new_tokens} for the answer, but "
                f"this model reads {self.limit}",
            )
        return record

    def _encoded_choice(self, asked: Asked) -> tuple[EncodedPrompt, Sequence[Sequence[int]]]:
        frames = len(features_of(asked.seen).values)
        try:
            choice = self.collator.encode_choice(asked.prompt, num_frames=frames)
        except PromptTooLongError as error:
            raise too_long(asked, str(error)) from error
        return choice.prompt, choice.options

    def _choose_many(self, asked: Sequence[Asked]) -> list[Answer]:
        choices = [self._encoded_choice(one) for one in asked]
        batch = self._batch(asked, [record for record, _ in choices])
        scores = self.model.score(batch, [options for _, options in choices])
        return [chosen(self, one, score) for one, score in zip(asked, scores, strict=True)]

    def _speak(self, asked: Sequence[Asked], max_new_tokens: int) -> list[Answer]:
        records = [self._encoded(one, max_new_tokens) for one in asked]
        spoken = self.model.generate(
            self._batch(asked, records),
            max_new_tokens=max_new_tokens,
            sampling=Sampling(stop_ids=(self.collator.stop_id(asked[0].prompt),)),
        )
        return [self.answer(one, self._text(ids)) for one, ids in zip(asked, spoken, strict=True)]

    def _text(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True).strip()

    def _note(self, asked: Asked) -> str:
        words = unknown_words(
            [asked.turn.question, *asked.turn.options], tokenizer=self.tokenizer.backend_tokenizer
        )
        words = list(dict.fromkeys([*words, *asked.seen.unknown_words]))
        notes = list(asked.seen.notes)
        if said := precision_note(self.model.decoder.dtype):
            notes.append(said)
        if words:
            notes.append(f"does not know: {', '.join(words)}")
        if self.settings.knows:
            notes.append(f"knows only {self.settings.knows}")
        return "; ".join(notes)


def features_of(seen: Seen) -> Features:
    """Return what a `TrackReader` has seen."""
    assert seen.features is not None  # `look` sees to it
    return seen.features


def encoder_of(
    settings: RunSettings, folder: Path, *, device: torch.device | str = "cpu"
) -> TextEncoder:
    """Open the encoder of a run in `folder`; errors as `open_text_encoder`."""
    return open_text_encoder(
        locate(settings.encoder, base=folder),
        weights=[beside(file, folder) for file in settings.weights],
        tokenizer=beside(settings.tokenizer, folder) if settings.tokenizer else None,
        device=device,
    )


def load_track_reader(
    run: str | Path, *, device: torch.device | str = "cpu", precision: Precision = "auto"
) -> TrackReader:
    """Load a run; arguments and errors as `session.load`."""
    folder = find_run(run)
    settings = load_settings(folder)
    where = locate(read_config(folder).decoder, base=folder)
    dtype = decoder_dtype(where, precision=precision, device=device)
    model = TrackLM.from_pretrained(folder, dtype=dtype)
    encoder = encoder_of(settings, folder, device=device)
    config = model.config
    known = bool(config.encoder_revision) or config.published is None
    if known:
        check_revision(
            config.encoder, config.encoder_revision, encoder=encoder, what=f"the features of {run}"
        )
    return TrackReader(
        model.to(device),
        encoder=encoder,
        tokenizer=load_tokenizer(config.decoder, base=folder),
        settings=settings,
        bridge=make_bridge(settings.bridge, encoder=encoder, run=folder, checked=known).to(device),
        text_bridge=make_text_bridge(settings.bridge, encoder=encoder, run=folder).to(device),
        name=str(run),
    )
