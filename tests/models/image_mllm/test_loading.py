"""Folders that hold an image-LLM are loaded; any other is refused with the way out."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from tests.models.image_mllm.tiny_image_llms import save_image_llm
from textreel.models.encoder_errors import EncoderUnavailableError
from textreel.models.errors import CheckpointError, DecoderUnsupportedError, NotAnImageLLMError
from textreel.models.image_mllm.loading import check_image_llm, load_image_llm


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_image_llm(tmp_path_factory.mktemp("llm") / "tiny-vlm")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def edit(folder: Path, name: str, **changes) -> None:
    values = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(values | changes))


def test_a_folder_is_loaded_with_its_own_name(whole: Path) -> None:
    made = load_image_llm(whole, dtype=torch.bfloat16)
    assert (made.name, made.path) == ("tiny-vlm", whole)
    assert made.model.model.dtype == torch.bfloat16
    assert made.model.limit == 512
    assert "image" in made.tokenizer.chat_template


def test_what_is_saved_can_be_loaded_and_shown_to_others(whole: Path, tmp_path: Path) -> None:
    made = load_image_llm(whole)
    with torch.no_grad():
        made.model.model.lm_head.weight.mul_(2)
    made.save_pretrained(tmp_path / "tuned")
    again = load_image_llm(tmp_path / "tuned")
    assert again.tokenizer.chat_template == made.tokenizer.chat_template
    assert again.reader.processor.to_dict() == made.reader.processor.to_dict()
    for one, other in zip(made.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_half_precision_is_widened_where_a_processor_would_be_slow(folder: Path) -> None:
    model = load_image_llm(folder).model.model
    model.half().save_pretrained(folder)
    assert load_image_llm(folder).model.model.dtype == torch.float32
    model.bfloat16().save_pretrained(folder)
    assert load_image_llm(folder).model.model.dtype == torch.bfloat16


def test_the_template_of_older_folders_is_found(folder: Path) -> None:
    text = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": text}))
    assert load_image_llm(folder).tokenizer.chat_template == text
    edit(folder, "chat_template.json", chat_template={"default": text, "tools": "x"})
    assert load_image_llm(folder).tokenizer.chat_template == text


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAnImageLLMError, match=r"is no model: it has no config\.json") as error:
        load_image_llm(tmp_path)
    assert "SmolVLM" in error.value.hint
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(NotAnImageLLMError, match=r"config\.json is not JSON"):
        check_image_llm(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(NotAnImageLLMError, match=r"its config\.json names no model_type"):
        check_image_llm(tmp_path)


def test_a_language_model_without_eyes_is_refused(tmp_path: Path) -> None:
    LlamaConfig().save_pretrained(tmp_path)
    with pytest.raises(NotAnImageLLMError, match="a model of kind 'llama', which has no eyes") as e:
        load_image_llm(tmp_path)
    assert e.value.exit_code == 2
    assert "textreel train topa_modern" in e.value.hint


def test_an_unknown_family_is_refused(folder: Path) -> None:
    edit(folder, "config.json", model_type="llava_next_video", vision_config={})
    with pytest.raises(DecoderUnsupportedError, match="kind 'llava_next_video' are not known here"):
        load_image_llm(folder)


def test_missing_parts_are_named(folder: Path) -> None:
    (folder / "chat_template.jinja").rename(folder / "away")
    with pytest.raises(CheckpointError, match="copy has no chat template, so nobody knows"):
        load_image_llm(folder)
    (folder / "away").rename(folder / "chat_template.jinja")
    settings = (folder / "preprocessor_config.json").read_text()
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no preprocessor_config\.json, so nobody"):
        load_image_llm(folder)
    (folder / "preprocessor_config.json").write_text('{"image_processor_type": "Nothing"}')
    with pytest.raises(CheckpointError, match="its image processor cannot be made"):
        load_image_llm(folder)
    (folder / "preprocessor_config.json").write_text(settings)
    edit(folder, "config.json", scale_factor=1)
    with pytest.raises(CheckpointError, match=r"its weights do not fit its config\.json"):
        load_image_llm(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="its weights cannot be loaded"):
        load_image_llm(folder)


def test_weights_that_are_cut_off_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for content in (whole[:5000], whole[:-1], b"version https://git-lfs.github.com/spec/v1\n"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"its weights cannot be loaded: .+") as error:
            load_image_llm(folder)
        assert error.value.hint == "get the whole folder again"


def test_missing_weights_are_not_made_up(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.connector.modality_projection.proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lack 1 weights of a Idefics3ForCond.*\(first: mod"):
        load_image_llm(folder)


def test_an_id_that_is_not_cached_needs_the_network() -> None:
    with pytest.raises(EncoderUnavailableError, match=r"the image-LLM some/thing is not in the ca"):
        load_image_llm("some/thing")
