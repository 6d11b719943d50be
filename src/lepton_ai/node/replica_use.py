"""Measures what a running replica uses: from its control groups, or from its processes where there are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from lepton_ai.node.supervisor.outcome import counter, number_in


@dataclass(frozen=True, slots=True)
class ReplicaUse:
    """What one replica has used since it started; memory is what it holds now, without reclaimable file pages."""

    cpu_seconds: float
    memory_bytes: int
    wall_seconds: float


def measure_use(supervisor: int, meters: Mapping[str, str], wall_seconds: float) -> ReplicaUse:
    """Return what the replica under the process `supervisor` uses; zeros if it has just ended."""
    if "memory" in meters and "cpu" in meters:
        return ReplicaUse(_cpu_seconds(meters["cpu"]), _memory_bytes(meters["memory"], meters["stat"]), wall_seconds)
    cpu_seconds, memory_bytes = _processes(supervisor)
    return ReplicaUse(cpu_seconds, memory_bytes, wall_seconds)


def _cpu_seconds(path: str) -> float:
    if Path(path).name == "cpu.stat":
        return counter(path, "usage_usec") / 1e6
    return number_in(path) / 1e9


def _memory_bytes(held: str, stat: str) -> int:
    reclaimable = counter(stat, "total_inactive_file") or counter(stat, "inactive_file")
    return max(0, number_in(held) - reclaimable)


def _processes(supervisor: int) -> tuple[float, int]:
    cpu_seconds, memory_bytes = 0.0, 0
    try:
        processes = psutil.Process(supervisor).children(recursive=True)
    except psutil.Error:
        return 0.0, 0
    for process in processes:
        try:
            times, memory = process.cpu_times(), process.memory_info()
        except psutil.Error:
            continue
        cpu_seconds += times.user + times.system + times.children_user + times.children_system
        memory_bytes += memory.rss - memory.shared
    return cpu_seconds, memory_bytes
