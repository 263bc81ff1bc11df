"""How well an image-LLM reads pages: the share of words that it says in their place."""

from collections.abc import Sequence
from random import Random

from textreel.data.encoding import EncodedPrompt
from textreel.data.prompt import Turn
from textreel.models.generate import Sampling
from textreel.models.image_mllm.loading import ImageLLM
from textreel.models.image_mllm.pictures import Pictures
from textreel.recipes.frame_world import PAGE_WORDS, READ_OUT, page_text
from textreel.train.contracts import Evaluate
from textreel.train.frame_records import FrameSource

TOGETHER = 64
FEWEST = 3


def read_pages_check(made: ImageLLM, source: FrameSource, *, count: int) -> Evaluate:
    """Return what measures reading on `count` pages that no training draws, 3 to 12 words each."""
    rngs = [Random(f"checked-page-{i}") for i in range(count)]
    texts = [page_text(rng, source.drawer, count=rng.randint(FEWEST, PAGE_WORDS)) for rng in rngs]

    def evaluate() -> dict[str, float]:
        return {"page_words": words_in_place(made, source, texts)}

    return evaluate


def words_in_place(made: ImageLLM, source: FrameSource, texts: Sequence[str]) -> float:
    """Return the share of the texts' words that are read out in their place.

    A word left out or put in shifts all that follow it, and they count as wrong.

    Args:
        made: the model.
        source: draws and collates the pages.
        texts: a page each, at least one.
    """
    right = total = 0
    for start in range(0, len(texts), TOGETHER):
        part = texts[start : start + TOGETHER]
        for text, said in zip(part, _read_out(made, source, part), strict=True):
            wanted = _words(made, text)
            total += len(wanted)
            right += sum(a == b for a, b in zip(said, wanted, strict=False))
    return right / total


def _read_out(made: ImageLLM, source: FrameSource, texts: Sequence[str]) -> list[list[int]]:
    samples: list[tuple[EncodedPrompt, Pictures | None]] = []
    stops: set[int] = set()
    for text in texts:
        pictures = made.reader.read(list(source.drawer.typeset(text, id="page").frames()))
        turns = [Turn(task="open", question=READ_OUT)]
        prompt = source.collator.write("page", turns=turns, pictures=pictures)
        stops |= {*source.collator.stop_ids(prompt)}
        samples.append((source.collator.encode(prompt), pictures))
    batch = source.collator.collate(samples).to(made.model.device)
    longest = max(len(_words(made, text)) for text in texts)
    sampling = Sampling(stop_ids=tuple(sorted(stops)))
    return made.model.generate(batch, max_new_tokens=longest + 1, sampling=sampling)


def _words(made: ImageLLM, text: str) -> list[int]:
    return [int(id) for id in made.tokenizer(text, add_special_tokens=False)["input_ids"]]
