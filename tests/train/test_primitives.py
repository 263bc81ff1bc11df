import os

import pytest

from textreel.train.primitives import VARIABLE, keep_few_primitives


def test_few_prepared_operations_are_kept_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "7")
    keep_few_primitives()
    assert os.environ[VARIABLE] == "7"
    monkeypatch.delenv(VARIABLE)
    keep_few_primitives()
    assert os.environ[VARIABLE] == "64"
