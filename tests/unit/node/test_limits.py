"""Which control groups are found, and what is written into them."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from lepton_ai.node.limits import Ceiling, detect_in

CEILING = Ceiling(memory_bytes=100_000_000, cpu_milli=1500, processes=64)


def version_2(folder: Path, controllers: str = "cpuset cpu io memory pids") -> str:
    """Lay out the top of a version 2 hierarchy as the kernel shows it; return its line in mountinfo."""
    for group in (folder, folder / "lepton"):
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.controllers").write_text(f"{controllers}\n")
        (group / "cgroup.subtree_control").write_text("")
    for file in ("memory.swap.max", "memory.oom.group"):
        (folder / "lepton" / file).write_text("")
    return f"31 23 0:27 / {folder} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def version_1(folder: Path, *hierarchies: str) -> str:
    lines = []
    for number, controllers in enumerate(hierarchies):
        (folder / controllers).mkdir(parents=True)
        lines.append(f"{number} 23 0:27 / {folder / controllers} rw - cgroup cgroup rw,{controllers}\n")
    return "".join(lines)


def test_version_2_is_taken_where_its_controllers_may_be_handed_down(tmp_path: Path) -> None:
    limits = detect_in(version_2(tmp_path / "top"), "0::/\n", "me")
    plan = limits.plan("a-0", CEILING)

    (group,) = plan.groups
    assert limits.sentence == "cgroup-v2: memory, cpu, processes"
    assert (tmp_path / "top" / "lepton" / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert group.folder == str(tmp_path / "top" / "lepton" / "me-a-0")
    assert dict(group.settings) == {
        "memory.max": "100000000",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "cpu.max": "150000 100000",
        "pids.max": "64",
    }
    assert group.join.endswith("/cgroup.procs")
    assert plan.rlimits == ()


def test_our_own_group_goes_before_the_top_so_that_its_limits_hold_too(tmp_path: Path) -> None:
    mounts = version_2(tmp_path / "top")
    version_2(tmp_path / "top" / "ours")

    limits = detect_in(mounts, "0::/ours\n", "me")

    assert limits.parents["memory"] == str(tmp_path / "top" / "ours" / "lepton")


def test_version_1_is_taken_where_version_2_has_no_memory(tmp_path: Path) -> None:
    mounts = version_2(tmp_path / "unified", "hugetlb") + version_1(tmp_path, "memory", "cpu,cpuacct", "pids")
    own = "4:memory:/\n3:cpu,cpuacct:/\n2:pids:/\n0::/\n"

    limits = detect_in(mounts, own, "me")
    plan = limits.plan("a-0", CEILING)

    assert limits.sentence == "cgroup-v1: memory, cpu, processes"
    assert [Path(group.folder).relative_to(tmp_path).parts[0] for group in plan.groups] == [
        "memory",
        "cpu,cpuacct",
        "pids",
    ]
    assert dict(plan.groups[1].settings) == {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"}
    assert {Path(group.join).name for group in plan.groups} == {"tasks"}


def test_what_no_group_holds_is_watched(tmp_path: Path) -> None:
    limits = detect_in(version_1(tmp_path, "pids"), "2:pids:/\n", "me")
    plan = limits.plan("a-0", CEILING)

    assert limits.sentence == "cgroup-v1: processes; rlimit: memory watched every 0.5 s; cpu not held"
    assert (plan.watched_memory_bytes, plan.watched_processes) == (100_000_000, 0)
    assert [which for which, _ in plan.rlimits] == [resource.RLIMIT_DATA]


@pytest.mark.parametrize("mounts", ["", "22 1 0:5 / /proc rw - proc proc rw\n"])
def test_a_machine_without_control_groups_watches(mounts: str) -> None:
    limits = detect_in(mounts, "0::/\n", "me")

    assert limits.version == 0
    assert limits.sentence == "rlimit: memory and processes watched every 0.5 s; cpu not held"
    assert limits.plan("a-0", CEILING).groups == ()


def test_a_group_in_which_none_can_be_made_is_not_taken(tmp_path: Path) -> None:
    mounts = version_1(tmp_path, "memory")
    (tmp_path / "memory").rmdir()
    (tmp_path / "memory").write_text("a file, where no folder can be made")

    assert detect_in(mounts, "4:memory:/\n", "me").parents == {}


def test_a_tiny_share_of_a_cpu_is_the_least_that_the_kernel_takes(tmp_path: Path) -> None:
    limits = detect_in(version_2(tmp_path / "top"), "0::/\n", "me")

    (group,) = limits.plan("a-0", Ceiling(10**6, 1, 1)).groups

    assert dict(group.settings)["cpu.max"] == "1000 100000"


def test_probing_leaves_nothing_behind(tmp_path: Path) -> None:
    detect_in(version_1(tmp_path, "memory"), "4:memory:/\n", "me")

    assert os.listdir(tmp_path / "memory" / "lepton") == []
