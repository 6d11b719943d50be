"""The ceilings that control groups (v1 or v2) put on this process: a container's real size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lepton_ai.node.hardware.probe import Probe

ROOT = "/sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The tightest limit among a group and its ancestors, and the folder that sets it; 0 and "" if there is none."""

    amount: float = 0.0
    folder: str = ""


def cpu_ceiling(probe: Probe) -> Ceiling:
    """Return how many CPUs' worth of time this process and its siblings may use."""
    ceilings = []
    for folder in _folders(probe, "cpu"):
        quota, _, period = probe.read(f"{folder}/cpu.max").partition(" ")  # v2: "200000 100000" or "max 100000"
        quota = quota or probe.read(f"{folder}/cpu.cfs_quota_us")  # v1: -1 means none
        period = period or probe.read(f"{folder}/cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0:
            ceilings.append(Ceiling(int(quota) / int(period), folder))
    return min(ceilings, key=lambda ceiling: ceiling.amount, default=Ceiling())


def memory_ceiling(probe: Probe) -> Ceiling:
    """Return the bytes that this process and its siblings may use."""
    ceilings = []
    for folder in _folders(probe, "memory"):
        limit = probe.read(f"{folder}/memory.max") or probe.read(f"{folder}/memory.limit_in_bytes")
        # v1 says "none" as 2^63 less a page.
        if limit.isdigit() and 0 < int(limit) < 2**62:
            ceilings.append(Ceiling(int(limit), folder))
    return min(ceilings, key=lambda ceiling: ceiling.amount, default=Ceiling())


def memory_used(probe: Probe, folder: str) -> int:
    """Return the bytes that a group uses, without the file cache that the kernel would drop first; -1 if unknown."""
    used = probe.read(f"{folder}/memory.current") or probe.read(f"{folder}/memory.usage_in_bytes")
    if not used.isdigit():
        return -1
    statistics = dict(line.split(" ", 1) for line in probe.read(f"{folder}/memory.stat").splitlines() if " " in line)
    cache = statistics.get("total_inactive_file") or statistics.get("inactive_file", "0")
    return max(0, int(used) - int(cache))


def cpu_seconds(probe: Probe, folder: str) -> float:
    """Return the CPU time that a group has used so far; -1 if unknown."""
    for line in probe.read(f"{folder}/cpu.stat").splitlines():
        if line.startswith("usage_usec "):
            return int(line.split()[1]) / 1e6
    # v1 counts time in a hierarchy of its own unless cpu and cpuacct are mounted together.
    for used in (folder, f"{ROOT}/cpuacct{folder.removeprefix(f'{ROOT}/cpu')}"):
        nanoseconds = probe.read(f"{used}/cpuacct.usage")
        if nanoseconds.isdigit():
            return int(nanoseconds) / 1e9
    return -1.0


def _folders(probe: Probe, controller: str) -> Iterator[str]:
    """Yield the group's folder and its ancestors up to the root of the hierarchy.

    In a container with its own view, the path of /proc/self/cgroup may not exist; the root then is the group itself.
    """
    for line in probe.read("/proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "" and number == "0":
            bases = [ROOT]
        elif controller in controllers.split(","):
            bases = [f"{ROOT}/{controllers}", f"{ROOT}/{controller}"]
        else:
            continue
        steps = [step for step in path.split("/") if step and step != ".."]
        for base in dict.fromkeys(bases):
            yield from ("/".join([base, *steps[:depth]]) for depth in range(len(steps), -1, -1))
