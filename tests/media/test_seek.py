import pytest

from tests.media import traps
from tests.media.plain_pyav import all_frames
from textreel.media import seek
from textreel.media.opening import open_media, read_only
from textreel.media.packets import MAX_TICKS, Packets, UnseekableError
from textreel.media.seek import MAX_REORDER, Selector
from textreel.media.streams import choose_video, ends_unevenly, is_indexed


def packets_of(path, container) -> Packets:
    stream = choose_video(path, container, None)
    read_only(container, stream)
    return Packets(container, stream, progress=lambda: None)


def test_a_gif_cannot_be_sought_in(tmp_path) -> None:
    path = traps.animated_gif(tmp_path)
    with open_media(path) as container, pytest.raises(UnseekableError, match="cannot go to -"):
        packets_of(path, container).jump(-MAX_TICKS)


def test_a_time_before_any_frame_is_missing(tmp_path) -> None:
    path = traps.late_start(tmp_path)
    with open_media(path) as container:
        packets = packets_of(path, container)
        selector = Selector(packets, [packets.read()], keys_only=False)
        assert list(selector.frames([-1000])) == [] and selector.missing == [-1000]


def test_each_frame_comes_once_and_in_order(tmp_path) -> None:
    path = traps.long_gop(tmp_path)
    with open_media(path) as container:
        packets = packets_of(path, container)
        tick = int(0.04 / float(packets.stream.time_base))
        selector = Selector(packets, [packets.read()], keys_only=False)
        times = [0, tick - 1, tick, tick, 3 * tick + 1, 150 * tick]
        assert [frame.pts // tick for frame in selector.frames(times)] == [0, 1, 3, 150]


def test_what_nobody_needs_is_not_decoded(tmp_path) -> None:
    path = traps.long_gop(tmp_path)
    with open_media(path) as container:
        packets = packets_of(path, container)
        tick = int(0.04 / float(packets.stream.time_base))
        selector = Selector(packets, [packets.read()], keys_only=False)
        list(selector.frames([20 * tick]))
        assert packets.work.packets < 30


@pytest.mark.parametrize("name", ["matroska", "short_gops"])
def test_the_frame_shown_soon_after_a_key_frame_is_found_after_a_jump(tmp_path, name) -> None:
    path = traps.TRAPS[name](tmp_path)  # Matroska tells no times of decoding at first
    _, plain = all_frames(path)
    with open_media(path) as container:
        packets = packets_of(path, container)
        for number in range(140, 165):
            packets.jump(-MAX_TICKS)
            selector = Selector(packets, [packets.read()], keys_only=False)
            (frame,) = selector.frames([plain[number].pts])
            assert frame.pts == plain[number].pts
    assert packets.work.jumps == 50


def test_what_lies_before_a_key_frame_is_passed_over_without_an_index(tmp_path) -> None:
    path = traps.video(tmp_path / "a.mkv", traps.every(40, 200), options={"g": "50", "bf": "2"})
    with open_media(path) as container:
        packets = packets_of(path, container)
        times = [40 * 95, 40 * 160]  # nearer than any jump, their key frames at 50 and 150
        selector = Selector(packets, [packets.read()], keys_only=False)
        assert [frame.pts for frame in selector.frames(times)] == times
        assert packets.work.jumps == 0 and not selector.missing
        assert packets.work.packets <= 46 + 11 + 2 * MAX_REORDER


def test_a_time_between_decoding_and_showing_a_key_frame_is_no_reason_to_jump(tmp_path) -> None:
    path = traps.video(tmp_path / "a.mp4", traps.every(40, 200), options={"g": "50", "bf": "2"})
    with open_media(path) as container:
        packets = packets_of(path, container)
        tick = int(0.04 / float(packets.stream.time_base))
        selector = Selector(packets, [packets.read()], keys_only=False)
        frames = selector.frames([20 * tick, 50 * tick - 1, 52 * tick])
        assert [frame.pts // tick for frame in frames] == [20, 49, 52]
        assert packets.work.jumps == 0 and packets.work.packets < 60


@pytest.mark.parametrize(("name", "value"), [("MAX_HELD", 4), ("MAX_HELD_BYTES", 0)])
def test_packets_that_wait_for_a_key_frame_are_few(tmp_path, monkeypatch, name, value) -> None:
    path, held = traps.matroska(tmp_path), []
    holds_much = Selector._holds_much
    monkeypatch.setattr(seek, name, value)
    monkeypatch.setattr(
        Selector, "_holds_much", lambda self: held.append(len(self._ahead)) or holds_much(self)
    )
    with open_media(path) as container:
        packets = packets_of(path, container)
        selector = Selector(packets, [packets.read()], keys_only=False)
        assert [frame.pts for frame in selector.frames([40 * 35])] == [40 * 35]
    assert 0 < max(held) <= 16


def test_mp4_has_an_index_and_matroska_has_not(tmp_path) -> None:
    for path, indexed in ((traps.plain(tmp_path), True), (traps.matroska(tmp_path), False)):
        with open_media(path) as container:
            assert is_indexed(container.streams.video[0]) is indexed


def test_only_uneven_ends_are_suspected(tmp_path) -> None:
    for path, uneven in ((traps.variable_rate(tmp_path), True), (traps.long_gop(tmp_path), False)):
        with open_media(path) as container:
            assert ends_unevenly(container.streams.video[0]) is uneven
