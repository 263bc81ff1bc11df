"""Different frames are foretold without decoding, and that comes true in files with traps."""

from pathlib import Path

import pytest

from tests.media import traps
from textreel.media.decode import read_clip
from textreel.media.distinct import surely_distinct
from textreel.media.errors import MediaError
from textreel.media.probe import probe
from textreel.media.sampling import SamplingSpec


def test_what_is_foretold_comes_true_in_files_with_traps(tmp_path: Path) -> None:
    foretold = fewer = 0
    for make in traps.TRAPS.values():
        try:
            path = make(tmp_path)
            length_s = probe(path).duration_s
            for spec in (SamplingSpec(num_frames=n) for n in (2, 5, 10)):
                times = spec.times(length_s)
                seen = len(read_clip(path, spec).frames)
                if surely_distinct(path, times):
                    assert seen == len(times), path.name
                    foretold += 1
                fewer += seen < len(times)
        except MediaError:
            continue
    assert foretold >= 18 and fewer >= 10


@pytest.mark.parametrize("make", [traps.cut, traps.variable_rate])
def test_what_a_header_promises_is_not_believed(tmp_path: Path, make) -> None:
    path = make(tmp_path)
    assert not surely_distinct(path, SamplingSpec(num_frames=5).times(probe(path).duration_s))


def test_a_plain_file_is_not_decoded_and_hardly_read(tmp_path: Path, monkeypatch) -> None:
    path = traps.plain(tmp_path)
    monkeypatch.delattr("textreel.media.packets.Packets.decode")
    monkeypatch.delattr("textreel.media.packets.Packets.read")
    assert surely_distinct(path, [0.1, 0.3, 0.5])
    assert not surely_distinct(path, [0.1, 0.11])
    assert surely_distinct(path, [0.1])
