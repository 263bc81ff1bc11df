"""A name under which there is no model: what is said of folders, of ids, and of both."""

from pathlib import Path

import pytest

from textreel.models import decoder
from textreel.models.decoder_checks import config_width
from textreel.models.encoder_files import find_encoder
from textreel.models.errors import ModelError
from textreel.models.image_mllm.loading import load_image_llm
from textreel.models.missing import is_like_a_path, way_out, why_missing
from textreel.models.sentences import load_sentence_encoder
from textreel.models.tokenizer import load_tokenizer

READERS = [
    decoder.load_decoder,
    decoder.empty_decoder,
    config_width,
    load_tokenizer,
    load_sentence_encoder,
    find_encoder,
    load_image_llm,
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("home")
def test_a_path_is_what_no_id_is_or_leads_into_a_folder() -> None:
    paths = ["./a", "../a", "/a/b", "~/a", "a/b/c", "models/nope", "a/"]
    assert [name for name in paths if not is_like_a_path(name)] == []
    assert [name for name in ("models", "gpt2", "openai/clip") if is_like_a_path(name)] == []


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize("name", ["models/nope", "./nope", "runs/a/nope"])
def test_a_mistyped_folder_is_said_to_be_none(read, name: str) -> None:
    with pytest.raises((ModelError, LookupError), match=f"no folder {name}, ") as told:
        read(name)
    assert told.value.hint.startswith("check the path; ")


@pytest.mark.usefixtures("home")
def test_what_the_hub_says_of_an_id_is_told_too() -> None:
    error = OSError("not in the cache\nand more")
    said = "there is no folder me/model, and as a Hugging Face id: not in the cache"
    assert why_missing("me/model", error) == said
    assert why_missing("models", error) == "looked at models: not in the cache"
    assert why_missing("./a", error) == "there is no folder ./a, and it is no Hugging Face id"
    assert way_out("me/model").startswith("give a Hugging Face directory or id; offline")
    assert not way_out("models").startswith("check")
