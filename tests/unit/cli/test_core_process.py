"""Finding the core's process, and what is said of one that did not start."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton_ai.cli.core_process import CORE_MODULE, StartingCore, find_core, is_held, start_core, wait_for_end
from lepton_ai.errors import StorageFailed
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.types.base import to_rfc3339


def announce(home: Path, pid: int, started_at: str) -> None:
    said = {"pid": pid, "url": "https://127.0.0.1:8443", "version": "1", "started_at": started_at}
    (home / "core.json").write_text(json.dumps(said))


@pytest.fixture
def core() -> Iterator[subprocess.Popen[bytes]]:
    """A process that carries the core's name in its command line."""
    program = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, CORE_MODULE], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # for a moment after it is made, a process has no command line yet
        yield process
        process.kill()


def test_a_core_that_lives_is_found(tmp_path: Path, core: subprocess.Popen[bytes]) -> None:
    announce(tmp_path, core.pid, to_rfc3339(SystemClock().now()))
    found = find_core(tmp_path)
    assert found is not None
    assert (found.pid, found.url, found.version) == (core.pid, "https://127.0.0.1:8443", "1")


def test_a_process_that_got_the_number_later_is_not_the_core(tmp_path: Path, core: subprocess.Popen[bytes]) -> None:
    announce(tmp_path, core.pid, "2020-01-01T00:00:00.000000Z")
    assert find_core(tmp_path) is None


def test_a_process_of_another_program_is_not_the_core(tmp_path: Path) -> None:
    announce(tmp_path, os.getpid(), to_rfc3339(SystemClock().now()))
    assert find_core(tmp_path) is None


def test_a_core_that_was_killed_is_not_found(tmp_path: Path, core: subprocess.Popen[bytes]) -> None:
    announce(tmp_path, core.pid, to_rfc3339(SystemClock().now()))
    core.kill()
    core.wait()
    assert find_core(tmp_path) is None
    assert wait_for_end(core.pid, 0)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"pid": "x"}', "\0"])
def test_a_file_that_says_nothing_is_no_core(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "core.json").write_text(content or "")
    assert find_core(tmp_path) is None


def test_a_process_that_does_not_end_is_told_of(core: subprocess.Popen[bytes]) -> None:
    assert not wait_for_end(core.pid, 0)


def test_a_folder_is_held_while_somebody_locks_it(tmp_path: Path) -> None:
    lock = tmp_path / "core.lock"
    assert not is_held(tmp_path)
    with lock.open("w") as file:
        assert not is_held(tmp_path)
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(StorageFailed, match="cannot be written"):
        start_core(Path("/proc/nowhere"), {})


@pytest.mark.parametrize(
    ("log", "message", "hint"),
    [
        ("INFO old\nError: Port 1 is taken.\nHint: Choose another.\n", "Port 1 is taken.", "Choose another."),
        ("Error: The disk is full.\nINFO end\n", "The disk is full.", "See {log}."),
        ("Traceback\nKeyError: 'a'\n", "KeyError: 'a'", "See {log}."),
        ("", "The core ended with exit code 3 and said nothing.", "See {log}."),
    ],
)
def test_the_cores_own_words_are_its_failure(tmp_path: Path, log: str, message: str, hint: str) -> None:
    before = "Error: From the start before this one.\n"
    (tmp_path / "core.log").write_text(before + log)
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    process.wait()
    failure = StartingCore(process, tmp_path / "core.log", len(before)).failure()
    assert (failure.message, failure.hint) == (message, hint.format(log=tmp_path / "core.log"))
