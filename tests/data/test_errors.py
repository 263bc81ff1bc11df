import pickle

import pytest

from textreel.data import errors

EXPECTED = {
    "TakenError": (FileExistsError, 2),
    "FormatError": (ValueError, 2),
    "CorpusError": (ValueError, 2),
    "FingerprintError": (ValueError, 2),
    "LockedError": (RuntimeError, 2),
    "JournalError": (ValueError, 1),
    "JournalWriteError": (OSError, 1),
    "ShardError": (ValueError, 2),
    "TooManyBadError": (RuntimeError, 3),
    "TextualDataError": (ValueError, 1),
}


def test_every_error_of_the_room_is_listed_here() -> None:
    found = {name for name in vars(errors) if name.endswith("Error")}
    assert found == {*EXPECTED, "HintedError"}


@pytest.mark.parametrize("name", EXPECTED)
def test_an_error_has_its_exit_code_and_keeps_message_and_hint_through_pickling(name: str) -> None:
    builtin, exit_code = EXPECTED[name]
    kind = getattr(errors, name)
    error = pickle.loads(pickle.dumps(kind("3 of 7 are lost", hint="look behind the sofa")))
    assert isinstance(error, builtin)
    assert (type(error), error.exit_code) == (kind, exit_code)
    assert (str(error), error.hint) == ("3 of 7 are lost", "look behind the sofa")
