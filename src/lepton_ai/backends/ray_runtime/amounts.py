"""Pure: what a node and an allocation amount to in Ray's resources, and where Ray's books differ from ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lepton_ai.types.node import Device, Hardware
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI, Allocation

NODE_LABEL = "lepton.ai/node"  # on each raylet: the name of the node that it is
# In a node's state folder: what was measured when it joined and Ray was told, so that the node and Ray's books agree.
HARDWARE_FILE = "hardware.json"
GPU_VENDORS = frozenset({"nvidia", "amd", "intel"})  # what Ray itself counts as GPU
# Ray counts in ten-thousandths (its FixedPoint type), we in thousandths and whole bytes.
STEP = 1e-4


@dataclass(frozen=True, slots=True)
class Drift:
    """One resource of one node of which Ray counts another amount than we do."""

    node: str
    resource: str
    ours: float
    rays: float

    def sentence(self) -> str:
        """Say it for an operator."""
        return f"On {self.node} Ray counts {self.rays:g} {self.resource} as taken, the platform {self.ours:g}."


def declared(hardware: Hardware) -> Mapping[str, float]:
    """Return what a node's raylet has to declare: `--num-cpus`, `--memory`, `--num-gpus`, and a resource per kind."""
    amounts: dict[str, float] = {"CPU": float(hardware.threads), "memory": float(hardware.memory_bytes)}
    for device in hardware.devices:
        _add(amounts, device, WHOLE_DEVICE_MILLI)
    return amounts


def bundle(allocation: Allocation, hardware: Hardware | None) -> Mapping[str, float]:
    """Return the placement group's bundle for one replica; a device that is not known any more counts for nothing."""
    amounts: dict[str, float] = {
        "CPU": allocation.cpu_milli / 1000,
        "memory": float(allocation.memory_bytes),
    }
    known = {device.id: device for device in hardware.devices} if hardware else {}
    for share in allocation.devices:
        if share.device_id in known:
            _add(amounts, known[share.device_id], share.share_milli)
    return amounts


def drifts(
    node: str, held: Iterable[Mapping[str, float]], total: Mapping[str, float], free: Mapping[str, float]
) -> list[Drift]:
    """Compare the bundles that are `held` on a node with what Ray says that it has in `total`, and `free` of it."""
    ours: dict[str, float] = {}
    for amounts in held:
        for name, amount in amounts.items():
            ours[name] = ours.get(name, 0.0) + amount
    # Ray's own markers (`node:10.0.0.1`, `accelerator_type:...`) and its object store are nobody's to allocate.
    names = sorted(name for name in total if ":" not in name and name != "object_store_memory")
    taken = {name: total[name] - free.get(name, 0.0) for name in names}
    return [
        Drift(node, name, ours.get(name, 0.0), taken.get(name, 0.0))
        for name in sorted({*names, *ours})
        if abs(taken.get(name, 0.0) - ours.get(name, 0.0)) > STEP
    ]


def _add(amounts: dict[str, float], device: Device, share_milli: int) -> None:
    share = share_milli / WHOLE_DEVICE_MILLI
    amounts[device.kind] = amounts.get(device.kind, 0.0) + share
    if device.vendor in GPU_VENDORS and "gaudi" not in device.kind:
        amounts["GPU"] = amounts.get("GPU", 0.0) + share
