import pytest

from tests.media import traps
from textreel.media.opening import open_media, read_only
from textreel.media.seek import MAX_TICKS, Packets, Selector, UnseekableError
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


def test_mp4_has_an_index_and_matroska_has_not(tmp_path) -> None:
    for path, indexed in ((traps.plain(tmp_path), True), (traps.matroska(tmp_path), False)):
        with open_media(path) as container:
            assert is_indexed(container.streams.video[0]) is indexed


def test_only_uneven_ends_are_suspected(tmp_path) -> None:
    for path, uneven in ((traps.variable_rate(tmp_path), True), (traps.long_gop(tmp_path), False)):
        with open_media(path) as container:
            assert ends_unevenly(container.streams.video[0]) is uneven
