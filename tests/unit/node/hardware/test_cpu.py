"""CPU, memory and their ceilings from captured files of /proc and /sys."""

from __future__ import annotations

import pytest

from lepton_ai.node.hardware.cgroup import cpu_ceiling, cpu_seconds, memory_ceiling, memory_used
from lepton_ai.node.hardware.cpu import cpu_class, read_cpu
from lepton_ai.node.hardware.detect import read_memory
from tests.unit.node.hardware.captured import CapturedProbe, capture

MEMINFO = "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:   4096 kB"
V2 = {"/proc/self/cgroup": "0::/system.slice/lepton.service"}
V1 = {"/proc/self/cgroup": "5:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n0::/"}


def topology(*places: tuple[int, int]) -> dict[str, str]:
    files: dict[str, str] = {}
    for number, (package, core) in enumerate(places):
        folder = f"/sys/devices/system/cpu/cpu{number}/topology"
        files |= {f"{folder}/physical_package_id": str(package), f"{folder}/core_id": str(core)}
    return files


def test_sockets_cores_and_threads_are_those_in_the_affinity_mask() -> None:
    files = {"/proc/cpuinfo": capture("cpuinfo-epyc.txt"), **topology((0, 0), (0, 1), (1, 0), (1, 1), (0, 0), (0, 1))}
    every = read_cpu(CapturedProbe(files=files, allowed=frozenset(range(6))), "x86_64")
    assert (every.sockets, every.cores, every.threads) == (2, 4, 6)
    some = read_cpu(CapturedProbe(files=files, allowed=frozenset({0, 4})), "x86_64")
    assert (some.sockets, some.cores, some.threads) == (1, 1, 2)


def test_a_quota_caps_threads_and_never_below_one() -> None:
    def threads(quota: str) -> int:
        files = {**V2, "/sys/fs/cgroup/system.slice/lepton.service/cpu.max": quota}
        return read_cpu(CapturedProbe(files=files, allowed=frozenset(range(8))), "x86_64").threads

    assert [threads(q) for q in ("max 100000", "350000 100000", "50000 100000", "1600000 100000")] == [8, 3, 1, 8]


def test_the_model_and_sets_of_an_x86_cpu_come_from_its_flags() -> None:
    cpu = read_cpu(CapturedProbe(files={"/proc/cpuinfo": capture("cpuinfo-epyc.txt")}), "x86_64")
    assert cpu.model == "AMD EPYC 7742 64-Core Processor"
    assert cpu.instruction_sets == ("avx", "avx2", "f16c", "fma", "sse4_2")
    assert cpu.cpu_class == "cpu-avx2"


def test_an_arm_cpu_is_named_by_its_part() -> None:
    cpu = read_cpu(CapturedProbe(files={"/proc/cpuinfo": capture("cpuinfo-graviton3.txt")}), "aarch64")
    assert (cpu.model, cpu.cpu_class) == ("Arm Neoverse V1", "cpu-sve")
    assert {"neon", "dotprod", "bf16", "i8mm", "sve", "svebf16"} <= set(cpu.instruction_sets)


def test_a_machine_that_tells_nothing_is_still_a_cpu() -> None:
    cpu = read_cpu(CapturedProbe(), "riscv64")
    assert (cpu.model, cpu.cpu_class, cpu.sockets, cpu.cores, cpu.threads) == ("riscv64 CPU", "cpu", 1, 2, 2)


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (("avx2", "avx512f", "amx_tile"), "cpu-avx512-amx"),
        (("avx2", "avx512f"), "cpu-avx512"),
        (("avx", "avx2"), "cpu-avx2"),
        (("neon", "sve"), "cpu-sve"),
        (("neon",), "cpu-neon"),
        (("sse4_2", "avx"), "cpu"),
    ],
)
def test_the_class_is_the_widest_set(sets: tuple[str, ...], expected: str) -> None:
    assert cpu_class(sets) == expected


def test_the_tightest_ancestor_sets_the_ceiling() -> None:
    files = {
        **V2,
        "/sys/fs/cgroup/system.slice/lepton.service/memory.max": "max",
        "/sys/fs/cgroup/system.slice/memory.max": "8388608",
        "/sys/fs/cgroup/memory.max": "99999999",
    }
    ceiling = memory_ceiling(CapturedProbe(files=files))
    assert (ceiling.amount, ceiling.folder) == (8388608, "/sys/fs/cgroup/system.slice")


def test_version_1_groups_are_read_too() -> None:
    files = {
        **V1,
        "/sys/fs/cgroup/cpu,cpuacct/docker/ab/cpu.cfs_quota_us": "150000",
        "/sys/fs/cgroup/cpu,cpuacct/docker/ab/cpu.cfs_period_us": "100000",
        "/sys/fs/cgroup/cpu,cpuacct/docker/ab/cpuacct.usage": "2500000000",
        "/sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes": "4194304",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "/sys/fs/cgroup/memory/docker/ab/memory.usage_in_bytes": "3000",
        "/sys/fs/cgroup/memory/docker/ab/memory.stat": "inactive_file 1\ntotal_inactive_file 1000",
    }
    probe = CapturedProbe(files=files)
    assert cpu_ceiling(probe).amount == 1.5
    assert cpu_seconds(probe, cpu_ceiling(probe).folder) == 2.5
    assert memory_ceiling(probe).amount == 4194304
    assert memory_used(probe, memory_ceiling(probe).folder) == 2000


def test_cpu_time_of_version_1_is_found_in_its_own_hierarchy() -> None:
    probe = CapturedProbe(files={"/sys/fs/cgroup/cpuacct/a/cpuacct.usage": "1000000000"})
    assert cpu_seconds(probe, "/sys/fs/cgroup/cpu/a") == 1.0


def test_a_group_whose_path_is_hidden_is_found_at_the_root() -> None:
    files = {"/proc/self/cgroup": "0::/../../outside", "/sys/fs/cgroup/memory.max": "1048576"}
    assert memory_ceiling(CapturedProbe(files=files)).amount == 1048576


def test_memory_is_the_machine_s_or_the_group_s_if_that_is_less() -> None:
    assert read_memory(CapturedProbe(files={"/proc/meminfo": MEMINFO})) == 16384 * 1024
    limited = {"/proc/meminfo": MEMINFO, **V2, "/sys/fs/cgroup/memory.max": "1048576"}
    assert read_memory(CapturedProbe(files=limited)) == 1048576
    generous = {**limited, "/sys/fs/cgroup/memory.max": str(2**40)}
    assert read_memory(CapturedProbe(files=generous)) == 16384 * 1024
