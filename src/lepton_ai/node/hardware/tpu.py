"""Google TPUs: PCI tells the generation, device files tell that the driver has them. No tool is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lepton_ai.node.hardware.detector import Detection, Detector, unknown_use, unprobed
from lepton_ai.node.hardware.pci import PciFunction
from lepton_ai.node.hardware.probe import Probe
from lepton_ai.types.node import Device

VENDOR = "google"
PCI_VENDOR = 0x1AE0
NO_DRIVER_HINT = (
    "Load the TPU driver, or run where /dev/accel* or /dev/vfio is visible (a container needs them passed in)."
)
UNKNOWN_HINT = "Set TPU_ACCELERATOR_TYPE (such as v5litepod-4) if these are TPUs, then restart the core."


@dataclass(frozen=True, slots=True)
class Generation:
    """A chip as Google publishes it (cloud.google.com/tpu/docs/system-architecture-tpu-vm)."""

    name: str
    memory_gib: int


V2, V3 = Generation("v2", 16), Generation("v3", 32)
V4, V5E, V5P = Generation("v4", 32), Generation("v5e", 16), Generation("v5p", 95)
V6E, V7X = Generation("v6e", 32), Generation("v7x", 192)

# PCI ids as in Google's tpu-info; v2 and v3 share one and differ in the subsystem.
BY_DEVICE = {0x005E: V4, 0x0062: V5P, 0x0063: V5E, 0x006F: V6E, 0x0076: V7X}
BY_SUBSYSTEM = {0x004E: V2, 0x004F: V3}
SHARED_ID = 0x0027
UNNAMED_ID = 0x0056  # has no public name

# TPU_ACCELERATOR_TYPE on TPU machines: the family before the number of chips or cores.
BY_TYPE = {"v2": V2, "v3": V3, "v4": V4, "v5litepod": V5E, "v5e": V5E, "v5p": V5P, "v6e": V6E, "tpu7x": V7X}


def detect(probe: Probe) -> Detection:
    """Return the chips whose generation is certain and whose device files are there."""
    functions = [f for f in probe.pci() if f.vendor == PCI_VENDOR and (_generation(f) or f.device == UNNAMED_ID)]
    known = [(function.address, generation) for function in functions if (generation := _generation(function))]
    files = [path for path in probe.glob("/dev/accel[0-9]*") if re.fullmatch(r"/dev/accel\d+", path)]
    if functions and not files:
        files = [path for path in probe.glob("/dev/vfio/[0-9]*") if path.rpartition("/")[2].isdigit()]
    if not functions:
        return _from_files(probe, files)
    unnamed = [function for function in functions if not _generation(function)]
    lines = unprobed(VENDOR, unnamed, "no public name is known for this TPU", UNKNOWN_HINT) if unnamed else ()
    if len(files) < len(known):
        hidden = [function for function in functions if _generation(function)]
        why = f"PCI shows {len(known)} TPU chips, but there are {len(files)} device files"
        return Detection(unprobed=(*lines, *unprobed(VENDOR, hidden, why, NO_DRIVER_HINT)))
    return Detection(tuple(_device(i, address, g) for i, (address, g) in enumerate(known)), lines)


def _from_files(probe: Probe, files: Sequence[str]) -> Detection:
    """Name chips in a container that hides PCI by the type that Google's images set."""
    if not files:
        return Detection()
    stated = probe.environment("TPU_ACCELERATOR_TYPE") or probe.environment("ACCELERATOR_TYPE")
    generation = BY_TYPE.get(stated.lower().partition("-")[0])
    if generation is None:
        why = "neither PCI nor TPU_ACCELERATOR_TYPE tells what they are"
        return Detection(unprobed=unprobed(VENDOR, (), why, UNKNOWN_HINT, elsewhere=" ".join(files)))
    ordered = sorted(files, key=lambda path: int(path.removeprefix("/dev/accel")))
    return Detection(tuple(_device(i, path, generation) for i, path in enumerate(ordered)))


def _generation(function: PciFunction) -> Generation | None:
    if function.device == SHARED_ID:
        return BY_SUBSYSTEM.get(function.subsystem)
    return BY_DEVICE.get(function.device)


def _device(index: int, place: str, generation: Generation) -> Device:
    return Device(
        id=f"tpu-{place.removeprefix('/dev/')}",
        index=index,
        vendor=VENDOR,
        kind=f"tpu-{generation.name}",
        model=f"Google TPU {generation.name}",
        memory_bytes=generation.memory_gib * 2**30,
        environment=(("TPU_VISIBLE_CHIPS", str(index)),),
    )


# What a chip does now is told only by the process that holds it, over libtpu's own port.
DETECTOR = Detector(VENDOR, detect, unknown_use)
