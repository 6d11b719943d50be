"""Ends whatever a replica has left behind, so that a finished replica means that nothing of it runs."""

import os
import time

from . import signals
from .command import write_file

END_SECONDS_MAX = 10.0  # a process that the kernel cannot end (waiting for a dead disk) must not hold the rest up
PAUSE_SECONDS = 0.002
REMOVE_TRIES = 50


def signal_group(pid: int, number: int) -> None:
    """Send a signal to the process group of `pid`, if there still is one."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def end_all(meters: dict[str, str]) -> bool:
    """Kill and reap every descendant of this process; tell whether all are gone.

    Descendants whose parents ended have become children of this process, so "no child left" means "nobody left".
    """
    deadline = time.monotonic() + END_SECONDS_MAX
    while time.monotonic() < deadline:
        if not _reap():
            return True
        for pid in _grouped(meters) or _children():
            try:
                os.kill(pid, signals.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(PAUSE_SECONDS)
    return False


def remove_groups(folders: list[str]) -> None:
    """Remove the control groups; one that is still busy for a moment is tried again."""
    for folder in folders:
        for _ in range(REMOVE_TRIES):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(PAUSE_SECONDS)
            else:
                break


def parents() -> dict[int, int]:
    """Return the parent of every process of this machine."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fd = os.open(f"/proc/{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            found[int(name)] = int(os.read(fd, 1024).rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
        finally:
            os.close(fd)
    return found


def _reap() -> bool:
    """Collect every child that has ended; tell whether others are left."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True


def _grouped(meters: dict[str, str]) -> list[int]:
    if not meters.get("procs"):
        return []
    try:
        if meters.get("kill"):
            write_file(meters["kill"], b"1")
        with open(meters["procs"]) as file:
            return [int(line) for line in file]
    except OSError:
        return []


def _children() -> list[int]:
    me = os.getpid()
    return [pid for pid, parent in parents().items() if parent == me]
