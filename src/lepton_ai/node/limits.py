"""How this machine holds replicas to their memory, CPU and number of processes: control groups, or watching."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lepton_ai.node.supervisor.watch import INTERVAL_SECONDS

BASE = "lepton"
PERIOD_MICROSECONDS = 100_000  # the kernel's own default
QUOTA_MICROSECONDS_MIN = 1_000  # the kernel refuses less: 0.01 of a CPU
V1_CONTROLLERS = ("memory", "cpu", "pids", "cpuacct")
V2_CONTROLLERS = ("memory", "cpu", "pids")
OPTIONAL = frozenset({"memory.memsw.limit_in_bytes", "memory.swap.max", "memory.oom.group"})  # as the kernel was built
WORDS = {"memory": "memory", "cpu": "cpu", "pids": "processes"}
# A backstop against what is allocated between two looks. Programs reserve far more than they use (8 MB
# for the stack of each thread), so the limit itself would refuse programs that keep well below it.
DATA_FACTOR = 2
DATA_SPARE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What one replica may use at most."""

    memory_bytes: int
    cpu_milli: int
    processes: int


@dataclass(frozen=True, slots=True)
class Group:
    """One control group to make: its folder, what to write into which file, and the file to join by."""

    folder: str
    settings: tuple[tuple[str, str], ...]
    join: str


@dataclass(frozen=True, slots=True)
class LimitPlan:
    """What the supervisor shall do to hold one replica. `meters` are the files that tell what it uses."""

    sentence: str
    groups: tuple[Group, ...] = ()
    meters: Mapping[str, str] = field(default_factory=dict)
    watched_memory_bytes: int = 0
    watched_processes: int = 0
    rlimits: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """The mechanism that was found: `parents` maps a controller to the folder under which groups are made."""

    version: int  # 1 or 2, 0 without control groups
    parents: Mapping[str, str]
    instance: str  # keeps the groups of two cores on one machine apart

    @property
    def sentence(self) -> str:
        """Say what holds, such as "cgroup-v1: memory, cpu, processes"."""
        held = [word for controller, word in WORDS.items() if controller in self.parents]
        parts = [f"cgroup-v{self.version}: {', '.join(held)}"] if held else []
        watched = [WORDS[name] for name in ("memory", "pids") if name not in self.parents]
        if watched:
            parts.append(f"rlimit: {' and '.join(watched)} watched every {INTERVAL_SECONDS:g} s")
        if "cpu" not in self.parents:
            parts.append("cpu not held")
        return "; ".join(parts)

    def plan(self, replica_id: str, ceiling: Ceiling) -> LimitPlan:
        """Return how to hold `replica_id` to `ceiling`."""
        name = f"{self.instance}-{replica_id}"
        groups = _groups(self, name, ceiling)
        watches_memory, watches_processes = "memory" not in self.parents, "pids" not in self.parents
        rlimits = []
        if watches_memory:
            rlimits.append((resource.RLIMIT_DATA, ceiling.memory_bytes * DATA_FACTOR + DATA_SPARE_BYTES))
        return LimitPlan(
            sentence=self.sentence,
            groups=groups,
            meters=_meters(self, name),
            watched_memory_bytes=ceiling.memory_bytes if watches_memory else 0,
            watched_processes=ceiling.processes if watches_processes else 0,
            rlimits=tuple(rlimits),
        )


def detect_limits(state_folder: Path, *, may_use_cgroups: bool = True) -> Limits:
    """Find the control groups in which this process may make others, by making one. Never raises for their absence."""
    instance = hashlib.sha256(os.fsencode(state_folder.absolute())).hexdigest()[:8]
    if not may_use_cgroups:
        return Limits(0, {}, instance)
    mounts = Path("/proc/self/mountinfo").read_text()
    own = Path("/proc/self/cgroup").read_text()
    return detect_in(mounts, own, instance)


def detect_in(mounts: str, own: str, instance: str) -> Limits:
    """Do what `detect_limits` does, from the texts of /proc/self/mountinfo and /proc/self/cgroup."""
    paths = {
        controller: path
        for _, names, path in (line.split(":", 2) for line in own.splitlines() if line.count(":") >= 2)
        for controller in names.split(",")
    }
    unified, version_1 = _mounts(mounts)
    for folder in _candidates(unified, paths.get("", "/")):
        if parent := _usable_v2(folder):
            return Limits(2, dict.fromkeys(V2_CONTROLLERS, parent), instance)
    found = {}
    for controller in V1_CONTROLLERS:
        for folder in _candidates(version_1.get(controller, ""), paths.get(controller, "/")):
            if parent := _usable(folder):
                found[controller] = parent
                break
    return Limits(1 if found else 0, found, instance)


