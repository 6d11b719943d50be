"""The lock between threads and processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lepton_ai.node.file_lock import locked


def test_a_second_holder_is_refused_and_may_have_it_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with locked(path), locked(path, wait=False) as second:
        during = second
    with locked(path, wait=False) as third:
        after = third

    assert during is None
    assert after is not None


def test_shared_holders_do_not_exclude_one_another_but_exclude_a_single_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with locked(path, shared=True), locked(path, shared=True, wait=False) as second, locked(path, wait=False) as single:
        held = (second, single)

    assert held[0] is not None
    assert held[1] is None


def test_a_lock_file_that_its_holder_removes_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with locked(path):
        path.unlink()
    with locked(path) as held:
        is_there = path.exists()

    assert held is not None
    assert is_there


def test_a_child_that_inherits_the_descriptor_keeps_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path) as held:
        assert held is not None
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(held,)
        )
    with locked(path, wait=False) as second:
        while_alive = second
    child.communicate(timeout=30)
    with locked(path, wait=False) as third:
        after = third

    assert while_alive is None
    assert after is not None
