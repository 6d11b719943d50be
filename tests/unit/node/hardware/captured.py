"""A probe that answers from captured output: files, what tools printed, and an NVML that says what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from lepton_ai.node.hardware.nvml import Nvml, NvmlDevice, NvmlFailed, NvmlFault
from lepton_ai.node.hardware.pci import PCI_FOLDER, PciFunction, parse_pci
from lepton_ai.node.hardware.probe import READ_BYTES_MAX, ProbeFailed
from lepton_ai.types.node import DeviceUse

CAPTURES = Path(__file__).parent / "captures"


def capture(name: str) -> str:
    """Return a file of the captures folder."""
    return (CAPTURES / name).read_text()


def pci_files(address: str, vendor: str, device: str, kind: str, subsystem: str = "0x0000") -> dict[str, str]:
    """Return the files by which sysfs shows one PCI function."""
    names = {"vendor": vendor, "device": device, "class": kind, "subsystem_device": subsystem}
    return {f"{PCI_FOLDER}/{address}/{name}": value for name, value in names.items()}


@dataclass
class CapturedProbe:
    """`tools` maps a command line to what it prints, or to the failure that it ends in."""

    tools: Mapping[str, str | ProbeFailed] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    library: Nvml | NvmlFailed | None = None
    allowed: frozenset[int] = frozenset({0, 1})

    def has(self, tool: str) -> bool:
        return any(command.split()[0] == tool for command in self.tools)

    def run(self, *command: str) -> str:
        answer = self.tools[" ".join(command)]
        if isinstance(answer, ProbeFailed):
            raise answer
        return answer

    def read(self, path: str, limit: int = READ_BYTES_MAX) -> str:
        return self.files.get(path, "")[:limit].strip()

    def glob(self, pattern: str) -> tuple[str, ...]:
        parts = pattern.split("/")
        paths = {"/".join(path.split("/")[: len(parts)]) for path in self.files}
        return tuple(sorted(path for path in paths if _matches(path.split("/"), parts)))

    def environment(self, name: str) -> str:
        return self.variables.get(name, "")

    def pci(self) -> tuple[PciFunction, ...]:
        return parse_pci(self.glob(f"{PCI_FOLDER}/*"), self.read)

    def nvml(self) -> Nvml | None:
        if isinstance(self.library, NvmlFailed):
            raise self.library
        return self.library

    def cpus(self) -> frozenset[int]:
        return self.allowed


@dataclass
class CapturedNvml:
    """An NVML with the given GPUs."""

    gpus: tuple[NvmlDevice | NvmlFault, ...] = ()
    uses: Mapping[str, DeviceUse] = field(default_factory=dict)

    def driver_version(self) -> str:
        return "570.86.15"

    def devices(self) -> tuple[NvmlDevice | NvmlFault, ...]:
        return self.gpus

    def use_of(self, uuid: str) -> DeviceUse:
        return self.uses.get(uuid, DeviceUse(device_id=uuid))


def _matches(path: list[str], pattern: list[str]) -> bool:
    return len(path) == len(pattern) and all(fnmatchcase(a, b) for a, b in zip(path, pattern, strict=True))
