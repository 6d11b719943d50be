"""What a detector is: one maker's devices found and measured, as a plugin of the group `lepton_ai.hardware`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lepton_ai.node.hardware.pci import PciFunction
from lepton_ai.node.hardware.probe import Probe
from lepton_ai.types.node import Device, DeviceUse, UnprobedDevice


@dataclass(frozen=True, slots=True)
class Detection:
    """What one detector found. What is there but cannot be probed is named, never guessed."""

    devices: tuple[Device, ...] = ()
    unprobed: tuple[UnprobedDevice, ...] = ()


@dataclass(frozen=True, slots=True)
class Detector:
    """One maker's detector. Its devices carry the same `vendor`, which is how `use` gets them back.

    `detect` and `use` touch the world through the probe alone. A detector that finds no trace of its devices must
    return at once, before it imports or starts anything: it runs whenever a core starts.
    """

    vendor: str
    detect: Callable[[Probe], Detection]
    use: Callable[[Probe, Sequence[Device]], tuple[DeviceUse, ...]]


def unprobed(
    vendor: str, functions: Iterable[PciFunction], why: str, hint: str, elsewhere: str = ""
) -> tuple[UnprobedDevice, ...]:
    """Return one line per PCI function, or a single one for `elsewhere` (a tool, a device file) if there are none."""
    places = [f"PCI {f.address} [{f.vendor:04x}:{f.device:04x}]" for f in functions] or [elsewhere]
    return tuple(UnprobedDevice(vendor=vendor, where=p, why=why, hint=hint) for p in places if p)


def unknown_use(_probe: Probe, devices: Sequence[Device]) -> tuple[DeviceUse, ...]:
    """Return a use whose every field says that the driver does not tell, for makers without a cheap way to ask."""
    return tuple(DeviceUse(device_id=device.id) for device in devices)
