"""One tiny image-LLM of each family, made when first wanted; nobody changes them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from textreel.models.image_mllm.loading import ImageLLM, load_image_llm
from textreel.models.image_mllm.pictures import PictureSettings

Make = Callable[..., ImageLLM]


@pytest.fixture(scope="session")
def image_llm(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`image_llm(kind, tiles=...)`: loaded from a folder."""
    home = tmp_path_factory.mktemp("image-llms")

    @cache
    def folder(kind: str) -> Path:
        return save_image_llm(home / kind, kind)

    @cache
    def load(kind: str, tiles: bool = False) -> ImageLLM:
        return load_image_llm(folder(kind), settings=PictureSettings(tiles=tiles))

    return load
