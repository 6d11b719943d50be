"""A disk that is really full: a memory file system of one megabyte."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lepton_ai.types.task import ExitKind
from tests.integration.local_runtime.machine import Machine

PRINT_4_MB = "import sys\nfor n in range(40): sys.stdout.write('x' * 99_999 + '\\n')"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "runtime"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_replica_that_fills_the_disk_ends_well_and_its_exit_is_recorded(
    small_disk: Path, make_machine: Callable[..., Machine]
) -> None:
    machine = make_machine(log_bytes_max=64 * 1024 * 1024)

    exited = machine.run("a", "python3", "-c", PRINT_4_MB)

    assert exited.kind is ExitKind.SUCCEEDED
    assert "could not be written: No space left on device" in exited.sentence
    assert make_machine().replica("a").exit == exited


def test_a_start_on_a_full_disk_ends_as_not_started_and_works_once_there_is_room(
    small_disk: Path, make_machine: Callable[..., Machine]
) -> None:
    machine = make_machine()
    filler = small_disk / "filler"
    filler.write_bytes(bytes(1000 * 1024))
    with filler.open("ab", buffering=0) as file:
        file.write(bytes(24 * 1024))

    refused = machine.run("a", "true")
    filler.unlink()

    assert refused.kind is ExitKind.NOT_STARTED
    assert machine.run("b", "true").kind is ExitKind.SUCCEEDED
