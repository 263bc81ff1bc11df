import asyncio
from pathlib import Path

import pytest

from tests.synth.textvid.fakes import ASKING, FakeWriter, job_of, output_of
from textreel.data.textual_jsonl import read_videos
from textreel.features.encode import encode_textual_videos
from textreel.models.decoder import locate
from textreel.models.encoders import load_encoder
from textreel.models.endpoint_wire import completion_body
from textreel.synth.textvid.errors import JobError
from textreel.synth.textvid.job import Job, RunOptions
from textreel.synth.textvid.synthesis import synthesise
from textreel.synth.textvid.writers import (
    EndpointWriter,
    LocalWriter,
    WorldWriter,
    WriterOptions,
    check_writer,
    make_writer,
)

URL = "http://127.0.0.1:8000/v1"


def test_the_worlds_grammar_is_one_more_writer(tmp_path: Path) -> None:
    job = Job(asking=ASKING, count=30)
    made = synthesise(tmp_path, job, writer=WorldWriter(), options=RunOptions(), output=output_of())
    assert made.built.counts.records == 30
    videos = list(read_videos(tmp_path / "videos"))
    assert all(len(video.times_s) == len(video.frames) == 8 for video in videos)
    assert videos[0].source == "textreel world"


@pytest.mark.slow
def test_what_a_model_wrote_and_what_the_grammar_wrote_take_the_same_path(tmp_path: Path) -> None:
    towers = load_encoder(locate("embedded:tiny/towers"))
    for name, job, writer in (
        ("world", Job(asking=ASKING, count=3), WorldWriter()),
        ("model", job_of(3), FakeWriter()),
    ):
        out = tmp_path / name
        synthesise(out, job, writer=writer, options=RunOptions(), output=output_of())
        videos = list(read_videos(out / "videos"))
        encoded = list(encode_textual_videos(videos, towers))
        assert [len(features.times_s) for _, features in encoded] == [
            len(video.frames) for video in videos
        ]


@pytest.mark.slow
def test_a_local_model_takes_the_route_of_an_endpoint(tmp_path: Path) -> None:
    writer = make_writer(WriterOptions(llm=("embedded:tiny/decoder",)))
    made = synthesise(tmp_path, job_of(2), writer=writer, options=RunOptions(), output=output_of())
    counts = made.built.counts  # the tiny decoder knows its own world only: no JSON is in it
    assert counts.failed.keys() <= {"no-json", "cut-off", "no-text", "too-long"}
    assert sum(counts.failed.values()) == 2
    assert made.run.tally.received >= 2


def test_a_local_model_that_says_nothing_ends_its_topic_and_not_the_job(tmp_path: Path) -> None:
    class Silent:
        def answer(self, request) -> str:
            return completion_body("", finish="stop", tokens_in=5, tokens_out=0)

    made = synthesise(
        tmp_path,
        job_of(3),
        writer=LocalWriter(Silent()),
        options=RunOptions(),
        output=output_of(),
    )
    assert made.built.counts.failed == {"no-text": 3}
    assert made.run.tally.received == 3


def test_options_name_a_writer() -> None:
    assert WriterOptions().kind == "world" and WriterOptions().name == "textreel world"
    several = WriterOptions(llm=(URL, "https://b/v1"), model="qwen")
    check_writer(several)
    writer = make_writer(several)
    assert isinstance(writer, EndpointWriter) and writer.in_flight == 32
    asyncio.run(writer.close())
    assert several.name == "qwen"
    local = WriterOptions(llm=("models/tiny",))
    assert (local.kind, local.name) == ("local", "tiny")
    assert isinstance(make_writer(WriterOptions()), WorldWriter)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (WriterOptions(llm=(URL,)), "endpoints need the name of a model"),
        (
            WriterOptions(llm=(URL,), model="m", key_variable="TEXTREEL_NO_SUCH_KEY"),
            "the environment variable TEXTREEL_NO_SUCH_KEY holds no key",
        ),
        (WriterOptions(model="m"), "--model has no effect without an endpoint"),
        (WriterOptions(key_variable="K"), "--key-env has no effect without an endpoint"),
        (WriterOptions(device="cuda"), "--device cuda has no effect without a model's folder"),
        (
            WriterOptions(llm=("http://127.0.0.1:1/v1",), model="m", device="cuda"),
            "--device cuda has no effect without a model's folder",
        ),
        (WriterOptions(llm=("no/such/folder",)), "is neither base URLs nor one folder"),
        (WriterOptions(llm=(URL, "some/folder")), "is neither base URLs nor one folder"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: WriterOptions, text: str) -> None:
    with pytest.raises(JobError, match=text):
        check_writer(options)
