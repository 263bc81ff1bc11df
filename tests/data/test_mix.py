import json
from collections import Counter
from pathlib import Path

import pytest

from textreel.data.corpora import CorpusFile
from textreel.data.errors import TakenError, TooManyBadError
from textreel.data.mix import PRESETS, MixError, Source, counts_by_ratio, make_mix

FIELDS = {"context": "c", "instruction": "i", "answer": "a"}


def corpus(path: Path, rows: list[dict]) -> CorpusFile:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return CorpusFile(path=path, corpus="fields", fields=FIELDS, licence="CC0-1.0")


def row(number: int, *, asked: str = "What is it?") -> dict:
    return {"c": f"A long text about the number {number}. " * 3, "i": asked, "a": f"{number}"}


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    many = [row(n, asked="List all" if n % 4 == 0 else "Tell me") for n in range(80)]
    few = [row(n) for n in range(76, 100)]
    few += [dict(row(3), i="TELL  me"), {"c": "", "i": "x", "a": "y"}]
    return [
        Source(name="many", file=corpus(tmp_path / "many.jsonl", many), count=20),
        Source(name="few", file=corpus(tmp_path / "few.jsonl", few), count=10),
    ]


def read(out: Path) -> tuple[list[dict], dict]:
    lines = (out / "mix.jsonl").read_text(encoding="utf-8").splitlines()
    return list(map(json.loads, lines)), json.loads((out / "mix.json").read_text())


def test_a_mix_takes_what_was_asked_and_says_so(sources: list[Source], tmp_path: Path) -> None:
    report = make_mix(sources, tmp_path / "mix", seed=5)
    records, manifest = read(tmp_path / "mix")
    assert manifest["ids"] == [record["id"] for record in records]
    assert len(set(manifest["ids"])) == report.samples == 30
    assert (manifest["kind"], manifest["seed"], manifest["stratify"]) == ("mix", 5, "instruction")
    many, few = report.sources
    assert (many.rows, many.rejected, many.duplicates, many.unique, many.taken) == (
        80,
        {},
        0,
        80,
        20,
    )
    assert many.strata == {"tell me": 15, "list all": 5}  # three quarters and one
    assert few.rejected == {"empty context": 1}
    assert (few.rows, few.duplicates, few.unique, few.taken) == (26, 1, 24, 10)
    assert few.licences == {"CC0-1.0": 10}
    where = Counter(record["source"].split(":")[1].split()[0] for record in records)
    assert where == {"many.jsonl": 20, "few.jsonl": 10}
    first_half = [record["source"] for record in records[:15]]
    assert len({source.split()[1] for source in first_half}) == 2  # shuffled, not one by one
    bad = (tmp_path / "mix" / "quarantine.jsonl").read_text().splitlines()
    assert len(bad) == 1


def test_a_sample_counts_where_it_comes_first(tmp_path: Path) -> None:
    one = corpus(tmp_path / "one.jsonl", [row(n) for n in range(4)])
    two = corpus(tmp_path / "two.jsonl", [row(n) for n in range(2, 8)])
    sources = [Source(name="a", file=one, count=4), Source(name="b", file=two, count=4)]
    report = make_mix(sources, tmp_path / "mix")
    assert [source.duplicates for source in report.sources] == [0, 2]
    assert len(read(tmp_path / "mix")[1]["ids"]) == 8


def test_names_of_other_case_are_other_videos(tmp_path: Path) -> None:
    rows = [{"q": "Why?", "a": "So.", "video_id": name} for name in ("a.mp4", "A.mp4", "a.mp4")]
    rows.append(rows[0] | {"q": "WHY? "})
    path = tmp_path / "videos.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    source = Source(name="v", file=CorpusFile(path=path, corpus="video-chatgpt"), count=2)
    (report,) = make_mix([source], tmp_path / "mix").sources
    assert (report.unique, report.duplicates) == (2, 2)


def test_counts_add_up_where_one_file_is_two_sources(tmp_path: Path) -> None:
    rows = [row(1) | {"b": "other"}, {"c": "", "i": "x", "a": "y", "b": "z"}]
    one = corpus(tmp_path / "one.jsonl", rows)
    two = CorpusFile(path=one.path, corpus="fields", fields=FIELDS | {"answer": "b"})
    sources = [Source(name="a", file=one, count=1), Source(name="b", file=two, count=1)]
    for report in make_mix(sources, tmp_path / "mix").sources:
        assert (report.rows, report.unique) == (2, 1)
        assert report.rejected == {"empty context": 1}


def test_no_two_samples_have_one_id(tmp_path: Path) -> None:
    said = [("a", "Why?"), ("a", "How?"), ("b", "Who?")]
    lines = [
        {"id": id, "messages": [{"role": role, "content": text} for role in ("user", "assistant")]}
        for id, text in said
    ]
    files = []
    for name, rows in (("one", lines[:1]), ("two", lines[1:])):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        files.append(
            Source(name=name, file=CorpusFile(path=path, corpus="records"), count=len(rows))
        )
    make_mix(files, tmp_path / "mix")
    records, manifest = read(tmp_path / "mix")
    ids = {record["messages"][0]["content"][0]["text"]: record["id"] for record in records}
    assert (ids["Why?"], ids["Who?"], len(ids["How?"])) == ("a", "b", 16)
    assert sorted(manifest["ids"]) == sorted(ids.values())