def _mounts(text: str) -> tuple[str, dict[str, str]]:
    """Return where the version 2 hierarchy and each version 1 controller are mounted (proc(5), mountinfo)."""
    unified = ""
    version_1: dict[str, str] = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        mount, kind = left.split()[4], right.split()[0]
        if kind == "cgroup2":
            unified = unified or mount
        elif kind == "cgroup":
            for controller in right.split()[2].split(","):
                version_1.setdefault(controller, mount)
    return unified, version_1


def _candidates(mount: str, own: str) -> list[str]:
    """Return where to try: below our own group, so that its limits hold for replicas too, then at the top."""
    if not mount:
        return []
    return list(dict.fromkeys((f"{mount}{own.rstrip('/')}", mount)))


def _usable(folder: str) -> str:
    base = f"{folder}/{BASE}"
    try:
        os.makedirs(base, exist_ok=True)
        probe = f"{base}/probe-{os.getpid()}"
        os.mkdir(probe)
        os.rmdir(probe)
    except OSError:
        return ""
    return base


def _usable_v2(folder: str) -> str:
    """Hand the controllers down to our base folder; the kernel refuses in a group that holds processes itself."""
    try:
        offered = Path(folder, "cgroup.controllers").read_text().split()
        if not set(V2_CONTROLLERS) <= set(offered):
            return ""
        wanted = " ".join(f"+{controller}" for controller in V2_CONTROLLERS)
        Path(folder, "cgroup.subtree_control").write_text(wanted)
        base = _usable(folder)
        if base:
            Path(base, "cgroup.subtree_control").write_text(wanted)
    except OSError:
        return ""
    return base


def _groups(limits: Limits, name: str, ceiling: Ceiling) -> tuple[Group, ...]:
    settings = _settings_v2 if limits.version == 2 else _settings_v1
    join = "cgroup.procs" if limits.version == 2 else "tasks"
    folders: dict[str, list[tuple[str, str]]] = {}
    for controller, parent in limits.parents.items():  # cpu and cpuacct are one folder on most machines
        wanted = settings(controller, ceiling)
        present = [pair for pair in wanted if pair[0] not in OPTIONAL or os.path.exists(f"{parent}/{pair[0]}")]
        folders.setdefault(f"{parent}/{name}", []).extend(present)
    return tuple(Group(folder, tuple(values), f"{folder}/{join}") for folder, values in folders.items())


def _settings_v1(controller: str, ceiling: Ceiling) -> list[tuple[str, str]]:
    if controller == "memory":
        amount = str(ceiling.memory_bytes)  # The sum with swap may not be below the first, so the order matters.
        return [(file, amount) for file in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")]
    if controller == "cpu":
        return [("cpu.cfs_period_us", str(PERIOD_MICROSECONDS)), ("cpu.cfs_quota_us", str(_quota(ceiling)))]
    return [("pids.max", str(ceiling.processes))] if controller == "pids" else []


def _settings_v2(controller: str, ceiling: Ceiling) -> list[tuple[str, str]]:
    if controller == "memory":
        return [("memory.max", str(ceiling.memory_bytes)), ("memory.swap.max", "0"), ("memory.oom.group", "1")]
    if controller == "cpu":
        return [("cpu.max", f"{_quota(ceiling)} {PERIOD_MICROSECONDS}")]
    return [("pids.max", str(ceiling.processes))]


def _quota(ceiling: Ceiling) -> int:
    return max(QUOTA_MICROSECONDS_MIN, ceiling.cpu_milli * PERIOD_MICROSECONDS // 1000)


def _meters(limits: Limits, name: str) -> dict[str, str]:
    if limits.version == 2:
        folder = f"{limits.parents['memory']}/{name}"
        files = {
            "oom": "memory.events", "peak": "memory.peak", "memory": "memory.current", "stat": "memory.stat",
            "cpu": "cpu.stat", "procs": "cgroup.procs", "kill": "cgroup.kill",
        }  # fmt: skip
        return {meter: f"{folder}/{file}" for meter, file in files.items()}
    meters = {}
    if "memory" in limits.parents:
        folder = f"{limits.parents['memory']}/{name}"
        meters = {
            "oom": f"{folder}/memory.oom_control", "peak": f"{folder}/memory.max_usage_in_bytes",
            "memory": f"{folder}/memory.usage_in_bytes", "stat": f"{folder}/memory.stat",
        }  # fmt: skip
    if "cpuacct" in limits.parents:
        meters["cpu"] = f"{limits.parents['cpuacct']}/{name}/cpuacct.usage"
    if limits.parents:
        meters["procs"] = f"{next(iter(limits.parents.values()))}/{name}/cgroup.procs"
    return meters
