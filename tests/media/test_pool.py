import threading

import pytest

from tests.media import traps
from textreel.media.errors import EmptyFileError
from textreel.media.pool import ReaderPool, default_workers, run_ahead


def test_files_are_read_side_by_side_and_answered_in_order(tmp_path) -> None:
    paths = [traps.plain(tmp_path), traps.empty(tmp_path), traps.wave(tmp_path)]
    with ReaderPool(2) as pool:
        found = run_ahead(paths, lambda path: pool.submit(lambda r: r.look(path)), ahead=3)
        answers = [(path, task) for path, task in found]
        assert [path for path, _ in answers] == paths
        assert answers[0][1].result().sound_status == "used"
        with pytest.raises(EmptyFileError):
            answers[1][1].result()
        assert answers[2][1].result().frame_times_s == ()


def test_a_pool_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="workers=0 must be 1 or more"):
        ReaderPool(0)
    assert default_workers() >= 1


def test_tasks_run_at_the_same_time_and_closing_drops_the_rest() -> None:
    both = threading.Barrier(2)
    with ReaderPool(2) as pool:
        first, second = (pool.submit(lambda reader: both.wait(timeout=5)) for _ in range(2))
        assert {first.result(), second.result()} == {0, 1}
        assert all(reader.pid is None for reader in pool._readers)  # no process was needed
        hold = threading.Event()
        for _ in range(2):
            pool.submit(lambda reader: hold.wait(5))
        never = pool.submit(lambda reader: None)
        threading.Timer(0.05, hold.set).start()
    assert never.cancelled() or never.done()


def test_work_runs_ahead_by_so_many_items() -> None:
    begun: list[int] = []
    late = run_ahead(iter(range(10)), lambda item: begun.append(item) or -item, ahead=3)
    assert next(late) == (0, 0) and begun == [0, 1, 2, 3]
    assert list(late) == [(item, -item) for item in range(1, 10)]
