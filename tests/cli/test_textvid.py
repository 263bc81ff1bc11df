"""`synth textvid`, `synth prompts`, `data check` and `memory`, by the command line."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest

from tests.synth.check.records import PLANTED, clean
from textreel.cli.app import run
from textreel.data.textual_jsonl import write_videos
from textreel.features.memory import load_memory
from textreel.models import endpoint
from textreel.models.decoder import locate
from textreel.models.endpoint_wire import completion_body
from textreel.recipes.bench_stories import story_body, topic_of
from textreel.serve import run_memory
from textreel.serve.run_files import BridgeSettings, find_run, load_settings

URL = "http://127.0.0.1:9/v1"
MODEL = ["--llm", URL, "--model", "m"]

TINY = locate("embedded:tiny/decoder")


@pytest.fixture
def server(monkeypatch) -> list[httpx2.Request]:
    """Every endpoint is one in this process: it tells stories, and answers A when asked blindly."""
    asked: list[httpx2.Request] = []
    clients = endpoint.Clients

    async def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        text = json.loads(request.content)["messages"][1]["content"]
        if "Topic: " in text:
            return httpx2.Response(200, content=story_body(topic_of(text)).encode())
        body = completion_body("A", finish="stop", tokens_in=1, tokens_out=1)
        return httpx2.Response(200, content=body.encode())

    def replaced(*, headers, transport):
        return clients(headers=headers, transport=httpx2.MockTransport(answer))

    monkeypatch.setattr(endpoint, "Clients", replaced)
    return asked


@pytest.fixture
def topics(tmp_path: Path) -> Path:
    path = tmp_path / "topics.txt"
    path.write_text("".join(f"errand number {i}\n" for i in range(12)))
    return path


def told(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_a_synthesis_by_an_endpoint(server, topics: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    out = tmp_path / "out"
    options = ["--topics", f"title:{topics}@2", "--n", "6", "--out", str(out), "--json"]
    options += ["--key-env", "MY_KEY", "--usd-per-mtok", "1", "2", "--released"]
    assert run(["synth", "textvid", *MODEL, *options]) == 0
    result = told(capsys)
    assert result["built"]["counts"]["records"] == 6
    assert result["spent"]["usd"] == pytest.approx(
        (result["spent"]["tokens_in"] + 2 * result["spent"]["tokens_out"]) / 1e6
    )
    assert len(server) == 6 and server[0].headers["authorization"] == "Bearer sk-secret"
    written = [path for path in out.rglob("*") if path.is_file()]
    assert len(written) >= 8
    assert not any(b"sk-secret" in path.read_bytes() for path in written)
    assert run(["synth", "textvid", *MODEL, *options]) == 0
    assert len(server) == 6 and "sk-secret" not in capsys.readouterr().out


def test_a_plan_prices_the_job_and_its_pilot_is_kept(server, topics: Path, tmp_path: Path, capsys):
    command = ["synth", "textvid", *MODEL, "--topics", str(topics), "--n", "1000"]
    command += ["--out", str(tmp_path / "out"), "--usd-per-mtok", "1", "2"]
    assert run([*command, "--plan", "--pilot", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1000 topics, from a pilot of 4 (100% usable)"
    assert [line.split()[0] for line in lines[1:]] == ["tokens", "tokens", "money", "time"]
    assert "600,000 (600,000 to 600,000)" in lines[1]
    assert len(server) == 4 and not (tmp_path / "out" / "videos").exists()


def test_a_budget_is_exit_code_4_and_the_same_command_goes_on(
    server, topics: Path, tmp_path: Path, capsys
) -> None:
    command = ["synth", "textvid", *MODEL, "--topics", str(topics), "--n", "8"]
    command += ["--out", str(tmp_path / "out"), "--max-tokens", "12000", "--json"]
    codes = []
    while not codes or (codes[-1] == 4 and len(codes) < 9):
        codes.append(run(command))
        last = told(capsys)
    assert codes[0] == 4 and codes[-1] == 0 and len(server) == 8
    assert last["built"]["counts"]["records"] == 8


def test_the_worlds_grammar_needs_no_endpoint_and_no_topics(tmp_path: Path, capsys) -> None:
    assert run(["synth", "textvid", "--out", str(tmp_path / "w"), "--n", "5"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("5 of 5 topics settled (0 before, 0 without a usable answer)")
    assert "5 textual videos with" in said and "the card is" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pilot", "3"], "--pilot has no effect without --plan"),
        (["--language", "German"], "draws its own scenes: --language has no effect"),
        (["--topics", "none.txt"], "draws its own scenes: --topics has no effect"),
        ([*MODEL], "a language model needs topics to write about"),
        ([*MODEL, "--topics", "none.txt"], "the topics file none.txt is not there"),
        (["--llm", URL], "endpoints need the name of a model"),
        ([*MODEL, "--key-env", "NO_SUCH_KEY"], "variable NO_SUCH_KEY holds no key"),
        ([*MODEL, "--max-usd", "5"], "a limit in dollars cannot be watched without prices"),
        (["--max-minutes", "0"], "max_minutes=0.0 allows nothing"),
        (["--shard", "4/4"], "there is no shard 4/4"),
        (["--limit", "oops=1"], "there is no limit 'oops'"),
        (["--limit", "most_frames=x"], "the limit most_frames takes no 'x': it is no int"),
        (["--benchmark", "none.json"], "the benchmark file none.json is not there"),
        (["--topics-licence", "a"], "--topics-licence has no effect"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_asked(
    options: list[str], message: str, tmp_path: Path, capsys
) -> None:
    assert run(["synth", "textvid", "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err


def test_more_licences_than_files_are_refused(topics: Path, tmp_path: Path, capsys) -> None:
    options = ["--topics", str(topics), "--topics-licence", "a", "--topics-licence", "b"]
    assert run(["synth", "textvid", *MODEL, "--out", str(tmp_path), *options]) == 2
    assert "2 licences for 1 topics files" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_one_line(topics: Path, tmp_path: Path, capsys) -> None:
    command = ["synth", "textvid", *MODEL, "--topics", str(topics), "--out", str(tmp_path / "o")]
    assert run([*command, "--patience", "0.05"]) == 1
    said = capsys.readouterr().err
    assert "no endpoint has answered for" in said and URL in said and "Traceback" not in said


def test_prompts_are_copied_and_a_changed_one_is_used(
    server, topics: Path, tmp_path: Path, capsys
) -> None:
    assert run(["synth", "prompts", "--out", str(tmp_path / "p"), "--json"]) == 0
    assert len(told(capsys)["written"]) == 9
    (tmp_path / "p" / "system.txt").write_text("You are terse.")
    command = ["synth", "textvid", *MODEL, "--topics", str(topics), "--n", "1"]
    assert run([*command, "--out", str(tmp_path / "o"), "--prompts", str(tmp_path / "p")]) == 0
    assert json.loads(server[0].content)["messages"][0]["content"] == "You are terse."


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    videos = [
        clean(0),
        PLANTED["third frame"][1](clean(1)),
        PLANTED["nothing happens"][1](clean(2)),
    ]
    write_videos(tmp_path / "data.jsonl", videos)
    return tmp_path / "data.jsonl"


def test_data_check_counts_reasons_and_too_many_are_exit_code_3(data_file: Path, capsys) -> None:
    assert run(["data", "check", str(data_file)]) == 3
    said = capsys.readouterr()
    assert said.out.startswith("2 of 3 records pass, with 9 of 15 questions\n")
    assert "records rejected: 1 static" in said.out and "questions rejected: 1 frame-n" in said.out
    assert "1 of 3 samples are bad, 1% allowed" in said.err
    assert run(["data", "check", str(data_file), "--max-bad", "1", "--json"]) == 0
    assert told(capsys)["rejected"] == {"static": 1}


def test_data_check_takes_an_encoders_length_or_a_limit(data_file: Path, capsys) -> None:
    options = ["--max-bad", "100%", "--encoder", "embedded:tiny/towers"]
    assert run(["data", "check", str(data_file), *options, "--json"]) == 0
    assert "static" in told(capsys)["rejected"]
    both = [*options, "--limit", "caption_tokens=5"]
    assert run(["data", "check", str(data_file), *both]) == 2
    assert "--encoder brings its own caption_tokens" in capsys.readouterr().err


def test_data_check_asks_blindly(server, data_file: Path, tmp_path: Path, capsys) -> None:
    command = ["data", "check", str(data_file), "--max-bad", "9", "--blind-llm", URL]
    command += ["--model", "m", "--blind-questions", "10", "--blind-answers", str(tmp_path / "b")]
    assert run([*command, "--json"]) == 0
    blind = told(capsys)["blind"]
    assert (blind["asked"], blind["unreadable"], blind["chance"]) == (10, 0, 0.25)
    assert len(server) == 10
    assert run(command) == 0
    assert "videos without them, by chance 25.0%" in capsys.readouterr().out
    assert len(server) == 10


def test_a_writer_that_is_not_on_this_machine_is_refused(tmp_path: Path, capsys) -> None:
    command = ["synth", "textvid", "--llm", TINY, "--out", str(tmp_path / "o"), "--n", "1"]
    (tmp_path / "topics.txt").write_text("a topic\n")
    command += ["--topics", str(tmp_path / "topics.txt"), "--device", "cuda:77"]
    assert run(command) == 2
    assert "--device cuda:77 is not on this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "m"], "have no effect without --blind-llm"),
        (["--device", "cuda"], "have no effect without --blind-llm"),
        (["--as", "webvid", "--device", "cuda"], "--as and --fields go with --media and --max-bad"),
        (["--blind-llm", TINY, "--device", "cuda:77"], "--device cuda:77 is not on this machine"),
        (["--blind-llm", "world"], "the world's grammar answers no questions"),
    ],
)
def test_data_check_refuses_what_has_no_effect(data_file, options, message, capsys) -> None:
    assert run(["data", "check", str(data_file), "--max-bad", "9", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_memory_is_built_and_a_run_uses_it(tmp_path: Path, capsys, monkeypatch) -> None:
    assert run(["synth", "textvid", "--out", str(tmp_path / "w"), "--n", "3"]) == 0
    file = tmp_path / "memory.safetensors"
    build = ["memory", "build", "--encoder", "embedded:tiny/towers", "--out", str(file)]
    assert run([*build, "--from", str(tmp_path / "w"), "--size", "10"]) == 0
    assert "10 rows of" in capsys.readouterr().out
    loaded = load_memory(file)
    assert loaded.vectors.shape[0] == 10 and "frames (caption+objects) of 3" in loaded.make_up
    copy = tmp_path / "run"
    shutil.copytree(find_run("tiny"), copy)
    assert run(["memory", "use", str(copy), str(file), "--top-k", "5"]) == 0
    bridge = load_settings(copy).bridge
    assert (bridge.name, bridge.temperature, bridge.top_k) == ("memory", 0.01, 5)
    assert not bridge.centred
    assert (copy / "memory.safetensors").read_bytes() == file.read_bytes()
    centred = ["memory", "use", str(copy), str(file), "--centred"]
    assert run(centred) == 0
    assert load_settings(copy).bridge == BridgeSettings(
        name="memory", temperature=0.1, centred=True
    )
    assert run(["memory", "use", str(copy), str(file)]) == 0
    before = (copy / "run.json").read_bytes()
    monkeypatch.setattr(
        run_memory, "encoder_of", lambda *_: SimpleNamespace(name="e", statistics=None)
    )
    assert run(centred) == 2
    said = capsys.readouterr().err
    assert "the encoder e has no stored means\n  Cross by the memory as published" in said
    assert (copy / "run.json").read_bytes() == before
    assert run(["memory", "use", "tiny", str(file)]) != 0
    assert "is part of the package and stays as it is" in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_is_aligned_on_what_a_language_model_wrote(
    server, topics: Path, tmp_path: Path, capsys
) -> None:
    out, run_folder = tmp_path / "out", tmp_path / "run"
    options = ["--topics", str(topics), "--n", "6", "--out", str(out)]
    assert run(["synth", "textvid", *MODEL, *options]) == 0
    settings = [f"data={out}", f"validation.data={out}", "train.steps=1", "train.warmup=0"]
    settings += ["train.accumulate=1", "train.batch_size=2", "train.precision=fp32"]
    settings += ["train.attention=sdpa", "train.prefetch=0"]
    given = [part for setting in settings for part in ("--set", setting)]
    capsys.readouterr()
    assert run(["train", "topa_tiny", *given, "--out", str(run_folder)]) == 0
    said = capsys.readouterr()
    assert "read 1/1 6 textual videos" in said.err and "loss nan" not in said.err
    assert "after 1 steps, validation accuracy 0." in said.out
    assert json.loads((run_folder / "recipe.json").read_text())["data"] == str(out)


def test_a_memory_of_captions_takes_text_files(tmp_path: Path, capsys) -> None:
    (tmp_path / "c.txt").write_text("a red circle\na blue square\na green star\n")
    build = ["memory", "build", "--encoder", "embedded:tiny/towers", "--size", "2"]
    build += ["--from", str(tmp_path / "c.txt"), "--out", str(tmp_path / "m.safetensors")]
    assert run(build) == 2
    assert "holds captions, not frames" in capsys.readouterr().err
    assert run([*build, "--of", "captions", "--json"]) == 0
    assert told(capsys)["make_up"] == "2 of the 3 captions from c.txt, seed 0"
