"""PCI functions as sysfs shows them: how a device is seen that no driver or tool tells of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

PCI_FOLDER = "/sys/bus/pci/devices"
DISPLAY_CLASS = 0x03
ACCELERATOR_CLASS = 0x12  # "processing accelerators", PCI Code and ID Assignment 1.11


@dataclass(frozen=True, slots=True)
class PciFunction:
    """One function. `kind` is the three-byte class code, `address` is such as 0000:81:00.0."""

    address: str
    vendor: int
    device: int
    kind: int
    subsystem: int = 0

    @property
    def is_accelerator(self) -> bool:
        return self.kind >> 16 in {DISPLAY_CLASS, ACCELERATOR_CLASS}


def parse_pci(folders: Sequence[str], read: Callable[[str], str]) -> tuple[PciFunction, ...]:
    """Read the functions under sysfs' PCI folder; those that vanish meanwhile are left out."""
    found = []
    for folder in folders:
        numbers = [_hexadecimal(read(f"{folder}/{name}")) for name in ("vendor", "device", "class")]
        if -1 not in numbers:
            vendor, device, kind = numbers
            subsystem = max(0, _hexadecimal(read(f"{folder}/subsystem_device")))
            found.append(PciFunction(folder.rpartition("/")[2].lower(), vendor, device, kind, subsystem))
    return tuple(sorted(found, key=lambda function: function.address))


def normal_address(text: str) -> str:
    """Return 0000:81:00.0 for 81:00.0, 0000:81:00.0 and 00000000:81:00.0; empty for anything else."""
    parts = text.strip().lower().split(":")
    if len(parts) == 2:
        parts = ["0000", *parts]
    if len(parts) != 3 or "." not in parts[2] or not parts[0].isalnum() or not parts[1].isalnum():
        return ""
    return f"{parts[0][-4:].zfill(4)}:{parts[1]}:{parts[2]}"


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return -1
