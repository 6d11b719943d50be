"""Ends what a replica left behind whose supervisor was killed and could not do it."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from lepton_ai.node.supervisor.plain_file import read_plain
from lepton_ai.node.supervisor.remains import remove_groups

FOLDER_VARIABLE = "LEPTON_REPLICA_FOLDER"  # every process of a replica inherits it, whatever session it moves to
END_SECONDS_MAX = 10.0
PAUSE_SECONDS = 0.01
PROCS_BYTES_MAX = 1 << 20
_log = logging.getLogger(__name__)


def end_leftovers(folder: Path, groups: Sequence[str]) -> bool:
    """Kill every process of the replica in `folder`, remove its control groups, and tell whether all are gone.

    They are found by their control groups, and by the variable in their environment where there are none.
    """
    deadline = time.monotonic() + END_SECONDS_MAX
    while left := _grouped(groups) | _marked(folder):
        if time.monotonic() > deadline:
            _log.warning("leftover processes could not be ended", extra={"folder": str(folder), "pids": sorted(left)})
            return False
        for pid in left:
            _kill(pid)
        time.sleep(PAUSE_SECONDS)
    remove_groups(list(groups))
    return True


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _grouped(groups: Sequence[str]) -> set[int]:
    found: set[int] = set()
    for group in groups:
        try:
            pids = [int(word) for word in read_plain(f"{group}/cgroup.procs", PROCS_BYTES_MAX).split()]
        except (OSError, ValueError):
            continue
        found.update(pid for pid in pids if pid > 0)  # 0 and less would mean whole process groups, our own included
    return found - {os.getpid()}


def _marked(folder: Path) -> set[int]:
    mark = b"\0" + os.fsencode(f"{FOLDER_VARIABLE}={folder}") + b"\0"
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            environment = Path("/proc", name, "environ").read_bytes()
        except OSError:
            continue
        if mark in b"\0" + environment:
            found.add(int(name))
    return found - {os.getpid()}
