"""Watches a replica's memory and processes where no control group can hold them."""

import os

from .remains import parents

INTERVAL_SECONDS = 0.5
PAGE = os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Looks at the process tree below this process; `peak_memory_bytes` is the most it ever saw."""

    def __init__(self, memory_bytes: int, processes: int) -> None:
        self.peak_memory_bytes = 0
        self._memory_bytes = memory_bytes
        self._processes = processes

    @property
    def is_needed(self) -> bool:
        return bool(self._memory_bytes or self._processes)

    def look(self) -> tuple[str, str]:
        """Return what is exceeded, as an exit kind and a sentence, or two empty strings."""
        memory = threads = 0
        for pid in _descendants():
            resident, tasks = _size(pid)
            memory += resident
            threads += tasks
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory)
        if self._memory_bytes and memory > self._memory_bytes:
            return "out_of_memory", f"The replica held {memory} bytes of memory; its limit is {self._memory_bytes}."
        if self._processes and threads > self._processes:
            return "failed", f"The replica ran {threads} processes and threads; its limit is {self._processes}."
        return "", ""


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    pending = [os.getpid()]
    while pending:
        below = children.get(pending.pop(), [])
        found.extend(below)
        pending.extend(below)
    return found


def _size(pid: int) -> tuple[int, int]:
    """Return resident bytes without pages shared with files, and the number of threads (proc(5), statm and stat)."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            resident, shared = file.read().split()[1:3]
        with open(f"/proc/{pid}/stat") as file:
            threads = file.read().rpartition(")")[2].split()[17]
    except (OSError, ValueError):
        return 0, 0
    return (int(resident) - int(shared)) * PAGE, int(threads)
