import json
from pathlib import Path

import pytest

from tests.synth.textvid.fakes import (
    FakeWriter,
    failure,
    job_of,
    story_text,
    synthesise_here,
    whole,
)
from textreel.data.budget import Budget, Limits
from textreel.data.errors import FingerprintError, JournalWriteError
from textreel.data.journal import Journal, read_journal
from textreel.data.textual_jsonl import read_videos
from textreel.models.endpoint_errors import EndpointDownError
from textreel.synth.textvid.errors import FailingError, JobError
from textreel.synth.textvid.job import ANSWERS_KIND, answers_path, check_topics

WRONG = json.dumps({"topic": "x"})


def bytes_of(out: Path) -> dict[str, bytes]:
    names = ("videos/videos-00000.jsonl", "quarantine.jsonl", "report.json", "README.md")
    return {name: (out / name).read_bytes() for name in names if (out / name).exists()}


def bodies_of(out: Path) -> list[str]:
    return [entry.key for entry in read_journal(answers_path(out, (0, 1)), kind=ANSWERS_KIND)]


def test_every_topic_becomes_a_record_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    job, writer = job_of(12), FakeWriter()
    made = synthesise_here(tmp_path / "a", job, writer)
    assert (made.run.tally.topics, made.run.tally.received, writer.closed) == (12, 12, 1)
    videos = list(read_videos(tmp_path / "a" / "videos"))
    assert [video.id for video in videos] == [topic.key for topic in job.topics()]
    assert len({key for _, key in writer.asked}) == 12
    before = bytes_of(tmp_path / "a")
    again = FakeWriter()
    assert synthesise_here(tmp_path / "a", job, again).run.tally.kept == 12
    assert again.asked == []
    assert bytes_of(tmp_path / "a") == before


def test_an_answer_is_in_the_journal_before_anything_looks_at_it(tmp_path: Path) -> None:
    class CrashError(RuntimeError):
        pass

    class Crashing(FakeWriter):
        async def ask(self, topic, request, *, key_of, received):
            received(whole(story_text(topic)))
            raise CrashError

    with pytest.raises(CrashError):
        synthesise_here(tmp_path, job_of(1), Crashing(in_flight=1))
    writer = FakeWriter()
    assert synthesise_here(tmp_path, job_of(1), writer).built.counts.records == 1
    assert writer.asked == []


def test_an_answer_of_no_use_gets_one_repair_turn_that_shows_what_was_wrong(tmp_path) -> None:
    turns = []

    def say(topic, request):
        turns.append([turn.text for turn in request.turns])
        return WRONG if len(request.turns) == 2 else story_text(topic)

    made = synthesise_here(tmp_path, job_of(2), FakeWriter(say, in_flight=1))
    assert made.built.counts.records == 2
    assert [len(one) for one in turns] == [2, 4, 2, 4]
    assert turns[1][:3] == [*turns[0], WRONG]
    assert "frames: Field required" in turns[1][3]


def test_a_cut_off_or_swapped_answer_is_asked_for_anew(tmp_path: Path) -> None:
    requests = []

    def say(topic, request):
        requests.append(request)
        if len(requests) == 1:
            return whole(story_text(topic)[:50], finish="length")
        if len(requests) == 3:
            return json.dumps({**json.loads(story_text(topic)), "topic": "quite another"})
        return story_text(topic)

    made = synthesise_here(tmp_path, job_of(2), FakeWriter(say, in_flight=1))
    assert made.built.counts.records == 2
    assert [len(one.turns) for one in requests] == [2, 2, 2, 2]
    assert "cut off after 20 tokens" in requests[1].turns[1].text
    assert requests[1].seed == requests[0].seed + 1


def test_what_stays_useless_or_fails_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    def say(topic, request):
        number = int(topic.text.split()[2])
        return {0: WRONG, 1: failure(), 2: "no"}.get(number) or story_text(topic)

    made = synthesise_here(tmp_path, job_of(9), FakeWriter(say))
    assert made.built.counts.failed == {"http-500": 1, "no-json": 1, "schema": 1}
    assert made.run.tally.failed == 3
    entries = [json.loads(line) for line in made.built.quarantine.read_text().splitlines()]
    assert {entry["code"] for entry in entries} == {"http-500", "no-json", "schema"}
    assert all("mending thing" in entry["message"] for entry in entries)
    writer = FakeWriter(say)
    synthesise_here(tmp_path, job_of(9), writer)
    assert writer.asked == []  # what was given up is not asked again


def test_given_up_topics_are_asked_again_on_request_and_only_those(tmp_path: Path) -> None:
    refusal = json.dumps({"choices": [{"message": {"refusal": "no"}}]})

    def bad(topic, request):
        number = int(topic.text.split()[2])
        return {0: WRONG, 1: failure()}.get(number) or story_text(topic)

    class Refusing(FakeWriter):
        async def ask(self, topic, request, *, key_of, received):
            if topic.text.startswith("mending thing 2 "):
                received(refusal)
                raise failure("refused")
            return await super().ask(topic, request, key_of=key_of, received=received)

    assert synthesise_here(tmp_path, job_of(9), Refusing(bad)).run.tally.failed == 3
    writer = FakeWriter()
    made = synthesise_here(tmp_path, job_of(9), writer, retry_failed=True)
    assert len(writer.asked) == 3
    assert made.built.counts.records == 9
    after = FakeWriter()
    assert synthesise_here(tmp_path, job_of(9), after).built.counts.records == 9
    assert after.asked == []