def test_the_same_seed_gives_the_same_mix_in_any_order_of_rows(
    sources: list[Source], tmp_path: Path
) -> None:
    make_mix(sources, tmp_path / "one", seed=1)
    for source in sources:
        lines = source.file.path.read_text().splitlines(keepends=True)
        source.file.path.write_text("".join(reversed(lines)))
    make_mix(sources, tmp_path / "two", seed=1)
    make_mix(sources, tmp_path / "three", seed=2)
    ids = [read(tmp_path / name)[1]["ids"] for name in ("one", "two", "three")]
    assert ids[0] == ids[1] != ids[2]


def test_other_ids_and_systems_words_change_nothing(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.jsonl"
        rows = []
        for number in range(40):
            said = [("system", "You see."), ("user", "List" if number % 4 else "Tell it")]
            said.append(("assistant", f"{number}"))
            messages = [{"role": role, "content": text} for role, text in said]
            rows.append({"id": f"{name}-{number}", "messages": messages})
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        source = Source(name="a", file=CorpusFile(path=path, corpus="records"), count=8)
        report = make_mix([source], tmp_path / name)
        assert report.sources[0].strata == {"list": 6, "tell it": 2}
        made.append([id.partition("-")[2] for id in read(tmp_path / name)[1]["ids"]])
    assert made[0] == made[1]


def test_captions_have_no_instruction(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    rows = [{"image_id": n, "caption": f"Picture {n} of a red box"} for n in range(9)]
    path.write_text(json.dumps(rows), encoding="utf-8")
    source = Source(name="a", file=CorpusFile(path=path, corpus="captions"), count=3)
    assert make_mix([source], tmp_path / "mix").sources[0].strata == {"": 3}


def test_small_strata_are_taken_by_chance_in_proportion(tmp_path: Path) -> None:
    rows = [row(n, asked=f"Word {n}") for n in range(20)] + [row(n) for n in range(20, 50)]
    file = corpus(tmp_path / "rows.jsonl", rows)
    taken: Counter[str] = Counter()
    for seed in range(12):
        source = Source(name="a", file=file, count=5)
        strata = make_mix([source], tmp_path / f"mix{seed}", seed=seed).sources[0].strata
        assert strata["what is"] == 3 and sum(strata.values()) == 5
        taken.update(strata)
    rare = [taken[f"word {n}"] for n in range(20)]
    assert sum(rare) == 24 and max(rare) <= 5  # each 1.2 on average
    assert sum(map(bool, rare)) >= 10


def test_a_larger_mix_contains_the_smaller(tmp_path: Path) -> None:
    file = corpus(tmp_path / "rows.jsonl", [row(n) for n in range(60)])
    for count in (10, 40):
        source = Source(name="a", file=file, count=count)
        make_mix([source], tmp_path / f"mix{count}", stratify="none")
    small, large = (set(read(tmp_path / f"mix{count}")[1]["ids"]) for count in (10, 40))
    assert small < large


def test_strata_of_length_are_powers_of_two(tmp_path: Path) -> None:
    rows = [row(n) for n in range(12)] + [dict(row(n), c="w" * 300) for n in range(12)]
    rows = [dict(r, a=str(n)) for n, r in enumerate(rows)]
    source = Source(name="a", file=corpus(tmp_path / "rows.jsonl", rows), count=8)
    report = make_mix([source], tmp_path / "mix", stratify="length")
    assert report.sources[0].strata == {"below 128 characters": 4, "below 512 characters": 4}


def test_ratios_become_whole_numbers() -> None:
    assert counts_by_ratio({"video": 2, "pages": 1}, total=30) == {"video": 20, "pages": 10}
    assert counts_by_ratio({"a": 1, "b": 1, "c": 1}, total=10) == {"a": 4, "b": 3, "c": 3}
    with pytest.raises(MixError, match="must all be above 0"):
        counts_by_ratio({"a": 0}, total=3)
    for ratio in (float("inf"), 1e308):
        with pytest.raises(MixError, match="add up to no finite number"):
            counts_by_ratio({"a": ratio, "b": ratio}, total=3)
    with pytest.raises(MixError, match="must all be above 0"):
        counts_by_ratio({"a": 1.0, "b": float("nan")}, total=3)
    with pytest.raises(MixError, match="for 2 sources leaves some without a sample"):
        counts_by_ratio({"a": 1, "b": 1}, total=1)


def test_the_preset_is_two_parts_video_to_one_part_pages() -> None:
    preset = PRESETS["t2vid-30k"]
    assert sum(preset.values()) == 30_000
    assert preset["sharegemini"] + preset["video-chatgpt"] == 20_000


def test_what_cannot_be_mixed_is_refused_and_leaves_nothing(
    sources: list[Source], tmp_path: Path
) -> None:
    out = tmp_path / "mix"
    many, few = sources
    greedy = Source(name="few", file=few.file, count=25)
    with pytest.raises(
        MixError,
        match=r"few has 24 different samples \(26 rows, 1 set aside: .+\), 25 wanted; first "
        r"bad: .+ line \d+ row \d+, read as 'fields': .+",
    ):
        make_mix([many, greedy], out)
    with pytest.raises(MixError, match="2 sources, 1 different names"):
        make_mix([many, many], out)
    with pytest.raises(MixError, match="strata 'colour' are none of none, length, instruction"):
        make_mix(sources, out, stratify="colour")
    with pytest.raises(MixError, match="0 samples of many: at least 1 must be taken"):
        make_mix([Source(name="many", file=many.file, count=0)], out)
    with pytest.raises(TooManyBadError, match="1 of 106 samples are bad, 0 allowed"):
        make_mix(sources, out, max_bad=0)
    assert not out.exists()
    make_mix(sources, out)
    with pytest.raises(TakenError):
        make_mix(sources, out)
