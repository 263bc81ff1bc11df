"""Pickles: arrays and tensors come back, and nothing else does anything."""

import builtins
import functools
import io
import os
import pickle
import re
import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from textreel.features.errors import FeatureImportError, UnsafePickleError
from textreel.features.safe_pickle import load_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def written(folder: Path, value: object, *, protocol: int = 4) -> Path:
    path = folder / "some.pkl"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol))
    return path


class Calls:
    """Pickles as a call of anything, with an optional state to set afterwards."""

    def __init__(self, function, *arguments, state=None) -> None:
        self.reduced = (function, arguments, state)

    def __reduce__(self):
        return self.reduced


COUNT = np.arange(6, dtype=np.float32).reshape(2, 3)
TENSORS = {
    "float": torch.from_numpy(COUNT),
    "half": torch.from_numpy(COUNT).half(),
    "bfloat16": torch.from_numpy(COUNT).bfloat16(),
    "transposed": torch.from_numpy(COUNT).T,
    "part": torch.from_numpy(COUNT)[:, 1:],
    "parameter": torch.nn.Parameter(torch.from_numpy(COUNT)),
    "no rows": torch.empty(0, 3),
}
ARRAYS = {
    "float": COUNT,
    "half": COUNT.astype(np.float16),
    "columns": np.asfortranarray(COUNT),
    "three": COUNT.reshape(1, 2, 3).transpose(2, 0, 1),
    "big end first": COUNT.astype(">f4"),
    "integers": COUNT.astype(np.int64),
    "no rows": np.empty((0, 3)),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_comes_back(tmp_path, name, protocol) -> None:
    tensor = TENSORS[name]
    found = load_pickle(written(tmp_path, tensor, protocol=protocol))
    assert found.dtype == tensor.dtype and torch.equal(found, tensor)
    assert type(found) is torch.Tensor and not found.requires_grad


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back(tmp_path, name, protocol) -> None:
    found = load_pickle(written(tmp_path, ARRAYS[name], protocol=protocol))
    assert found.dtype == ARRAYS[name].dtype and np.array_equal(found, ARRAYS[name])
    assert found.shape == ARRAYS[name].shape


def test_an_array_of_an_older_numpy_comes_back(tmp_path) -> None:
    content = pickle.dumps(COUNT, protocol=2)
    assert b"numpy._core.multiarray" in content
    older = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert np.array_equal(load_pickle(written(tmp_path, older)), COUNT)


def test_containers_come_back(tmp_path) -> None:
    twice = TENSORS["float"]
    value = {"a": [twice, twice], "b": (1, 2.5, "three", None, True, b"6"), 7: OrderedDict(c=COUNT)}
    found = load_pickle(written(tmp_path, value))
    assert list(found) == ["a", "b", 7] and found["b"] == value["b"]
    assert found["a"][0] is found["a"][1] and torch.equal(found["a"][0], twice)
    assert type(found[7]) is dict and np.array_equal(found[7]["c"], COUNT)


MARK = "ran"
TOUCH = f"__import__('pathlib').Path({MARK!r}).touch()"
HOSTILE = {
    f"{os.system.__module__}.system": Calls(os.system, f"touch {MARK}"),
    "builtins.eval": Calls(eval, TOUCH),
    "builtins.exec": Calls(exec, TOUCH),
    "builtins.getattr": Calls(getattr, "text", "upper"),
    "builtins.__import__": Calls(builtins.__import__, "os"),
    "io.open": Calls(open, MARK, "w"),
    "subprocess.Popen": Calls(subprocess.Popen, ["touch", MARK]),
    "functools.partial": Calls(functools.partial, os.system, f"touch {MARK}"),
    "torch.serialization.load": Calls(torch.load, MARK),
    "numpy.memmap": Calls(np.memmap, MARK, "u1", "w+", 0, (1,)),
    "pathlib.PosixPath": Path(MARK),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_by_name_and_not_run(
    tmp_path, monkeypatch, name, protocol
) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, {"clip": HOSTILE[name]}, protocol=protocol)
    with pytest.raises(UnsafePickleError, match=r"is refused: its pickle asks for") as caught:
        load_pickle(path)
    module, _, attribute = name.rpartition(".")  # before protocol 3 some modules go by old names
    modules = module if protocol > 2 else rf"{module}|__builtin__|commands"
    assert re.search(rf"asks for ({modules})\.{attribute}, which is no part", str(caught.value))
    assert "nothing of it was run" in str(caught.value) and caught.value.hint
    assert not (tmp_path / MARK).exists()


def test_the_hostile_pickles_would_have_run(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(HOSTILE["builtins.exec"]))
    assert (tmp_path / MARK).exists()


def test_a_dotted_name_is_one_name(tmp_path) -> None:
    path = written(tmp_path, b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.")
    with pytest.raises(UnsafePickleError, match=r"asks for numpy.ndarray.__init__, which is no"):
        load_pickle(path)


def test_what_a_tensor_holds_is_not_run_either(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for as_archive in (False, True):
        inner = io.BytesIO()
        torch.save(HOSTILE["builtins.eval"], inner, _use_new_zipfile_serialization=as_archive)
        path = written(tmp_path, Calls(torch.storage._load_from_bytes, inner.getvalue()))
        with pytest.raises(UnsafePickleError, match=r"a tensor's values that hold more .*eval"):
            load_pickle(path)
    assert not (tmp_path / MARK).exists()


def storage_of(tensor: torch.Tensor) -> Calls:
    inner = io.BytesIO()
    torch.save(tensor, inner)
    return Calls(torch.storage._load_from_bytes, inner.getvalue())


FOUR = pickle.loads(pickle.dumps(torch.ones(4))).__reduce_ex__(4)[1][0]
REBUILD = torch._utils._rebuild_tensor_v2
RECONSTRUCT = np.empty(0).__reduce__()[0]
FORGED = {
    "1000000 numbers out of 4": Calls(REBUILD, FOUR, 0, (10**6,), (0,), False, None),
    "a tensor of other things than numbers": Calls(REBUILD, [1.0], 0, (1,), (1,), False, None),
    "a Tensor where a tensor's values are due": storage_of(torch.ones(2)),
    "a finished Tensor to be altered": Calls(
        REBUILD, FOUR, 0, (4,), (1,), False, None, state={"data": 1}
    ),
    "a finished ndarray to be altered": pickle.dumps(COUNT, protocol=4)[:-1] + b"}b.",
    "an array of 'O8' values": np.array([{}], dtype=object),
    "an array of 'V8' values": np.zeros(1, dtype="i4,f4"),
    "an array of structured values": Calls(
        np.dtype, "f4", False, True, state=(3, "<", None, ("a",), {}, 4, 4, 0)
    ),
    "bytes made of something": b"c__builtin__\nbytes\nI9\n\x85R.",
    "an array of other things than numbers": Calls(
        RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1,), np.dtype("f4"), False, [1.0])
    ),
    "an array without values": Calls(np.ndarray, (3,)),
    "a function to be altered": b"\x80\x04cnumpy\nndarray\n}b.",
    "text in the encoding 'zip'": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00"
    b"zip\x86R.",
    "a admitted by itself": [np.ndarray],
    "a dtype by itself": [np.dtype("f4")],
    "a set by itself": [{1, 2}],
}  # fmt: skip


@pytest.mark.parametrize("refused", FORGED)
def test_forged_pieces_are_refused(tmp_path, refused) -> None:
    with pytest.raises(UnsafePickleError) as caught:
        load_pickle(written(tmp_path, FORGED[refused]))
    assert f"asks for {refused}; nothing of it was run" in str(caught.value)


def test_a_container_in_itself_is_refused(tmp_path) -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(UnsafePickleError, match="a container that holds itself"):
        load_pickle(written(tmp_path, loop))


def test_a_tensor_that_looks_past_its_values_is_refused(tmp_path) -> None:
    path = written(tmp_path, Calls(REBUILD, FOUR, 2, (4,), (1,), False, None))
    with pytest.raises(FeatureImportError, match="is no pickle that can be read: RuntimeError"):
        load_pickle(path)


def test_an_object_dtype_that_calls_itself_numbers_is_refused(tmp_path) -> None:
    forged = Calls(np.dtype, "O8", False, True, state=(3, "|", None, None, None, -1, -1, 0))
    array = Calls(RECONSTRUCT, np.ndarray, (0,), b"b", state=(1, (1,), forged, False, b"A" * 8))
    with pytest.raises(UnsafePickleError, match="an array of 'O8' values"):
        load_pickle(written(tmp_path, array))


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x80\x04.", pickle.dumps(COUNT)[:-20], b"\x80\x04]b.", b"(" * 100],
)
def test_damage_is_an_error_that_names_the_file(tmp_path, content) -> None:
    with pytest.raises(FeatureImportError, match=r"some.pkl is no pickle that can be read"):
        load_pickle(written(tmp_path, content))


def test_every_cut_of_a_pickle_is_an_error(tmp_path) -> None:
    content = pickle.dumps({"a": COUNT, "b": TENSORS["float"]})
    for end in range(0, len(content), 7):
        with pytest.raises(FeatureImportError):
            load_pickle(written(tmp_path, content[:end]))


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(FeatureImportError, match=r"gone.pkl is no pickle that can be read"):
        load_pickle(tmp_path / "gone.pkl")
