"""Packing a function and reading what it returned; the replica's side is tests/integration/test_function_runner.py."""

from __future__ import annotations

import importlib.util
import pickle
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from lepton_ai.errors import InvalidInput, JobFailed, TooLarge
from lepton_ai.sdk.function_call import CALL_BYTES_MAX, pack_call, read_result

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def local_module(tmp_path: Path) -> ModuleType:
    (tmp_path / "local_module_of_a_test.py").write_text("FACTOR = 3\ndef triple(x):\n    return FACTOR * x\n")
    spec = importlib.util.spec_from_file_location("local_module_of_a_test", tmp_path / "local_module_of_a_test.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def test_a_function_of_a_local_module_travels_by_value(local_module: ModuleType) -> None:
    header, _, pickled = pack_call(local_module.triple, [2], {}).partition(b"\n")
    del sys.modules[local_module.__name__]

    function, args, kwargs = pickle.loads(pickled)

    assert header == f"lepton-call 1 {PYTHON}".encode()
    assert function(*args, **kwargs) == 6


def test_what_is_installed_travels_by_name() -> None:
    assert len(pack_call(pytest.approx, [1], {})) < 300


def test_an_argument_that_cannot_be_sent_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"Argument 'lock' of type lock cannot be sent"):
        pack_call(print, [1], {"lock": threading.Lock()})


def test_a_function_that_holds_something_that_cannot_be_sent_is_named() -> None:
    lock = threading.Lock()

    def locked_up() -> bool:
        return lock.locked()

    with pytest.raises(InvalidInput, match=r"The function .*locked_up with what it refers to"):
        pack_call(locked_up, [], {})


def test_arguments_beyond_the_limit_are_refused() -> None:
    with pytest.raises(TooLarge, match=r"67\.1 MB allowed"):
        pack_call(print, [bytes(CALL_BYTES_MAX)], {})


def test_something_that_is_not_a_function_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be called"):
        pack_call(3, [], {})  # type: ignore[arg-type]


def test_a_value_is_read_back() -> None:
    assert read_result(pickle.dumps(("value", PYTHON, pickle.dumps({"a": 1})))) == {"a": 1}


def test_an_error_is_raised_with_the_remote_traceback() -> None:
    summary = {"type": "ValueError", "message": "bad", "traceback": "Traceback ...\nValueError: bad\n"}

    with pytest.raises(JobFailed, match=r"raised ValueError: bad\n\nTraceback"):
        read_result(pickle.dumps(("error", PYTHON, summary)))


def test_a_value_of_another_python_is_refused_unread() -> None:
    with pytest.raises(JobFailed, match=r"made by Python 2\.7"):
        read_result(pickle.dumps(("value", "2.7", b"not a pickle")))


def test_a_value_whose_class_is_not_here_is_refused_with_the_next_step() -> None:
    with pytest.raises(JobFailed, match="ModuleNotFoundError") as failure:
        read_result(pickle.dumps(("value", PYTHON, b"cnot_installed_here\nThing\n.")))

    assert "Install" in failure.value.hint


def test_a_result_that_is_cut_is_refused() -> None:
    with pytest.raises(JobFailed, match="cut or altered"):
        read_result(pickle.dumps(("value", PYTHON, b"x"))[:-5])
