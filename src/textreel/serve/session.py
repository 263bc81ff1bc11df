"""`load(run)` and `Session.ask`: one trained model, answering about any file.

    video or story --look--> Features --+
    question, options --prompt----------+--> Batch --score / generate--> Answer

Pictures cross the run's bridge; a story is text already and does not.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import tokenizers
import torch
from torch import nn

from textreel.data.collate import Collator
from textreel.data.encoding import EncodedPrompt, Tokenizer
from textreel.data.prompt import Prompt, PromptTooLongError, Turn
from textreel.data.templates import as_published
from textreel.models import bridges
from textreel.models.answer import Answer
from textreel.models.batch import Batch
from textreel.models.decoder import locate, max_positions
from textreel.models.encoders import DualEncoder, load_encoder
from textreel.models.errors import BatchError
from textreel.models.generate import Sampling
from textreel.models.tokenizer import load_tokenizer
from textreel.models.track_lm import TrackLM
from textreel.serve.bridging import make_bridge, make_text_bridge
from textreel.serve.errors import QuestionError, TooManyFramesError
from textreel.serve.looking import Seen, Video, check_revision, look
from textreel.serve.questions import check_options, check_question
from textreel.serve.run_files import RunSettings, find_run, load_settings
from textreel.serve.words import unknown_words

BATCH_SIZE = 32
MAX_NEW_TOKENS = 32
UNLIMITED = 1 << 30
"""Longest prompt of a decoder that names no limit."""


class TextTokenizer(Tokenizer, Protocol):
    """What is used of the decoder's fast tokenizer."""

    backend_tokenizer: tokenizers.Tokenizer
    unk_token_id: int | None

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Return the text of token ids."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question about one video.

    Attributes:
        video: a file, a story, or what `Session.look` returned.
        question: its text.
        options: what to choose from; None: an answer in free words.
    """

    video: Video
    question: str
    options: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The same question about a story and about a video.

    Attributes:
        story: the answer about the text.
        video: the answer about the file.
        agree: whether both say the same.
    """

    story: Answer
    video: Answer
    agree: bool


@dataclass(frozen=True, slots=True)
class _Asked:
    """A checked question with its prompt and what it is about."""

    seen: Seen
    question: str
    options: tuple[str, ...]
    prompt: Prompt


