"""How many CPUs this process was really granted."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def granted_cpus(environment: Mapping[str, str] | None = None) -> int:
    """Return OMP_NUM_THREADS if it is set, else the smaller of the CPU affinity and the cgroup's quota, at least 1.

    More threads than that only take turns; a quota of 1.5 CPUs gives 2, since the rest of a core is still of use.
    """
    wanted = (os.environ if environment is None else environment).get("OMP_NUM_THREADS", "").split(",")[0]
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    quota = cgroup_quota(CGROUP_ROOT, MEMBERSHIP)
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), quota)))


def cgroup_quota(root: Path, membership: Path) -> float:
    """Return the CPUs that cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`) allows; infinity without a limit.

    A limit may stand on any group above the process's own, so all of them are read. Kernel documentation:
    admin-guide/cgroup-v2.rst "CPU Interface Files", scheduler/sched-bwc.rst.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return math.inf
    least = math.inf
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            least = min(least, *(_quota_v2(group) for group in _groups(root, path)))
        elif "cpu" in controllers.split(","):
            for folder in (root / controllers, root / "cpu"):
                least = min(least, *(_quota_v1(group) for group in _groups(folder, path)))
    return least


def _groups(root: Path, path: str) -> list[Path]:
    inner = Path(path.lstrip("/"))
    return [root / inner, *(root / parent for parent in inner.parents), root]


def _quota_v2(group: Path) -> float:
    quota, period = _read(group / "cpu.max", "max 100000").split()[:2]
    return math.inf if quota == "max" else int(quota) / int(period)


def _quota_v1(group: Path) -> float:
    quota = int(_read(group / "cpu.cfs_quota_us", "-1"))
    return math.inf if quota <= 0 else quota / int(_read(group / "cpu.cfs_period_us", "100000"))


def _read(path: Path, absent: str) -> str:
    try:
        return path.read_text().strip() or absent
    except OSError:
        return absent