def test_a_run_of_failures_ends_before_it_spends_more(tmp_path: Path) -> None:
    writer = FakeWriter(lambda topic, request: failure(), in_flight=1)
    with pytest.raises(FailingError, match="the last 8 topics all failed"):
        synthesise_here(tmp_path, job_of(40), writer)
    assert len(writer.asked) == 8
    assert len((tmp_path / "quarantine.jsonl").read_text().splitlines()) == 8


def test_a_server_that_goes_away_costs_nothing_that_was_received(tmp_path: Path) -> None:
    writer = FakeWriter(in_flight=2)

    def say(topic, request):
        return story_text(topic) if len(writer.asked) < 5 else EndpointDownError("nobody there")

    writer.say = say
    with pytest.raises(EndpointDownError, match="nobody there"):
        synthesise_here(tmp_path, job_of(9), writer)
    kept = len(bodies_of(tmp_path))
    assert kept >= 3 and writer.closed == 1
    later = FakeWriter()
    assert synthesise_here(tmp_path, job_of(9), later).built.counts.records == 9
    assert len(later.asked) == 9 - kept


def test_a_full_disk_ends_the_run_and_the_received_answers_stay(tmp_path, monkeypatch) -> None:
    record, count = Journal.record, []

    def full(self, *args, **kwargs):
        count.append(1)
        if len(count) > 4:
            raise JournalWriteError("the disk is full", hint="make room")
        record(self, *args, **kwargs)

    monkeypatch.setattr(Journal, "record", full)
    with pytest.raises(JournalWriteError, match="the disk is full"):
        synthesise_here(tmp_path, job_of(9), FakeWriter())
    monkeypatch.undo()
    assert len(bodies_of(tmp_path)) == 4
    writer = FakeWriter()
    assert synthesise_here(tmp_path, job_of(9), writer).built.counts.records == 9
    assert len(writer.asked) == 5


def test_a_budget_ends_a_run_within_it_and_the_same_call_goes_on(tmp_path: Path) -> None:
    limit, asked = Limits(max_tokens=2400), 0
    for _ in range(20):
        writer, budget = FakeWriter(), Budget(limit)
        made = synthesise_here(tmp_path, job_of(9), writer, budget=budget)
        assert budget.tokens_in + budget.tokens_out <= 2400
        asked += len(writer.asked)
        if not made.run.limit:
            break
        assert made.run.limit == "2400 tokens"
        assert made.built.counts.unanswered == 9 - asked
        assert f"{9 - asked} of 9 topics are open" in (tmp_path / "README.md").read_text()
    assert asked == 9 and made.built.counts.unanswered == 0


def test_parts_of_a_job_make_the_same_data_as_one_client(tmp_path: Path) -> None:
    synthesise_here(tmp_path / "one", job_of(12), FakeWriter())
    asked = 0
    for index in (0, 1, 2):
        writer = FakeWriter()
        made = synthesise_here(tmp_path / "three", job_of(12, shard=(index, 3)), writer)
        asked += len(writer.asked)
        assert (made.built is None) == (index < 2)
        if index == 0:
            assert made.waiting_for == "parts 1/3, 2/3 have not begun"
    assert asked == 12
    one, three = (tmp_path / name / "videos/videos-00000.jsonl" for name in ("one", "three"))
    assert one.read_bytes() == three.read_bytes()


def test_a_part_that_another_client_writes_is_waited_for(tmp_path: Path) -> None:
    other = job_of(12, shard=(1, 2))
    path = answers_path(tmp_path, (1, 2))
    with Journal.open(path, kind=ANSWERS_KIND, fingerprint=other.fingerprint):
        made = synthesise_here(tmp_path, job_of(12, shard=(0, 2)), FakeWriter())
    assert made.built is None and "is being written by process" in made.waiting_for


def test_more_topics_may_be_asked_for_later(tmp_path: Path) -> None:
    sources = job_of(20).sources
    synthesise_here(tmp_path, job_of(5, sources=sources), FakeWriter())
    writer = FakeWriter()
    made = synthesise_here(tmp_path, job_of(8, sources=sources), writer)
    assert (len(writer.asked), made.built.counts.records) == (3, 8)


def test_a_folder_of_other_settings_is_refused_and_they_are_named(tmp_path: Path) -> None:
    synthesise_here(tmp_path, job_of(3), FakeWriter())
    with pytest.raises(FingerprintError, match=r"belongs to a job with other settings .seed: 0 th"):
        synthesise_here(tmp_path, job_of(3, seed=1), FakeWriter())
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="is a file, not a folder"):
        synthesise_here(tmp_path / "file", job_of(3), FakeWriter())


def test_topics_and_the_world_do_not_go_together() -> None:
    with pytest.raises(JobError, match="draws its own scenes: --topics, --language has no effect"):
        check_topics(["a"], world=True, asked={"--language": True, "--prompts": False})
    with pytest.raises(JobError, match="needs topics to write about"):
        check_topics([], world=False, asked={})
    check_topics([], world=True, asked={"--language": False})


def test_six_bodies_without_an_answer_are_enough_over_all_runs(tmp_path: Path) -> None:
    job = job_of(1)
    topic = next(job.topics())
    path = answers_path(tmp_path, (0, 1))
    with Journal.open(path, kind=ANSWERS_KIND, fingerprint=job.fingerprint) as journal:
        for attempt in range(1, 7):
            journal.record(topic.key, {"body": '{"error": "busy"}'}, attempt=attempt)
    writer = FakeWriter()
    made = synthesise_here(tmp_path, job, writer)
    assert writer.asked == []
    assert made.built.counts.failed == {"no-answer": 1}
