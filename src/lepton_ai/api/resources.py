"""Every resource of the platform with its measured use and what is allocated of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lepton_ai.api.core import Core
from lepton_ai.kernel.auth import Caller
from lepton_ai.kernel.runtime import NodeObservation
from lepton_ai.types.node import DeviceUse
from lepton_ai.types.operation import may
from lepton_ai.types.resource_view import ResourceView
from lepton_ai.types.resources import Allocation
from lepton_ai.types.task import Task

_UNKNOWN = DeviceUse(device_id="")


class Holding(NamedTuple):
    """One replica's part of a node."""

    task: Task
    allocation: Allocation


def resources(core: Core, caller: Caller) -> Sequence[ResourceView]:
    """Return the CPUs of each node and each device, numbered from 1; names of foreign projects' work are left out."""
    tasks = core.live(Task)
    views: list[ResourceView] = []
    for node in sorted(core.runtime.nodes(), key=lambda node: node.name):
        held = [Holding(task, a) for task in tasks for a in task.status.allocations if a.node == node.name]
        views.append(_cpu(len(views) + 1, node, held, caller))
        for device in node.hardware.devices:
            views.append(_device(len(views) + 1, node, device.id, held, caller))
    return views


def _cpu(number: int, node: NodeObservation, held: Sequence[Holding], caller: Caller) -> ResourceView:
    hardware = node.hardware
    return ResourceView(
        number=number,
        name=f"{node.name}/cpu",
        node=node.name,
        kind="cpu",
        resource_class=hardware.cpu_class,
        model=f"{hardware.cpu_model} x {hardware.threads}",
        utilisation=round(node.use.cpu, 4),
        memory_used_bytes=node.use.memory_used_bytes,
        memory_bytes=hardware.memory_bytes,
        allocation=len({holding.task.id for holding in held}),
        allocated=round(sum(h.allocation.cpu_milli for h in held) / (hardware.threads * 1000), 4),
        tasks=_names(held, caller),
    )


def _device(
    number: int, node: NodeObservation, device_id: str, held: Sequence[Holding], caller: Caller
) -> ResourceView:
    device = next(device for device in node.hardware.devices if device.id == device_id)
    use = next((use for use in node.use.devices if use.device_id == device_id), _UNKNOWN)
    holders = [holding for holding in held if any(s.device_id == device_id for s in holding.allocation.devices)]
    shares = [s.share_milli for h in holders for s in h.allocation.devices if s.device_id == device_id]
    return ResourceView(
        number=number,
        name=f"{node.name}/{device.kind}-{device.index}",
        node=node.name,
        kind="device",
        resource_class=device.kind,
        model=device.model,
        utilisation=use.utilisation,
        memory_used_bytes=use.memory_used_bytes,
        memory_bytes=device.memory_bytes,
        allocation=len({holding.task.id for holding in holders}),
        allocated=round(sum(shares) / device.share_milli, 4),
        tasks=_names(holders, caller),
    )


def _names(held: Sequence[Holding], caller: Caller) -> tuple[str, ...]:
    return tuple(sorted({h.task.spec.owner_name for h in held if may(caller.roles, "task.list", h.task.project)}))
