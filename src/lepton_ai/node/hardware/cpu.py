"""The CPUs that this process may use: model, counts, instruction sets, and the resource class that follows."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass

from lepton_ai.node.hardware.cgroup import cpu_ceiling
from lepton_ai.node.hardware.probe import Probe

CPUINFO_BYTES = 8192  # The first CPU's part is below 4 kB; reading it all takes 20 ms on 256 CPUs.
TOPOLOGY = "/sys/devices/system/cpu/cpu{number}/topology/{name}"

# What numeric libraries choose their code by. Names are the kernel's, but for asimd, which everybody calls NEON.
_SETS = re.compile(
    r"^(sse4_2|avx|avx2|fma|f16c|avx512\w*|avx_vnni\w*|avx_ifma|amx_\w+"
    r"|asimd|asimddp|asimdhp|bf16|i8mm|sve\w*|sme|sme2|v)$"
)
_RENAMED = {"asimd": "neon", "asimddp": "dotprod", "asimdhp": "fp16", "v": "rvv"}

# Arm's /proc/cpuinfo has numbers instead of a name (implementer, part).
ARM_MODELS = {
    ("0x41", "0xd08"): "Arm Cortex-A72",
    ("0x41", "0xd0b"): "Arm Cortex-A76",
    ("0x41", "0xd0c"): "Arm Neoverse N1",
    ("0x41", "0xd40"): "Arm Neoverse V1",
    ("0x41", "0xd49"): "Arm Neoverse N2",
    ("0x41", "0xd4f"): "Arm Neoverse V2",
    ("0x48", "0xd01"): "HiSilicon Kunpeng 920",
    ("0xc0", "0xac3"): "Ampere-1",
    ("0xc0", "0xac4"): "Ampere-1A",
}


@dataclass(frozen=True, slots=True)
class Cpu:
    """What of the CPUs this process may use. `threads` is what there is to allocate, affinity and quota applied."""

    model: str
    architecture: str
    sockets: int
    cores: int
    threads: int
    instruction_sets: tuple[str, ...]
    cpu_class: str


def read_cpu(probe: Probe, architecture: str = "") -> Cpu:
    """Read /proc/cpuinfo and the topology of the CPUs in this process's affinity mask."""
    architecture = architecture or platform.machine()
    fields = _first_block(probe.read("/proc/cpuinfo", CPUINFO_BYTES))
    allowed = sorted(probe.cpus())
    quota = cpu_ceiling(probe).amount
    threads = max(1, min(len(allowed), int(quota))) if quota else max(1, len(allowed))
    places = [tuple(probe.read(TOPOLOGY.format(number=n, name=name)) for name in _PLACES) for n in allowed]
    cores = {place for place in places if all(place)}
    sets = _instruction_sets(fields)
    return Cpu(
        model=_model(probe, fields, architecture),
        architecture=architecture,
        sockets=max(1, len({package for package, _ in cores})),
        cores=min(len(cores) or threads, threads),
        threads=threads,
        instruction_sets=sets,
        cpu_class=cpu_class(sets),
    )


_PLACES = ("physical_package_id", "core_id")


def cpu_class(instruction_sets: Iterable[str]) -> str:
    """Return the resource class: CPUs that run the same numeric code alike."""
    names = set(instruction_sets)
    if "avx512f" in names:
        return "cpu-avx512-amx" if "amx_tile" in names else "cpu-avx512"
    for name, found in (("avx2", "cpu-avx2"), ("sve", "cpu-sve"), ("neon", "cpu-neon")):
        if name in names:
            return found
    return "cpu"


def _first_block(cpuinfo: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in cpuinfo.split("\n\n", 1)[0].splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    return fields


def _instruction_sets(fields: dict[str, str]) -> tuple[str, ...]:
    flags = fields.get("flags") or fields.get("Features") or ""
    if not flags and "v" in fields.get("isa", "").partition("_")[0].removeprefix("rv64"):
        flags = "v"
    return tuple(sorted({_RENAMED.get(flag, flag) for flag in flags.split() if _SETS.match(flag)}))


def _model(probe: Probe, fields: dict[str, str], architecture: str) -> str:
    named = fields.get("model name") or fields.get("Model") or fields.get("cpu")
    if named:
        return " ".join(named.split())
    implementer, part = fields.get("CPU implementer", ""), fields.get("CPU part", "")
    known = ARM_MODELS.get((implementer, part))
    if known:
        return known
    board = probe.read("/proc/device-tree/model").rstrip("\0")
    if board:
        return board
    return f"{architecture} CPU, implementer {implementer}, part {part}" if part else f"{architecture} CPU"
