from pathlib import Path

from textreel.train.run_log import RunLog


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl", step=-1)
    assert log.lines() == []
    log.flush()
    log.append({"step": 0, "evaluation": {"accuracy": 0.25}})
    log.append({"step": 1, "loss": 2.5})
    log.flush()
    assert log.lines() == [
        {"step": 0, "evaluation": {"accuracy": 0.25}},
        {"step": 1, "loss": 2.5},
    ]


def test_a_resumed_run_forgets_what_it_will_redo(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = RunLog(path, step=-1)
    for step in (0, 1, 2, 2, 3):
        log.append({"step": step})
    assert RunLog(path, step=2).lines() == [{"step": s} for s in (0, 1, 2, 2)]
    assert RunLog(path, step=-1).lines() == []


def test_a_torn_last_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2, "lo')
    log = RunLog(path, step=5)
    log.append({"step": 3})
    assert path.read_bytes() == b'{"step": 1}\n{"step": 3}\n'
