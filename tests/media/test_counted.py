import numpy as np
import pytest

from tests.media import traps
from tests.media.plain_pyav import all_frames
from textreel.media.decode import decode_clip, read_clip
from textreel.media.opening import open_media
from textreel.media.packets import Packets
from textreel.media.pixels import Pixels
from textreel.media.sampling import SamplingSpec
from textreel.media.streams import choose_video, tells_when_shown

SPECS = [
    *(SamplingSpec(num_frames=count) for count in (1, 5, 9, 60)),
    *(SamplingSpec(num_frames=4, policy="head_tail", seed=seed) for seed in (0, 1)),
    SamplingSpec(num_frames=6, start_s=4.0),
]


def check(path) -> None:
    """Frames come out in the order in which they are shown, .04 s apart: that is the truth."""
    plain = all_frames(path)[1]
    pixels = Pixels(plain[0], aspect=None)
    for spec in SPECS:
        clip = read_clip(path, spec)
        numbers = [int((time_s + 1e-6) / 0.04) for time_s in spec.times(clip.duration_s)]
        wanted = list(dict.fromkeys(min(199, number) for number in numbers))
        assert clip.frame_times_s == pytest.approx([i * 0.04 for i in wanted]), spec
        for picture, i in zip(clip.frames, wanted, strict=True):
            assert np.array_equal(picture, pixels.to_rgb(plain[i])), (spec, i)


@pytest.mark.parametrize(
    "made",
    [
        {"codec": "mpeg4"},
        {"codec": "libx264", "between": 0},
        {"codec": "libx264", "between": 3, "key": 10},
        {"codec": "libx264", "open_gop": True},
        {"codec": "libx264", "ending": "asf"},
        {"codec": "libx264", "ending": "mxf"},
    ],
)
def test_frames_of_containers_that_tell_no_times_are_found_by_counting(tmp_path, made) -> None:
    check(traps.reordered(tmp_path, **made))


def test_the_last_frames_are_found_where_few_follow_their_key_frame(tmp_path) -> None:
    path = traps.reordered(tmp_path, codec="libx264", key=99)  # the last one is number 198
    for number in (190, 197, 198, 199):
        spec = SamplingSpec(num_frames=1, start_s=number * 0.04, end_s=(number + 0.5) * 0.04)
        decoded = decode_clip(path, spec)
        assert decoded.clip.frame_times_s == pytest.approx([number * 0.04])
        assert traps.number_of(decoded.clip.frames[0]) == number % 23
        assert decoded.work.jumps == 1


def test_every_frame_comes_in_the_order_in_which_it_is_shown(tmp_path) -> None:
    path = traps.reordered(tmp_path, codec="libx264", key=10)
    clip = read_clip(path, SamplingSpec(policy="every_frame"))
    assert [traps.number_of(frame) for frame in clip.frames] == [i % 23 for i in range(200)]
    assert clip.frame_times_s == pytest.approx([i * 0.04 for i in range(200)])


def test_key_frames_are_key_frames(tmp_path) -> None:
    path = traps.reordered(tmp_path, codec="libx264", key=50)
    clip = read_clip(path, SamplingSpec(num_frames=8, policy="key_frames"))
    assert clip.frame_times_s == pytest.approx([0, 2, 4, 6])


def test_sparse_times_jump(tmp_path) -> None:
    path = traps.reordered(tmp_path, codec="libx264", key=10)
    work = decode_clip(path, SamplingSpec(num_frames=4)).work
    assert work.jumps == 4 and work.packets < 110


def test_a_jump_to_the_wrong_place_is_noticed_and_the_file_is_read_in_order(
    tmp_path, monkeypatch
) -> None:
    path, jump_before = traps.reordered(tmp_path, codec="libx264", key=10), Packets.jump_before
    monkeypatch.setattr(Packets, "jump_before", lambda self, to: jump_before(self, to + 1500))
    assert decode_clip(path, SPECS[1]).work.jumps == 0
    check(path)
    with open_media(path) as container:
        assert not tells_when_shown(container, choose_video(path, container, None))


def test_the_length_of_ivf_is_measured_for_its_header_counts_frames(tmp_path) -> None:
    options = {"deadline": "realtime", "cpu-used": "8"}
    path = traps.video(tmp_path / "a.ivf", traps.every(40, 50), codec="libvpx", options=options)
    clip = read_clip(path, SamplingSpec(num_frames=4))
    assert clip.duration_s == pytest.approx(2.0, abs=0.05)
    assert clip.frame_times_s == pytest.approx([0.24, 0.72, 1.24, 1.72], abs=0.041)
