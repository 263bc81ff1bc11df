import json
import pickle

import pytest

from textreel.media.sampling import POLICIES, SamplingError, SamplingSpec


def test_centres_are_the_middles_of_equal_slices() -> None:
    assert SamplingSpec(num_frames=4).times(8.0) == [1.0, 3.0, 5.0, 7.0]


def test_the_default_is_eight_centres() -> None:
    assert SamplingSpec() == SamplingSpec(num_frames=8, policy="centres")
    assert len(SamplingSpec().times(3.0)) == 8


def test_a_window_moves_the_times() -> None:
    assert SamplingSpec(num_frames=2, start_s=4.0, end_s=6.0).times(8.0) == [4.5, 5.5]


def test_a_window_ends_with_the_video() -> None:
    assert SamplingSpec(num_frames=2, start_s=4.0, end_s=60.0).times(8.0) == [5.0, 7.0]


def test_fps_gives_slices_of_one_length_and_max_frames_limits_their_number() -> None:
    assert SamplingSpec(fps=1).times(3.0) == [0.5, 1.5, 2.5]
    assert SamplingSpec(fps=1).times(3.4) == [0.5, 1.5, 2.5]
    assert SamplingSpec(fps=1).times(3.6) == [0.5, 1.5, 2.5, 3.5]
    assert SamplingSpec(fps=1, max_frames=2).times(8.0) == [2.0, 6.0]


def test_fps_gives_at_least_one_time() -> None:
    assert SamplingSpec(fps=0.1).times(1.0) == [0.5]


def test_a_picture_without_duration_is_seen_once_per_slot() -> None:
    assert SamplingSpec(num_frames=3).times(0.0) == [0.0, 0.0, 0.0]


def test_video_llama_takes_the_starts_of_slices() -> None:
    assert SamplingSpec(num_frames=4, policy="video_llama_floor").times(8.0) == [0.0, 2.0, 4.0, 6.0]


@pytest.mark.parametrize(("num_frames", "total"), [(8, 100), (8, 240), (16, 77), (10, 325)])
def test_video_llama_times_name_the_frames_of_the_published_rule(num_frames, total) -> None:
    fps = 25.0
    times = SamplingSpec(num_frames=num_frames, policy="video_llama_floor").times(total / fps)
    assert [int(t * fps + 1e-6) for t in times] == [
        j * total // num_frames for j in range(num_frames)
    ]


@pytest.mark.parametrize("num_frames", [1, 8, 16, 30, 50])
@pytest.mark.parametrize("total", [1, 7, 8, 100])
def test_video_llama_sees_as_many_frames_as_there_are_and_no_more(num_frames, total) -> None:
    """Upstream's steps of a float give one frame too many for 30 and 50."""
    fps = 25.0
    times = SamplingSpec(num_frames=num_frames, policy="video_llama_floor").times(total / fps)
    seen = [int(t * fps + 1e-6) for t in times]
    assert seen == sorted(seen) and seen[0] == 0 and seen[-1] < total
    assert len(times) == num_frames and len(set(seen)) == min(num_frames, total)


def test_topa_takes_floors_over_a_track_of_one_frame_per_second() -> None:
    spec = SamplingSpec(num_frames=10, policy="topa_floor")
    assert spec.times(25.0) == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22]
    assert spec.times(4.2) == [0, 1, 2, 3]


def test_topa_takes_the_track_rate_from_fps() -> None:
    assert SamplingSpec(num_frames=4, fps=2, policy="topa_floor").times(4.0) == [0, 1, 2, 3]


def test_head_tail_draws_half_from_each_half_and_repeats_by_seed() -> None:
    spec = SamplingSpec(num_frames=6, policy="head_tail", seed=5)
    times = spec.times(10.0)
    assert times == sorted(times) == spec.times(10.0)
    assert sum(t < 5 for t in times) == 3 and all(0 <= t < 10 for t in times)
    assert times != SamplingSpec(num_frames=6, policy="head_tail", seed=6).times(10.0)


@pytest.mark.parametrize("policy", [p for p in POLICIES if p != "every_frame"])
@pytest.mark.parametrize("duration_s", [0.0, 0.04, 1.0, 13.013, 3600.0])
def test_times_ascend_inside_the_video(policy, duration_s) -> None:
    times = SamplingSpec(num_frames=8, policy=policy).times(duration_s)
    assert times == sorted(times) and 1 <= len(times) <= 8
    assert all(0 <= t <= duration_s for t in times)


