"""Functions that really run in another process, as a replica runs them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lepton_ai.errors import JobFailed
from lepton_ai.sdk.function_call import pack_call, read_result


@dataclass
class Point:
    """A class of this test's module, which the replica cannot import."""

    x: int


@dataclass
class Ran:
    exit_code: int
    log: str
    result: Path


def run(folder: Path, call: bytes) -> Ran:
    work = folder / "work"
    work.mkdir(exist_ok=True)
    (folder / "call").write_bytes(call)
    done = subprocess.run(
        [sys.executable, "-m", "lepton_ai.node.function_runner", "../call", "../result.pickle"],
        cwd=work, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout + done.stderr, folder / "result.pickle")


def run_function(folder: Path, function: Callable[..., object], *args: object, **kwargs: object) -> Ran:
    return run(folder, pack_call(function, args, kwargs))


def test_a_function_gets_its_arguments_and_returns_its_value(tmp_path: Path) -> None:
    here = os.getpid()

    def add(a: Point, *, b: int) -> tuple[bool, int, Point]:
        print("adding")
        return os.getpid() != here, a.x + b, Point(7)

    ran = run_function(tmp_path, add, Point(2), b=3)

    assert ran.exit_code == 0
    assert ran.log == "adding\n"
    assert read_result(ran.result.read_bytes()) == (True, 5, Point(7))


def test_an_async_function_is_awaited(tmp_path: Path) -> None:
    async def later() -> str:
        await asyncio.sleep(0)
        return "done"

    assert read_result(run_function(tmp_path, later).result.read_bytes()) == "done"


def test_an_exception_is_printed_for_the_log_and_comes_back_without_our_own_frames(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("bad data in row 7")

    ran = run_function(tmp_path, fail)

    assert ran.exit_code == 1
    assert "Traceback (most recent call last)" in ran.log
    assert "lepton_ai" not in ran.log
    with pytest.raises(JobFailed, match=r"The function raised ValueError: bad data in row 7\n\nTraceback"):
        read_result(ran.result.read_bytes())


def test_a_value_that_cannot_be_pickled_is_explained_without_a_traceback(tmp_path: Path) -> None:
    ran = run_function(tmp_path, threading.Lock)

    assert ran.exit_code == 1
    assert "Traceback" not in ran.log
    with pytest.raises(JobFailed, match="its value of type lock cannot be sent back"):
        read_result(ran.result.read_bytes())


def test_a_value_beyond_the_limit_is_explained(tmp_path: Path) -> None:
    def large() -> bytes:
        return bytes(64 * 1024 * 1024)

    ran = run_function(tmp_path, large)

    assert ran.exit_code == 1
    assert "Write it to a file" in ran.log


def test_a_call_of_another_python_is_explained(tmp_path: Path) -> None:
    call = pack_call(print, [], {}).replace(
        f"lepton-call 1 3.{sys.version_info.minor}".encode(), b"lepton-call 1 3.2", 1
    )

    ran = run(tmp_path, call)

    assert ran.exit_code == 1
    assert "packed by Python 3.2, but this node runs" in ran.log
    assert "Traceback" not in ran.log


def test_a_file_that_is_no_call_is_explained(tmp_path: Path) -> None:
    assert "does not hold a call" in run(tmp_path, b"garbage").log


def test_the_exit_code_of_sys_exit_is_kept_and_leaves_an_error(tmp_path: Path) -> None:
    def leave() -> None:
        sys.exit(3)

    ran = run_function(tmp_path, leave)

    assert ran.exit_code == 3
    with pytest.raises(JobFailed, match="SystemExit: 3"):
        read_result(ran.result.read_bytes())


def test_leaving_with_success_but_without_a_value_is_a_failure(tmp_path: Path) -> None:
    ran = run_function(tmp_path, sys.exit)

    assert ran.exit_code == 1
    with pytest.raises(JobFailed, match="instead of returning a value"):
        read_result(ran.result.read_bytes())


def test_modules_of_the_working_directory_can_be_imported(tmp_path: Path) -> None:
    def use() -> object:
        import only_in_the_bundle  # type: ignore[import-not-found]

        return only_in_the_bundle.ANSWER

    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "only_in_the_bundle.py").write_text("ANSWER = 42\n")

    assert read_result(run_function(tmp_path, use).result.read_bytes()) == 42


def test_nothing_but_the_result_is_left_beside_the_call(tmp_path: Path) -> None:
    run_function(tmp_path, len, "abc")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["call", "result.pickle", "work"]
