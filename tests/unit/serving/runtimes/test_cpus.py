"""How many CPUs a process may use, read from folders laid out as the kernel does."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lepton_ai.serving.runtimes.cpus import cgroup_quota, granted_cpus


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_quota_of_cgroup_v2_is_read_also_from_a_group_above(tmp_path: Path) -> None:
    write(tmp_path / "membership", "0::/lepton/replica-1\n")
    write(tmp_path / "root/lepton/cpu.max", "150000 100000\n")
    write(tmp_path / "root/lepton/replica-1/cpu.max", "max 100000\n")
    assert cgroup_quota(tmp_path / "root", tmp_path / "membership") == 1.5


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
def test_the_quota_of_cgroup_v1_is_read(tmp_path: Path, folder: str) -> None:
    write(tmp_path / "membership", "9:memory:/other\n4:cpu,cpuacct:/lepton\n")
    write(tmp_path / "root" / folder / "lepton/cpu.cfs_quota_us", "50000\n")
    write(tmp_path / "root" / folder / "lepton/cpu.cfs_period_us", "100000\n")
    assert cgroup_quota(tmp_path / "root", tmp_path / "membership") == 0.5


def test_no_limit_is_no_quota(tmp_path: Path) -> None:
    write(tmp_path / "membership", "4:cpu,cpuacct:/\n0::/\n")
    write(tmp_path / "root/cpu/cpu.cfs_quota_us", "-1\n")
    assert cgroup_quota(tmp_path / "root", tmp_path / "membership") == math.inf


def test_a_system_without_cgroups_is_no_quota(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path, tmp_path / "absent") == math.inf


def test_omp_num_threads_decides_where_it_is_set() -> None:
    assert granted_cpus({"OMP_NUM_THREADS": "7"}) == 7
    assert granted_cpus({"OMP_NUM_THREADS": "3,2"}) == 3


@pytest.mark.parametrize("nonsense", ["", "0", "-1", "many"])
def test_a_senseless_omp_num_threads_is_passed_over(nonsense: str) -> None:
    assert granted_cpus({"OMP_NUM_THREADS": nonsense}) == granted_cpus({})
    assert granted_cpus({}) >= 1
