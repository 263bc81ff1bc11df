import json
from dataclasses import replace

import pytest
import tokenizers
import torch

from textreel.cli.app import run
from textreel.models.batch import Features
from textreel.serve.captions import (
    STYLES,
    CaptionError,
    CaptionStyle,
    caption,
    inner_ids,
    make_sampling,
    write_caption_prompt,
)
from textreel.serve.track_reader import TrackReader, load_track_reader


@pytest.fixture(scope="module")
def session() -> TrackReader:
    return load_track_reader("tiny")


@pytest.fixture(scope="module")
def video(session: TrackReader) -> Features:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(3, 1, session.encoder.dim, generator=generator)
    return Features(
        values=torch.nn.functional.normalize(values, dim=-1).half(),
        times_s=torch.tensor([1.0, 3.0, 5.0]).double(),
        modality="image",
        encoder=session.encoder.name,
        revision=session.encoder.revision,
    )


def test_a_summary_is_the_runs_own_prompt(session: TrackReader, video: Features) -> None:
    prompt = write_caption_prompt(session, STYLES["summary"], id="v")
    assert prompt.text() == "video : <video>summary : "
    (found,) = caption(session, video, style=STYLES["summary"])
    assert (found.start_s, found.end_s, found.style) == (1.0, 5.0, "summary")
    assert found.text and found.bridge == session.settings.bridge.name


@pytest.mark.slow
def test_every_frame_has_a_caption_of_its_own(session: TrackReader, video: Features) -> None:
    found = caption(session, video, style=STYLES["frames"])
    assert [one.start_s for one in found] == [one.end_s for one in found] == [1.0, 3.0, 5.0]
    single = replace(video, values=video.values[1:2], times_s=video.times_s[1:2])
    (alone,) = caption(session, single, style=replace(STYLES["frames"], each_frame=False))
    assert alone.text == found[1].text


@pytest.mark.slow
def test_a_caption_begins_ends_and_avoids_as_told(session: TrackReader, video: Features) -> None:
    free = caption(session, video, style=STYLES["summary"])[0].text
    first, *_ = free.split()
    banned = caption(session, video, style=replace(STYLES["summary"], banned=(first,)))[0].text
    assert first not in banned.split()
    begun = replace(STYLES["summary"], begin="a red circle", max_new_tokens=4)
    text = caption(session, video, style=begun)[0].text
    assert text.startswith("a red circle") and len(text.split()) == 4
    word = free.split()[2]
    cut = caption(session, video, style=replace(STYLES["summary"], cut_after=word))[0].text
    assert cut == free.split(word)[0].strip()


def test_the_notebooks_prompts(session: TrackReader, video: Features) -> None:
    texts = {
        name: write_caption_prompt(session, STYLES[name], id="v").text(video="<V>")
        for name in ("dense", "msrvtt", "vatex")
    }
    assert texts["msrvtt"] == (
        "Instruction: Predict the answer based on the video and question.\nVideo:<V>\n"
        "Question: Can you describe this video?\nAnswer: It is a video of"
    )
    assert texts["vatex"] == (
        "Instruction: Generate a dense description for the video.\nVideo:<V>\n"
        "Video Caption: The video shows"
    )
    assert texts["dense"].endswith("<V>\n\nDescription:")
    assert (STYLES["msrvtt"].max_new_tokens, STYLES["vatex"].max_new_tokens) == (10, 15)
    (found,) = caption(session, video, style=STYLES["vatex"])
    assert found.bridge == "none"


def test_words_that_the_model_does_not_know_are_refused(session: TrackReader) -> None:
    style = CaptionStyle(name="s", begin="photosynthesis")
    prompt = write_caption_prompt(session, style, id="v")
    with pytest.raises(CaptionError, match="is not in this model's vocabulary"):
        make_sampling(session, style, prompt)


def test_the_command_captions_a_story(tmp_path, capsys) -> None:
    story = tmp_path / "story.txt"
    story.write_text("a red circle on the left\na red circle on the right\n")
    assert run(["caption", "tiny", str(story), "--style", "frames", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["captions"]
    assert len(found) == 2 and found[0]["style"] == "frames"
    assert run(["caption", "tiny", str(story), "--begin", "a red", "--max-new-tokens", "5"]) == 0
    assert capsys.readouterr().out.startswith("a red")
    assert run(["caption", "tiny", str(story), "--style", "haiku"]) == 2
    assert "there is no style 'haiku'" in capsys.readouterr().err


def test_a_word_is_banned_as_it_stands_within_a_sentence() -> None:
    vocabulary = {"<unk>": 0, "▁": 1, "▁a": 2, "▁how": 3}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="always")
    assert core.encode("a  how").ids[-1] == 3
    assert inner_ids(core, " how") == [3]
    assert inner_ids(core, "how") == [3]