class Session:
    """A loaded run. Build it with `load`.

    Args:
        model: the trained model, on its device.
        encoder: the encoder whose features it was trained on.
        tokenizer: the decoder's.
        settings: template, sampling, bridge and limits of the run.
        bridge: what features of pictures pass; `settings.bridge`, made.
        text_bridge: what stories pass; None: nothing.
        name: the run's name, for messages.
    """

    def __init__(
        self,
        model: TrackLM,
        *,
        encoder: DualEncoder,
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
        self._bridges = {"image": bridge, "text": text_bridge or bridges.Identity()}

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def cross(self, modality: str) -> None:
        """Let the model's features pass what the run says for their modality."""
        self.model.bridge = self._bridges[modality]

    def look(self, video: Video) -> Seen:
        """Look at a video or a story once, for any number of questions.

        Errors as `looking.look`.
        """
        return look(video, encoder=self.encoder, sampling=self.settings.sampling)

    def ask(
        self,
        video: Video,
        question: str,
        *,
        options: Sequence[str] | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> Answer:
        """Answer one question.

        Args:
            video: a media file's path, a story's (`.txt`, one frame a line), a clip, a textual
                video, or what `look` returned.
            question: its text.
            options: two or more to choose from, with probabilities; None: free words.
            max_new_tokens: longest answer in free words.

        Raises:
            QuestionError: no question, or one longer than the decoder reads.
            OptionsError: fewer than two options, or two alike.
            MediaError, StoryError, NothingToSeeError, EncoderMismatchError: see `look`.
            TooManyFramesError: more frames than the model has places for.
        """
        given = None if options is None else tuple(options)
        asked = Question(video=video, question=question, options=given)
        return self.ask_many([asked], max_new_tokens=max_new_tokens)[0]

    def ask_many(
        self, questions: Iterable[Question], *, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[Answer]:
        """Answer many questions in batches, in order; each file is looked at once.

        Arguments and errors as `ask`. All questions are checked before the first video is opened.
        """
        every = list(questions)
        checked = [self._check(one) for one in every]
        seen: dict[object, Seen] = {}
        asked: list[_Asked] = []
        for one, (text, options) in zip(every, checked, strict=True):
            key = str(one.video) if isinstance(one.video, str | Path) else id(one.video)
            if key not in seen:
                seen[key] = replace(self.look(one.video), clip=None)  # pixels of many are large
            asked.append(self._write(seen[key], text, options))
        groups: dict[tuple[str, bool], list[int]] = defaultdict(list)
        for index, one_asked in enumerate(asked):
            groups[(one_asked.seen.features.modality, bool(one_asked.options))].append(index)
        answers: dict[int, Answer] = {}
        for (modality, is_choice), indices in groups.items():
            self.cross(modality)
            for start in range(0, len(indices), BATCH_SIZE):
                part = indices[start : start + BATCH_SIZE]
                batch = [asked[i] for i in part]
                said = self._choose(batch) if is_choice else self._speak(batch, max_new_tokens)
                answers.update(zip(part, said, strict=True))
        return [answers[i] for i in range(len(asked))]

    def compare(
        self,
        story: Video,
        video: Video,
        question: str,
        *,
        options: Sequence[str] | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> Comparison:
        """Ask the same about a story and about a video; arguments and errors as `ask`."""
        given = None if options is None else tuple(options)
        pair = [Question(video=v, question=question, options=given) for v in (story, video)]
        told, shown = self.ask_many(pair, max_new_tokens=max_new_tokens)
        return Comparison(story=told, video=shown, agree=told.text == shown.text)

    def _check(self, one: Question) -> tuple[str, tuple[str, ...]]:
        tokenizer = self.tokenizer.backend_tokenizer
        text = check_question(one.question, tokenizer=tokenizer, limit=self.limit)
        return text, () if one.options is None else check_options(one.options)

    def _write(self, seen: Seen, question: str, options: tuple[str, ...]) -> _Asked:
        frames = len(seen.features.values)
        try:
            self.model.num_soft_tokens(frames)
        except BatchError as error:
            raise TooManyFramesError(
                f"{seen.source} has too many frames for {self.name}: {error}",
                hint="Tell the story in fewer lines, or show fewer frames.",
            ) from error
        turn = Turn(task="choice" if options else "open", question=question, options=options)
        return _Asked(seen, question, options, self.collator.write(seen.source, turns=[turn]))

    def _batch(self, asked: Sequence[_Asked], records: Sequence[EncodedPrompt]) -> Batch:
        samples = [(r, one.seen.features) for r, one in zip(records, asked, strict=True)]
        return self.collator.collate(samples).to(self.device)

    def _choose(self, asked: Sequence[_Asked]) -> list[Answer]:
        choices = []
        for one in asked:
            frames = len(one.seen.features.values)
            try:
                choices.append(self.collator.encode_choice(one.prompt, num_frames=frames))
            except PromptTooLongError as error:
                raise self._too_long(one, str(error)) from error
        batch = self._batch(asked, [choice.prompt for choice in choices])
        scores = self.model.score(batch, [choice.options for choice in choices])
        return [
            replace(
                self._answer(one, one.options[score.best]),
                chosen=score.best,
                options=one.options,
                log_likelihoods=tuple(score.total.tolist()),
                probabilities=tuple(score.probabilities().tolist()),
            )
            for one, score in zip(asked, scores, strict=True)
        ]

    def _speak(self, asked: Sequence[_Asked], max_new_tokens: int) -> list[Answer]:
        records = []
        for one in asked:
            frames = len(one.seen.features.values)
            try:
                record = self.collator.encode(one.prompt, num_frames=frames)
            except PromptTooLongError as error:
                raise self._too_long(one, str(error)) from error
            prompt = len(record.token_ids) + self.model.num_soft_tokens(frames)
            if self.limit is not None and prompt + max_new_tokens > self.limit:
                raise self._too_long(
                    one,
                    f"{prompt} tokens with its video, and {max_new_tokens} for the answer, but "
                    f"this model reads {self.limit}",
                )
            records.append(record)
        stop = self.collator.stop_id(asked[0].prompt)
        spoken = self.model.generate(
            self._batch(asked, records),
            max_new_tokens=max_new_tokens,
            sampling=Sampling(stop_ids=(stop,)),
        )
        texts = [self.tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in spoken]
        return [self._answer(one, text) for one, text in zip(asked, texts, strict=True)]

    def _answer(self, one: _Asked, text: str) -> Answer:
        features = one.seen.features
        return Answer(
            text=text,
            frame_times_s=tuple(features.times_s.tolist()),
            sound_status=one.seen.sound_status,
            bridge="none" if features.modality == "text" else self.settings.bridge.name,
            encoder=self.encoder.name,
            note=self._note(one),
        )

    def _note(self, one: _Asked) -> str:
        words = unknown_words(
            [one.question, *one.options], tokenizer=self.tokenizer.backend_tokenizer
        )
        words = list(dict.fromkeys([*words, *one.seen.unknown_words]))
        notes = list(one.seen.notes)
        if words:
            notes.append(f"does not know: {', '.join(words)}")
        if self.settings.knows:
            notes.append(f"knows only {self.settings.knows}")
        return "; ".join(notes)

    def _too_long(self, one: _Asked, why: str) -> QuestionError:
        return QuestionError(
            f"a question of {len(one.question.split()):,} words does not fit: {why}",
            hint="Ask a shorter question, give shorter options, or want a shorter answer.",
        )


def load(run: str | Path, *, device: torch.device | str = "cpu") -> Session:
    """Load a run, ready to answer.

    Args:
        run: the folder of a run, or `tiny` for the one that comes with the package.
        device: where encoder and model run.

    Raises:
        RunError: no such run, or something in it is missing.
        EncoderMismatchError: the encoder is not the one the run was trained on.
        FormatError, CheckpointError, FingerprintError: a file of the run is another one's or newer.
        DecoderNotFoundError, EncoderUnavailableError: a frozen model is not on this machine.
    """
    folder = find_run(run)
    settings = load_settings(folder)
    model = TrackLM.from_pretrained(folder)
    encoder = load_encoder(locate(settings.encoder, base=folder), device=device)
    config = model.config
    known = bool(config.encoder_revision) or config.published is None
    if known:
        check_revision(
            config.encoder, config.encoder_revision, encoder=encoder, what=f"the features of {run}"
        )
    return Session(
        model.to(device),
        encoder=encoder,
        tokenizer=load_tokenizer(config.decoder, base=folder),
        settings=settings,
        bridge=make_bridge(settings.bridge, encoder=encoder, run=folder, checked=known).to(device),
        text_bridge=make_text_bridge(settings.bridge, encoder=encoder, run=folder).to(device),
        name=str(run),
    )
