"""`load(run)` and `Session`: one model, answering about any file. The way in from Python.

    model = textreel.load("runs/demo")                     # or the folder or id of an image-LLM
    model.ask("clip.mp4", "What happened first?")          # -> Answer
    model.ask("clip.mp4", "Which?", options=["a", "b"])    # with probabilities
    for piece in model.stream("clip.mp4", "What is it?"):  # as it is written
    talk = model.chat("clip.mp4"); talk.ask("And then?")   # the video stays read

The video asked about last stays encoded and read as well, so that the next question about it is
quick. A session is for one thread at a time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from textreel.data.files import fingerprint
from textreel.data.templates import IMAGE_CHAT
from textreel.media.sampling import SamplingSpec
from textreel.models.answer import Answer
from textreel.models.decoder import weight_fingerprint
from textreel.models.image_mllm.loading import load_image_llm
from textreel.models.image_mllm.pictures import PictureSettings
from textreel.models.precision import Precision, named_dtype, precision_note
from textreel.models.video_llama import KIND as VIDEO_LLAMA
from textreel.serve.conversation import MAX_NEW_TOKENS, Conversation, Stream
from textreel.serve.errors import RunError
from textreel.serve.frame_reader import FrameReader
from textreel.serve.looking import Seen, Video
from textreel.serve.reader import Reader
from textreel.serve.run_files import (
    SETTINGS_FILES,
    find_model,
    model_kind,
    read_sampling,
    read_template,
)
from textreel.serve.senses_reader import load_senses_reader
from textreel.serve.track_reader import load_track_reader

__all__ = ["Comparison", "Question", "Session", "load"]


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


class Session:
    """A loaded model. Build it with `load`.

    Args:
        reader: the model with everything that prepares its input.
        fingerprint: names everything that its answers follow from, but for the questions.
    """

    def __init__(self, reader: Reader, *, fingerprint: str = "") -> None:
        self.reader = reader
        self.name = reader.name
        self.fingerprint = fingerprint
        self._latest: tuple[object, Conversation] | None = None

    def __repr__(self) -> str:
        return f"Session({self.name!r})"

    def look(self, video: Video) -> Seen:
        """Look at a video or a story once, for any number of questions.

        Raises:
            MediaError, StoryError, NothingToSeeError, EncoderMismatchError: it cannot be looked at.
            TooManyFramesError: more frames than the model has places for.
        """
        return self.reader.look(video)

    def ask(
        self,
        video: Video,
        question: str,
        *,
        options: Sequence[str] | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
    ) -> Answer:
        """Answer one question, on its own.

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
        self.reader.check(question, options)  # before a file is opened
        talk = self._about(video)
        return talk.ask(question, options=options, max_new_tokens=max_new_tokens)

    def stream(
        self, video: Video, question: str, *, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> Stream:
        """Answer one question in free words, piece by piece; arguments and errors as `ask`."""
        self.reader.check(question, None)
        return self._about(video).stream(question, max_new_tokens=max_new_tokens)

    def chat(self, video: Video, *, remember: bool | None = None) -> Conversation:
        """Begin a conversation about a video, which is looked at now.

        Args:
            video: as in `ask`.
            remember: whether the model is shown earlier questions and answers. None: image-LLMs
                and runs of Video-LLaMA are, for that is how they were trained; other runs are not,
                for they answer each question on its own.
        """
        return Conversation(self.reader, self.look(video), remember=remember)

    def ask_many(
        self, questions: Iterable[Question], *, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[Answer]:
        """Answer many questions in batches, in order; each file is looked at once.

        Arguments and errors as `ask`. All questions are checked before the first video is opened.
        """
        every = list(questions)
        turns = [self.reader.check(one.question, one.options) for one in every]
        seen: dict[object, Seen] = {}
        asked = []
        for one, turn in zip(every, turns, strict=True):
            key = str(one.video) if isinstance(one.video, str | Path) else id(one.video)
            if key not in seen:
                seen[key] = _light(self.look(one.video))
            asked.append(self.reader.write(seen[key], [turn]))
        return self.reader.many(asked, max_new_tokens=max_new_tokens)

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
        told, shown = (
            self.ask(one, question, options=options, max_new_tokens=max_new_tokens)
            for one in (story, video)
        )
        return Comparison(story=told, video=shown, agree=told.text == shown.text)

    def _about(self, video: Video) -> Conversation:
        """Return a conversation without memory; the latest one where it is about this video."""
        key = _identity(video)
        if self._latest is not None and key is not None and self._latest[0] == key:
            talk = self._latest[1]
            talk.reset()
            return talk
        self._latest = None  # free the memory of the other video first
        talk = Conversation(self.reader, self.look(video), remember=False)
        self._latest = None if key is None else (key, talk)
        return talk


def _light(seen: Seen) -> Seen:
    """Leave out the pixels, which are large for many; a single picture is told by its clip."""
    if seen.clip is None or len(seen.clip.frames) == 1:
        return seen
    return replace(seen, clip=None)


def _identity(video: Video) -> object | None:
    """Return what tells a file or a `Seen` from others; None for anything else."""
    if isinstance(video, Seen):
        return ("seen", id(video.features), id(video.pictures), id(video.heard))
    if not isinstance(video, str | Path) or not Path(video).is_file():
        return None
    found = Path(video).stat()
    return (str(Path(video).resolve()), found.st_size, found.st_mtime_ns)


def load(
    run: str | Path,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    sampling: SamplingSpec | None = None,
    pictures: PictureSettings | None = None,
) -> Session:
    """Load a run of ours, or an image-LLM as it is, ready to answer.

    Args:
        run: the folder of a run; `tiny` for the one that comes with the package; the folder of an
            image-LLM of Hugging Face, or its id.
        device: where it computes.
        precision: what a run's decoder or an image-LLM's weights are held in; `auto`: see
            `models.precision`. A run's answers say it where it is not float32.
        sampling: which frames of a video are looked at; None: as the run says, and 8 frames for an
            image-LLM. A run has its own, and takes no other.
        pictures: how much of a frame an image-LLM sees; None: the defaults.

    Raises:
        RunError: no such run, something in it is missing, or a setting that has no effect on it.
        EncoderMismatchError: the encoder is not the one the run was trained on.
        FormatError, CheckpointError, FingerprintError: a file of the run is another one's or newer.
        DecoderNotFoundError, EncoderUnavailableError: a frozen model is not on this machine.
        NotAnImageLLMError, DecoderUnsupportedError, ModelConfigError: see
            `image_mllm.loading.load_image_llm`; the last, too, for an unknown precision.
    """
    place, kind = find_model(run)
    stored = read_sampling(place) if place.is_dir() else None
    if sampling is not None and stored is not None:
        raise RunError(
            f"{run} says itself which frames are looked at (sampling.json), so another sampling "
            f"has no effect",
            hint="Leave --num-frames, --fps and their like out.",
        )
    if kind == "image-llm":
        made = load_image_llm(place, device=device, dtype=named_dtype(precision), settings=pictures)
        spec, shown = sampling or stored or SamplingSpec(), asdict(pictures or PictureSettings())
        named = {} if precision == "auto" else {"precision": precision}
        template = read_template(place) or IMAGE_CHAT
        looking = FrameReader(made, sampling=spec, name=str(run), template=template)
        return _session_of(looking, {**named, "pictures": shown})
    if pictures is not None:
        raise RunError(
            f"{run} reads features of frames, so picture settings have no effect",
            hint="Leave --tiles and --frame-tokens out.",
        )
    settings = {name: (place / name).read_text(encoding="utf-8") for name in SETTINGS_FILES}
    open_run = load_senses_reader if model_kind(place) == VIDEO_LLAMA else load_track_reader
    reader = open_run(run, device=device, precision=precision)
    if held := precision_note(reader.model.decoder.dtype):
        settings["precision"] = held
    return Session(reader, fingerprint=_fingerprint(place, settings))


def _session_of(reader: FrameReader, shown: Mapping[str, object]) -> Session:
    """Return an image-LLM's session; `shown` names what else its answers follow from."""
    every = {**shown, "sampling": reader.sampling.to_dict()}
    if (template := reader.collator.template) != IMAGE_CHAT:
        every["template"] = asdict(template)
    return Session(reader, fingerprint=_fingerprint(reader.made.path, every))


def _fingerprint(folder: Path, settings: dict[str, Any]) -> str:
    return fingerprint({"weights": weight_fingerprint(str(folder)), "settings": settings})
