from collections import Counter
from dataclasses import replace

import pytest

from tests.synth.check.records import PLANTED, clean
from textreel.synth.check.checker import Checker
from textreel.synth.check.findings import CheckError, CheckLimits
from textreel.synth.check.overlap import BenchmarkQuestions
from textreel.synth.check.words import estimate_clip_tokens, plain, shingles, stem, words
from textreel.synth.world.textual import draw_textual_videos

BENCHMARK = "Why did the boy in red fall down the hill?"


def checker(**limits) -> Checker:
    known = BenchmarkQuestions()
    known.add(BENCHMARK, source="nextqa.csv")
    return Checker(CheckLimits(**limits), benchmarks=known)


def test_two_hundred_clean_records_pass() -> None:
    check = checker()
    for number in range(200):
        verdict = check.check(clean(number))
        assert verdict.findings == () and verdict.video is not None
    assert check.counts.passed == 200 and check.counts.questions_passed == 1000


def test_two_hundred_scenes_of_the_world_pass() -> None:
    check = checker()
    for video in draw_textual_videos(200, 5):
        assert check.check(video).findings == ()


def test_at_least_thirty_faults_are_planted() -> None:
    assert len(PLANTED) >= 30
    assert len({code for code, _ in PLANTED.values()}) >= 15


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_caught(name: str) -> None:
    code, spoil = PLANTED[name]
    check = checker()
    verdict = check.check(spoil(clean(7)))
    assert code in {finding.code for finding in verdict.findings}, verdict.findings
    assert check.counts.all_findings[code] >= 1
    assert all(finding.message and finding.where for finding in verdict.findings)


def test_a_question_that_fails_goes_alone() -> None:
    check = checker()
    _, spoil = PLANTED["third frame"]
    verdict = check.check(spoil(clean(1)))
    assert verdict.video.questions == clean(1).questions[1:]
    assert check.counts.questions_rejected == {"frame-number": 1}
    assert (check.counts.passed, check.counts.questions_passed) == (1, 4)


def test_questions_of_a_rejected_record_are_counted_as_lost() -> None:
    check = checker()
    verdict = check.check(PLANTED["four frames"][1](clean(1)))
    assert verdict.video is None and verdict.reason.code == "frame-count"
    assert check.counts.rejected == {"frame-count": 1}
    assert check.counts.questions_lost == 5


def test_every_record_and_question_is_accounted_for() -> None:
    check = checker()
    for number, (_, spoil) in enumerate(PLANTED.values()):
        check.check(spoil(clean(number)))
    counts = check.counts
    assert counts.records == len(PLANTED) == counts.passed + sum(counts.rejected.values())
    rejected = sum(counts.questions_rejected.values())
    assert counts.questions == counts.questions_passed + rejected + counts.questions_lost


def test_a_near_duplicate_of_an_earlier_record_is_rejected_and_named() -> None:
    check, first = checker(), clean(3)
    check.check(first)
    changed = replace(first.frames[0], caption=f"{first.frames[0].caption} Slowly.")
    verdict = check.check(replace(first, id="other", frames=(changed, *first.frames[1:])))
    assert verdict.reason.code == "near-duplicate"
    assert verdict.reason.message == f"nearly repeats {first.id}"
    assert check.check(clean(4)).video is not None


def test_limits_can_be_moved() -> None:
    three = PLANTED["three options"][1](clean(0))
    assert checker(fewest_options=3).check(three).findings == ()
    assert checker(fewest_frames=1, most_frames=4).check(clean(0)).video is None


def test_an_encoder_counts_its_own_tokens() -> None:
    strict = Checker(CheckLimits(caption_tokens=3), count_tokens=lambda text: len(text.split()))
    found = Counter(one.code for one in strict.check(clean(0)).findings)
    assert found["caption-length"] > 5


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"fewest_frames": 9, "most_frames": 5}, "fewest_frames=9 must be above 0 and not above"),
        ({"same_words": 1.5}, "same_words=1.5 is no share between 0 and 1"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict, text: str) -> None:
    with pytest.raises(CheckError, match=text):
        CheckLimits(**limits)


def test_words_and_what_is_compared_of_them() -> None:
    assert words("Ça va, 2 Bälle!") == ["ça", "va", "2", "bälle"]
    assert plain(" The  RED ball. ") == plain("red ball")
    assert plain("?!") == "?!"
    assert shingles(["a", "b", "c", "d"], 3) == {"a b c", "b c d"}
    assert shingles(["a"], 3) == {"a"} and shingles([], 3) == set()
    assert stem("hammering") == "hammeri" and stem("saw") == "saw"
    # begin, end; a, man, saws; "."; carpentry is two
    assert estimate_clip_tokens("a man saws.") == 6
    assert estimate_clip_tokens("carpentry") == 4
    assert estimate_clip_tokens("木工") == 6
