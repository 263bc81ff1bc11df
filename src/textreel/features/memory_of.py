"""What a memory is made of: the frames of textual videos, fused as in training, or captions.

    textual videos --encode, fuse--> (frames, F) --+
    texts          --encode-------> (texts, F)  ---+--build_memory--> Memory

TOPA's released memory does not say what its rows are; a frame in training is the mean of its
caption and its objects, so rows of the same kind are the default.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Generator, Tensor

from textreel.data.textual_video import TextualVideo
from textreel.features.encode import encode_long_texts, encode_textual_videos
from textreel.features.fuse import FuseMode
from textreel.features.memory import Memory, MemoryBuildError, build_memory
from textreel.models.open_encoder import TextEncoder

TEXTS_TOGETHER = 1024


def memory_of_videos(
    videos: Iterable[TextualVideo],
    encoder: TextEncoder,
    *,
    size: int,
    mode: FuseMode = "caption+objects",
    seed: int = 0,
    source: str = "textual videos",
) -> Memory:
    """Return a memory of `size` frames of textual videos.

    Args:
        videos: read once; the vectors of all their frames are held as float16.
        encoder: whose text tower reads them.
        size: rows wanted.
        mode: which texts of a frame are fused.
        seed: decides which frames stay.
        source: where the videos come from, for the make-up.

    Raises:
        MemoryBuildError: no videos, or fewer than `size` distinct frames.
    """
    rows, count = list[Tensor](), 0
    for _, features in encode_textual_videos(videos, encoder, mode=mode):
        rows.append(features.values[:, 0])
        count += 1
    what = f"frames ({mode}) of {count} textual videos"
    return _memory(rows, encoder, size=size, seed=seed, what=f"{what} from {source}")


def memory_of_texts(
    texts: Sequence[str], encoder: TextEncoder, *, size: int, seed: int = 0, source: str = "texts"
) -> Memory:
    """Return a memory of `size` texts, as DeCap's is (arXiv:2303.03032); else as above."""
    rest: Iterator[str] = iter(texts)
    rows = []
    while group := list(islice(rest, TEXTS_TOGETHER)):
        rows.append(encode_long_texts(group, encoder).half())
    what = f"{len(texts)} captions from {source}"
    return _memory(rows, encoder, size=size, seed=seed, what=what)


def _memory(rows: list[Tensor], encoder: TextEncoder, *, size: int, seed: int, what: str) -> Memory:
    if not rows:
        raise MemoryBuildError(
            f"a memory of nothing: there are no {what}", hint="give a file with records"
        )
    generator = Generator().manual_seed(seed)
    return Memory(
        vectors=build_memory(torch.cat(rows), size, generator=generator),
        encoder=encoder.name,
        revision=encoder.revision,
        make_up=f"{size} of the {what}, seed {seed}",
    )
