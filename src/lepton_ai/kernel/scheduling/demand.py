"""What tasks ask for alike (their shape), and which classes of resource could give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lepton_ai.kernel.scheduling.fleet import Bools, Fleet, Ints
from lepton_ai.kernel.scheduling.snapshot import Demand
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI

SHARE_MIN = 1e-9  # a demand for nothing must not have an infinite index


@dataclass(frozen=True, slots=True)
class Shape:
    """A demand as plain numbers: a queue of 10,000 tasks has few of them, and each is looked at once.

    Amounts are per replica, `size` replicas start together. `devices` is 0 where no accelerator is asked for.
    """

    cpu_milli: int
    memory_bytes: int
    size: int = 1
    kind: str = ""
    devices: int = 0
    share_milli: int = WHOLE_DEVICE_MILLI
    device_memory_min: int = 0
    device_memory_max: int = 0


@dataclass(frozen=True, slots=True)
class Option:
    """One class of resource that could run a shape. A gang that no single class can hold gets one option of several."""

    classes: tuple[str, ...]
    nodes: Bools  # which nodes count
    eligible: Bools | None  # which devices of each node; None where the shape asks for none
    columns: Sequence[tuple[int, ...]]  # the same for one node at a time
    share: float  # of the scarcest thing that it holds, 0..1 of the whole cluster
    takes_device_room: bool  # CPU work on nodes with accelerators: the last resort

    @property
    def name(self) -> str:
        return "+".join(self.classes)


def shape_of(demand: Demand) -> Shape:
    """Return the numbers of `demand`; negative amounts count as none."""
    cpu, memory, size = max(demand.cpu_milli, 0), max(demand.memory_bytes, 0), max(demand.size, 1)
    wanted = demand.accelerator
    if wanted is None:
        return Shape(cpu, memory, size)
    bounds = (wanted.memory_bytes_min, wanted.memory_bytes_max)
    return Shape(cpu, memory, size, wanted.kind.lower(), wanted.count, wanted.share_milli, *bounds)


def is_kind(wanted: str, kind: str) -> bool:
    """Tell whether `wanted` names `kind` or whole parts of it: "h100" is "nvidia-h100-80gb", "a10" is not "a100"."""
    return not wanted or f"-{wanted}-" in f"-{kind}-"


def options_of(shape: Shape, fleet: Fleet) -> tuple[Option, ...]:
    """Return the options that could hold the whole gang on empty machines, in a fixed order; none if nothing could."""
    single = _device_options(shape, fleet) if shape.devices else _cpu_options(shape, fleet)
    able = tuple(option for option in single if holds(shape, option, fleet))
    if able or len(single) < 2:
        return able
    mixed = _union(single)
    return (mixed,) if holds(shape, mixed, fleet) else ()


def holds(shape: Shape, option: Option, fleet: Fleet) -> bool:
    """Tell whether the gang would fit if nothing else ran."""
    return int(rooms_when_empty(shape, option, fleet).sum()) >= shape.size


def rooms_when_empty(shape: Shape, option: Option, fleet: Fleet) -> Ints:
    """Return how many replicas each node could hold if nothing else ran."""
    rooms = rooms_of(shape, fleet.cpu_total, fleet.memory_total, fleet.device_total, option.eligible)
    return rooms * option.nodes


def rooms_of(shape: Shape, cpu: Ints, memory: Ints, devices: Ints, eligible: Bools | None) -> Ints:
    """Return how many replicas of `shape` fit on each row of free amounts, at most its whole gang."""
    rooms = np.full(len(cpu), shape.size, dtype=np.int64)
    if shape.cpu_milli:
        rooms = np.minimum(rooms, cpu // shape.cpu_milli)
    if shape.memory_bytes:
        rooms = np.minimum(rooms, memory // shape.memory_bytes)
    if shape.devices and eligible is not None:
        slots = np.maximum(devices, 0) // shape.share_milli * eligible
        rooms = np.minimum(rooms, slots.sum(axis=1) // shape.devices)
    return np.maximum(rooms, 0)


def _cpu_options(shape: Shape, fleet: Fleet) -> list[Option]:
    """Single replicas see nodes with and without accelerators apart, so that they can shun the former."""
    options = []
    share = _share(shape, fleet, 0)
    for code, name in enumerate(fleet.cpu_classes):
        members = fleet.is_schedulable & (fleet.cpu_class == code)
        halves = (members & ~fleet.has_devices, members & fleet.has_devices)
        for nodes in halves if shape.size == 1 else (members,):
            if nodes.any():
                takes = bool(fleet.has_devices[nodes].any())
                options.append(Option((name,), nodes, None, fleet.no_columns, share, takes))
    return options


def _device_options(shape: Shape, fleet: Fleet) -> list[Option]:
    options = []
    for name in fleet.device_kinds:
        if is_kind(shape.kind, name):
            mask = fleet.devices_of(name, shape.device_memory_min, shape.device_memory_max)
            if mask.total_milli:
                share = _share(shape, fleet, mask.total_milli)
                options.append(Option((name,), mask.nodes, mask.eligible, mask.columns, share, False))
    return options


def _share(shape: Shape, fleet: Fleet, devices_milli: int) -> float:
    """Dominant share (Ghodsi et al., DRF, NSDI 2011): the largest of the fractions of all there is."""
    parts = [SHARE_MIN]
    if fleet.cpu_all:
        parts.append(shape.cpu_milli / fleet.cpu_all)
    if fleet.memory_all:
        parts.append(shape.memory_bytes / fleet.memory_all)
    if devices_milli:
        parts.append(shape.devices * shape.share_milli / devices_milli)
    return shape.size * max(parts)


def _union(options: Sequence[Option]) -> Option:
    nodes = np.logical_or.reduce([option.nodes for option in options])
    classes = tuple(sorted({name for option in options for name in option.classes}))
    share = min(option.share for option in options)
    takes = any(option.takes_device_room for option in options)
    if options[0].eligible is None:
        return Option(classes, nodes, None, options[0].columns, share, takes)
    eligible = np.logical_or.reduce([option.eligible for option in options if option.eligible is not None])
    columns = tuple(tuple(sorted(sum(parts, ()))) for parts in zip(*(o.columns for o in options), strict=True))
    return Option(classes, nodes, eligible, columns, share, takes)