def test_json_round_trip_keeps_the_spec_and_its_fingerprint() -> None:
    spec = SamplingSpec(fps=2, max_frames=64, start_s=1.5, end_s=9)
    again = SamplingSpec.from_json(spec.to_json())
    assert again == spec and again.fingerprint == spec.fingerprint
    assert SamplingSpec.from_dict(json.loads(spec.to_json())) == spec


def test_the_fingerprint_tells_specs_apart_but_not_ways_of_writing_one() -> None:
    specs = [
        SamplingSpec(),
        SamplingSpec(num_frames=9),
        SamplingSpec(start_s=1),
        SamplingSpec(fps=1),
    ]
    assert len({spec.fingerprint for spec in specs}) == 4
    assert SamplingSpec(fps=1).fingerprint == SamplingSpec(fps=1.0).fingerprint
    assert SamplingSpec().fingerprint == "905b33bb45196182"
    same = [
        ({"num_frames": 8}, {"num_frames": 8.0}),
        ({"num_frames": 8}, {"start_s": 0.0}),
        ({"fps": 1, "max_frames": 4}, {"fps": 1.0, "max_frames": 4.0, "start_s": -0.0}),
        ({"policy": "topa_floor"}, {"policy": "topa_floor", "fps": 1}),
    ]
    for one, other in same:
        assert SamplingSpec(**one).fingerprint == SamplingSpec(**other).fingerprint
    assert SamplingSpec(fps=1).fingerprint != SamplingSpec(fps=1, max_frames=9).fingerprint


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"policy": "middle"}, "unknown policy 'middle'"),
        ({"num_frames": 0}, "num_frames=0 must be a whole number, 1 or more"),
        ({"num_frames": 2.5}, "num_frames=2.5 must be a whole number"),
        ({"fps": float("nan")}, "fps=nan must be finite and not negative"),
        ({"start_s": -1.0}, "start_s=-1.0 must be finite and not negative"),
        ({"fps": 0.0}, "fps=0.0, end_s=None must be above 0"),
        ({"start_s": 5, "end_s": 5}, "empty window, end_s=5 must be above start_s=5"),
        ({"num_frames": 4, "fps": 1.0}, "num_frames=4 has no effect beside fps=1.0"),
        ({"num_frames": 4, "policy": "every_frame"}, "num_frames=4 has no effect"),
        ({"max_frames": 4}, "max_frames=4 has no effect without fps"),
        ({"fps": 2, "policy": "head_tail"}, "fps has no effect under policy='head_tail'"),
        ({"num_frames": 3, "policy": "head_tail"}, "num_frames=3 is odd"),
        ({"seed": 1}, "seed=1 has no effect under policy='centres'"),
    ],
)
def test_contradictions_are_refused(fields, message) -> None:
    with pytest.raises(SamplingError, match=message):
        SamplingSpec(**fields)


def test_a_window_past_the_end_is_refused() -> None:
    with pytest.raises(SamplingError, match=r"start_s=9.0 is past the end of a video of 8.000 s"):
        SamplingSpec(start_s=9.0).times(8.0)


def test_a_duration_must_be_a_length() -> None:
    with pytest.raises(SamplingError, match="duration_s=-1 must be finite"):
        SamplingSpec().times(-1)


def test_every_frame_has_no_times_of_its_own() -> None:
    with pytest.raises(SamplingError, match="known only to the file"):
        SamplingSpec(policy="every_frame").times(8.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"num_frames": 4, "frames": 3}', "1 unknown fields: frames"),
        ('{"format": 2}', "format 2 is not the format 1"),
        ("[1]", "not a JSON object but list"),
        ("num_frames: 4", "not JSON"),
    ],
)
def test_json_of_another_shape_is_refused(text, message) -> None:
    with pytest.raises(SamplingError, match=message):
        SamplingSpec.from_json(text)


def test_specs_and_errors_pickle() -> None:
    assert pickle.loads(pickle.dumps(SamplingSpec(fps=2))) == SamplingSpec(fps=2)
    error = pickle.loads(pickle.dumps(SamplingError("what", "how")))
    assert (str(error), error.hint, error.exit_code) == ("what", "how", 2)


def test_more_times_than_any_video_has_are_refused() -> None:
    with pytest.raises(SamplingError, match=r"5000000 times in 1000000 s are asked for; 4194304 "):
        SamplingSpec(fps=5.0).times(1e6)
    assert len(SamplingSpec(fps=5.0, max_frames=4).times(1e6)) == 4
