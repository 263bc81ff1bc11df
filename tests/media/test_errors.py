import pickle

import pytest

from textreel.media import errors
from textreel.media.errors import MediaError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, MediaError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_name_file_and_cause_and_cross_processes(kind) -> None:
    for hint in ("", "do that"):
        error = pickle.loads(pickle.dumps(kind("a.mp4", "is bad", hint)))
        assert type(error) is kind and str(error) == "a.mp4: is bad"
        assert (error.source, error.cause) == ("a.mp4", "is bad")
        assert error.hint == (hint or kind.default_hint) and error.exit_code in (1, 2)


def test_all_kinds_were_found() -> None:
    assert len(KINDS) >= 13
