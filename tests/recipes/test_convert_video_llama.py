"""Released checkpoints become a folder that gives the same numbers, or one clear message."""

import json
from dataclasses import replace

import pytest
import torch

from tests.models import published_fakes as fakes
from tests.models.encoder_fakes import word_tokenizer
from tests.models.tiny_decoders import make_decoder
from textreel.cli.app import run
from textreel.cli.convert_video_llama import describe
from textreel.data.prompt import PromptError
from textreel.models.errors import CheckpointError
from textreel.models.published_files import PublishedFileError
from textreel.models.video_llama import Track, VideoLlama
from textreel.recipes.convert_video_llama import (
    VideoLlamaShapes,
    VideoLlamaSource,
    _template,
    convert_video_llama,
)
from textreel.recipes.recipe import RecipeError

SHAPES = VideoLlamaShapes(eva=fakes.EVA, qformer=fakes.QFORMER, imagebind=fakes.IMAGEBIND, heads=2)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> VideoLlamaSource:
    home = tmp_path_factory.mktemp("released")
    decoder = make_decoder()
    decoder.save_pretrained(home / "llm")
    width = decoder.config.hidden_size
    fakes.save_branch(home / "vl.pth", "image", model_dim=width)
    fakes.save_branch(home / "al.pth", "sound", model_dim=width)
    fakes.save_frame_qformer(home / "eva_vit_g.pth", home / "blip2.pth")
    fakes.save_imagebind(home / "imagebind_huge.pth")
    return VideoLlamaSource(
        llm=str(home / "llm"),
        vl=home / "vl.pth",
        al=home / "al.pth",
        eva=home / "eva_vit_g.pth",
        blip2=str(home / "blip2.pth"),
        imagebind=home / "imagebind_huge.pth",
    )


@torch.no_grad()
def test_both_branches_come_back_with_their_encoders_named(source, tmp_path) -> None:
    result = convert_video_llama(source, tmp_path / "run", shapes=SHAPES)
    assert result.branches == ("image", "sound")
    assert (result.max_frames, result.max_clips) == (4, 2)
    model = VideoLlama.from_pretrained(tmp_path / "run")
    assert model.config.image_encoder.name == "eva-blip2"
    assert model.config.sound_encoder.name == "imagebind#x20"
    assert model.config.sound_encoder.revision.startswith("sha256:")
    total = sum(parameter.numel() for parameter in model.branches.parameters())
    assert result.trained_parameters == total
    width = model.decoder.config.hidden_size
    saved = fakes.save_branch(tmp_path / "again.pth", "sound", model_dim=width)
    heard = torch.randn(1, 2, 1, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.soft_tokens("sound", Track(features=heard)), saved(heard))
    card = (tmp_path / "run" / "README.md").read_text()
    assert "up to 4 frames" in card and "up to 2 clips" in card


def test_one_branch_alone_needs_only_its_own_encoder(source, tmp_path) -> None:
    deaf = replace(source, al=None, imagebind=None)
    result = convert_video_llama(deaf, tmp_path / "run", shapes=SHAPES)
    assert (result.branches, result.max_clips, result.sound_encoder) == (("image",), 0, "")
    assert "- sound: none" in (tmp_path / "run" / "README.md").read_text()


def test_a_hugging_face_blip2_stands_for_both_files(source, tmp_path) -> None:
    fakes.save_blip2(tmp_path / "blip2")
    whole = replace(source, al=None, imagebind=None, eva=None, blip2=str(tmp_path / "blip2"))
    result = convert_video_llama(whole, tmp_path / "run", shapes=SHAPES)
    assert result.image_encoder == "eva-blip2"
    with pytest.raises(RecipeError, match="brings its own EVA: leave eva out"):
        convert_video_llama(replace(whole, eva=source.eva), tmp_path / "run", shapes=SHAPES)


@pytest.mark.parametrize(
    ("absent", "wanted"),
    [
        ({"vl": None, "al": None}, "no checkpoint to convert: give the VL file"),
        ({"blip2": None}, "needs its encoder's file: give blip2 too"),
        ({"eva": None}, "needs its encoder's file: give eva too"),
        ({"imagebind": None}, "needs its encoder's file: give imagebind too"),
        ({"al": None}, "given as imagebind has no branch that reads its features"),
        ({"vl": None}, "given as blip2 has no branch that reads its features"),
    ],
)
def test_files_that_are_missing_or_useless_are_named(source, tmp_path, absent, wanted) -> None:
    with pytest.raises(RecipeError, match=wanted):
        convert_video_llama(replace(source, **absent), tmp_path / "run", shapes=SHAPES)
    assert not (tmp_path / "run").exists()


def test_a_wrong_file_leaves_no_run(source, tmp_path) -> None:
    def refused(error: type[Exception], text: str, **wrong) -> None:
        with pytest.raises(error, match=text):
            convert_video_llama(replace(source, **wrong), tmp_path / "run", shapes=SHAPES)
        assert not (tmp_path / "run").exists()

    refused(PublishedFileError, "is a folder; the weights of", imagebind=tmp_path)
    refused(PublishedFileError, "does not fit EVA ViT-g", eva=source.imagebind)
    refused(PublishedFileError, "but the sound branch is", vl=source.al)
    other = make_decoder()
    other.model.norm.weight.data.zero_()
    other.save_pretrained(tmp_path / "delta")
    refused(CheckpointError, "holds differences, not weights", llm=str(tmp_path / "delta"))
    fakes.save_branch(tmp_path / "13b.pth", "image", model_dim=7)
    refused(CheckpointError, "trained on a decoder of width 7", vl=tmp_path / "13b.pth")


def test_the_command_line_gives_one_line_or_one_object(source, tmp_path, capsys) -> None:
    words = ["convert", "video-llama", "--llm", source.llm, "--out", str(tmp_path / "run")]
    assert run([*words, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["error"]["message"].startswith("no checkpoint to convert")
    more = ["--al", str(source.vl), "--imagebind", str(source.imagebind)]
    assert run([*words, *more]) == 2
    said = capsys.readouterr().err
    assert "does not hold the sound branch of Video-LLaMA" in said and said.count("\n") <= 2


def test_a_conversion_is_told_in_a_line(source, tmp_path) -> None:
    result = convert_video_llama(source, tmp_path / "run", shapes=SHAPES)
    line = describe(result)
    assert "up to 4 frames and 2 clips of sound -> " in line
    assert line.endswith("run (prompts: video-llama-vicuna)")
    with pytest.raises(RecipeError, match="no template 'other' for pictures and sound"):
        convert_video_llama(replace(source, template="other"), tmp_path / "run", shapes=SHAPES)


def test_a_template_that_the_decoder_was_not_taught_with_is_refused(source, tmp_path) -> None:
    named = replace(source, template="video-llama-vicuna")
    assert _template(named).name == named.template, "no tokenizer beside it: nobody can tell"
    make_decoder().save_pretrained(tmp_path / "llm")
    tokenizer = word_tokenizer()
    tokenizer.chat_template = "<|im_start|>{{ messages }}"
    tokenizer.save_pretrained(tmp_path / "llm")
    chatty = replace(named, llm=str(tmp_path / "llm"))
    with pytest.raises(PromptError, match=r"writes ###, which the chat template of .* does not"):
        convert_video_llama(chatty, tmp_path / "run", shapes=SHAPES)
    assert not (tmp_path / "run").exists()
