"""A machine: its hardware as it was really detected, and what of it may be allocated."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import AwareDatetime

from lepton_ai.types.base import Model, Object, ObjectStatus
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI


class Disk(Model):
    """One mounted block device."""

    mount: str
    device: str
    total_bytes: int
    free_bytes: int


class Device(Model):
    """One accelerator that was probed. `kind` is its resource class, such as `nvidia-h100-80gb` or `tpu-v5e`."""

    id: str
    index: int
    vendor: str
    kind: str
    model: str
    memory_bytes: int = 0
    driver: str = ""
    partition: str = ""  # MIG profile or the like; empty for a whole device.
    share_milli: int = WHOLE_DEVICE_MILLI
    environment: tuple[tuple[str, str], ...] = ()  # What a process needs in its environment to see this device alone.


class UnprobedDevice(Model):
    """Something that is plainly there (a PCI id, a device file) but cannot be probed: never allocated, always shown."""

    vendor: str
    where: str
    why: str
    hint: str = ""


class Hardware(Model):
    """What detectors found on one machine."""

    cpu_model: str
    architecture: str
    sockets: int
    cores: int
    threads: int
    instruction_sets: tuple[str, ...]
    memory_bytes: int
    disks: tuple[Disk, ...] = ()
    devices: tuple[Device, ...] = ()
    unprobed: tuple[UnprobedDevice, ...] = ()
    cpu_class: str = "cpu"

    def resource_classes(self) -> tuple[str, ...]:
        """Return the CPU class and each device kind once, sorted after the CPU class."""
        return (self.cpu_class, *sorted({device.kind for device in self.devices}))


class DeviceUse(Model):
    """What one device does now, as its driver reports it. Negative values mean that the driver does not tell."""

    device_id: str
    utilisation: float = -1.0
    memory_used_bytes: int = -1
    temperature_celsius: float = -1.0
    power_watts: float = -1.0


class NodeUse(Model):
    """Measured use of a node over the last sampling interval; shares are 0..1 of the whole node."""

    cpu: float = 0.0
    memory_used_bytes: int = 0
    devices: tuple[DeviceUse, ...] = ()


class NodeState(StrEnum):
    JOINING = "joining"  # it has joined, and was not seen at work yet
    READY = "ready"
    LOST = "lost"


class NodeSpec(Model):
    """What the operator wants of a node. A cordoned node keeps what it runs and gets nothing new.

    With `drain_by`, what runs there leaves too, and what has not left by then is stopped.
    """

    cordoned: bool = False
    drain_by: AwareDatetime | None = None

    @property
    def takes_work(self) -> bool:
        """Tell whether the operator lets it have new work."""
        return not self.cordoned and self.drain_by is None


class NodeStatus(ObjectStatus):
    """What a node is and does. `limits` names the mechanism that holds replicas to their resources.

    The core reaches a replica at `serving_address`, or `address` where that is empty; through the node's `door`, a port
    of that address, where it has one (None: it needs none; 0: it is not open yet).
    """

    state: NodeState = NodeState.READY
    address: str = ""
    serving_address: str = ""
    door: int | None = None
    hardware: Hardware | None = None
    limits: str = ""
    last_seen_at: AwareDatetime | None = None


class Node(Object[NodeSpec, NodeStatus]):
    KIND: ClassVar[str] = "node"
    PLURAL: ClassVar[str] = "nodes"

    kind: Literal["node"] = "node"
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()
