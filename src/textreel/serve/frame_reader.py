"""`FrameReader`: an image-LLM as it is behind a session; frames go in as pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from textreel.data.encoding import EncodedPrompt
from textreel.data.frame_collate import FrameCollator
from textreel.data.prompt import PromptTemplate, PromptTooLongError, Turn
from textreel.data.templates import IMAGE_CHAT
from textreel.data.textual_video import TextualVideo
from textreel.media.clip import Clip
from textreel.media.decode import decode_clip
from textreel.media.sampling import SamplingSpec
from textreel.models.answer import Answer
from textreel.models.batch import Features
from textreel.models.generate import Sampling, stop_ids_of
from textreel.models.image_mllm.frame_row import FrameRow
from textreel.models.image_mllm.loading import ImageLLM
from textreel.models.thread import Thread
from textreel.serve.errors import EncoderMismatchError, StoryError, TooManyFramesError
from textreel.serve.looking import Seen, Video, check_frames, fewer_frames
from textreel.serve.questions import as_turn
from textreel.serve.reader import Asked, chosen, too_long, whole_text
from textreel.serve.story import is_story

UNLIMITED = 1 << 30
QUESTION_TOKENS = 64
"""Room left for a question when the number of frames that fit is told."""


class FrameReader:
    """An image-LLM with its image processor and tokenizer.

    Args:
        made: the loaded image-LLM.
        sampling: which frames of a file it is shown.
        name: what the user called it.
        template: the words of its questions.
    """

    remembers = True

    def __init__(
        self,
        made: ImageLLM,
        *,
        sampling: SamplingSpec,
        name: str,
        template: PromptTemplate = IMAGE_CHAT,
    ) -> None:
        self.made = made
        self.model = made.model
        self.sampling = sampling
        self.name = name
        self.limit = made.model.limit
        self.collator = FrameCollator(
            made.tokenizer,
            made.model.family,
            template=template,
            max_tokens=self.limit or UNLIMITED,
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def look(self, video: Video) -> Seen:
        """Read a video's frames and prepare them as pictures.

        Raises:
            StoryError: a text instead of a video.
            EncoderMismatchError: features, or what another model looked at.
            MediaError, NothingToSeeError: see `looking.look`.
            TooManyFramesError: more frames than the model's context holds.
        """
        if isinstance(video, TextualVideo) or (isinstance(video, str | Path) and is_story(video)):
            raise StoryError(
                f"{self.name} looks at pictures, so it cannot see a story in words",
                hint="Give a video; stories are for runs that were aligned on text.",
            )
        if isinstance(video, Features) or (isinstance(video, Seen) and video.pictures is None):
            raise EncoderMismatchError(
                f"{self.name} looks at pictures and reads no features", hint="Give a video."
            )
        if isinstance(video, Seen):
            return self._fitting(video)
        notes: tuple[str, ...] = ()
        if isinstance(video, Clip):
            clip, wanted = video, None
        else:
            decoded = decode_clip(video, self.sampling)
            clip, notes, wanted = decoded.clip, decoded.notes, self.sampling.num_frames
        check_frames(clip)
        return self._fitting(
            Seen(
                source=clip.source,
                pictures=self.made.reader.read(list(clip.frames)),
                sound_status=clip.sound_status,
                clip=clip,
                notes=notes + fewer_frames(clip, wanted),
                frame_times_s=tuple(clip.frame_times_s.tolist()),
            )
        )

    def num_tokens(self, seen: Seen) -> int:
        """See `Reader`."""
        return 0 if seen.pictures is None else seen.pictures.num_tokens

    def check(self, question: str, options: Sequence[str] | None) -> Turn:
        """See `Reader`."""
        tokenizer = self.made.tokenizer.backend_tokenizer
        return as_turn(question, options, tokenizer=tokenizer, limit=self.limit)

    def write(self, seen: Seen, turns: Sequence[Turn]) -> Asked:
        """See `Reader`."""
        prompt = self.collator.write(seen.source, turns=turns, pictures=seen.pictures)
        return Asked(seen, tuple(turns), prompt)

    def many(self, asked: Sequence[Asked], *, max_new_tokens: int) -> list[Answer]:
        """See `Reader`. Questions about one video follow each other, so that it is read once."""
        order = sorted(range(len(asked)), key=lambda i: (id(asked[i].seen), i))
        answers: dict[int, Answer] = {}
        thread, about = Thread(), None
        for index in order:
            one = asked[index]
            if one.seen is not about:
                thread, about = Thread(), one.seen
            if one.turn.options:
                answers[index] = self.choose(one, thread)
            else:
                *_, text = self.stream(one, thread, max_new_tokens=max_new_tokens)
                answers[index] = self.answer(one, text)
        return [answers[index] for index in range(len(asked))]

    def choose(self, asked: Asked, thread: Thread) -> Answer:
        """See `Reader`."""
        try:
            choice = self.collator.encode_choice(asked.prompt)
        except PromptTooLongError as error:
            raise too_long(asked, str(error)) from error
        return chosen(self, asked, thread.score(self._row(asked, choice.prompt), choice.options))

    def stream(self, asked: Asked, thread: Thread, *, max_new_tokens: int) -> Iterator[str]:
        """See `Reader`."""
        row = self._row(asked, self._encoded(asked, max_new_tokens))
        stops = stop_ids_of(self.model.model, Sampling()) | {*self.collator.stop_ids(asked.prompt)}
        sampling = Sampling(stop_ids=tuple(sorted(stops)))
        ids: list[int] = []
        for token in thread.stream(row, max_new_tokens=max_new_tokens, sampling=sampling):
            ids.append(token)
            if whole_text(text := self._text(ids)):
                yield text
        yield self._text(ids)

    def answer(self, asked: Asked, text: str) -> Answer:
        """See `Reader`."""
        return Answer(
            text=text,
            frame_times_s=asked.seen.frame_times_s,
            sound_status=asked.seen.sound_status,
            bridge="none",
            encoder=self.made.name,
            note="; ".join(asked.seen.notes),
            question=asked.turn.question,
            frames=None if asked.seen.clip is None else asked.seen.clip.frames,
        )

    def _fitting(self, seen: Seen) -> Seen:
        tokens, limit = self.num_tokens(seen), self.limit
        if limit is None or tokens + QUESTION_TOKENS <= limit:
            return seen
        assert seen.pictures is not None
        fit = max(0, limit - QUESTION_TOKENS) * len(seen.pictures) // tokens
        raise TooManyFramesError(
            f"{seen.source}: {len(seen.pictures)} frames make {tokens:,} image tokens, but "
            f"{self.name} reads {limit:,} tokens in all",
            hint=f"Show it at most {fit} frames, such as --num-frames {fit}."
            if fit
            else "Choose an image-LLM with a longer context.",
        )

    def _encoded(self, asked: Asked, max_new_tokens: int) -> EncodedPrompt:
        try:
            record = self.collator.encode(asked.prompt)
        except PromptTooLongError as error:
            raise too_long(asked, str(error)) from error
        prompt = len(record.token_ids)
        if self.limit is not None and prompt + max_new_tokens > self.limit:
            raise too_long(
                asked,
                f"{prompt:,} tokens with its video, and {max_new_tokens} for the answer, but "
                f"this model reads {self.limit:,}",
            )
        return record

    def _row(self, asked: Asked, record: EncodedPrompt) -> FrameRow:
        batch = self.collator.collate([(record, asked.seen.pictures)]).to(self.device)
        return FrameRow(self.model, batch)

    def _text(self, ids: Sequence[int]) -> str:
        return str(self.made.tokenizer.decode(ids, skip_special_tokens=True)).strip()
