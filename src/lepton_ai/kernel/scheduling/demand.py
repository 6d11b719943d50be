"""What tasks ask for alike (their shape), and which classes of resource could give it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.fleet import Bools, Fleet, Ints, Make, Pool
from lepton_ai.kernel.scheduling.places import nodes_where
from lepton_ai.kernel.scheduling.snapshot import Demand
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI
from lepton_ai.types.where import Condition

MIG = "mig"  # what a kind is marked with that is a part of a device, before its profile
PARTITION = f"-{MIG}-"
SHARE_MIN = 1e-9  # a demand for nothing must not have an infinite index


class Shape(NamedTuple):
    """A demand as plain numbers: a queue of 10,000 tasks has few of them, and each is looked at once.

    Amounts are per replica, `size` replicas start together. `devices` is 0 where no accelerator is asked for; `where`
    are the conditions that a node must meet, `ceilings` say by class what an hour of a replica may cost there. Where
    `per_node` is not 0, a node takes exactly so many replicas or none, and `size` is a multiple of it.
    """

    cpu_milli: int
    memory_bytes: int
    size: int = 1
    kind: str = ""
    devices: int = 0
    share_milli: int = WHOLE_DEVICE_MILLI
    device_memory_min: int = 0
    device_memory_max: int = 0
    where: tuple[Condition, ...] = ()
    ceilings: tuple[tuple[str, float], ...] = ()
    per_node: int = 0

    def alone(self) -> Shape:
        """Return the shape of one replica by itself."""
        return self._replace(size=1, per_node=0)

    def parcel(self) -> Shape:
        """Return what must fit on one node together: one replica, or all that each node takes."""
        each = max(self.per_node, 1)
        amounts = self.cpu_milli * each, self.memory_bytes * each
        return self.alone()._replace(cpu_milli=amounts[0], memory_bytes=amounts[1], devices=self.devices * each)

    @property
    def parcels(self) -> int:
        return self.size // max(self.per_node, 1)


class Option(NamedTuple):
    """A pool that could run a shape, and the share of the scarcest thing that it would hold there, 0..1 of all."""

    pool: Pool
    share: float


def shape_of(demand: Demand) -> Shape:
    """Return the numbers of `demand`; negative amounts count as none."""
    cpu, memory, size = max(demand.cpu_milli, 0), max(demand.memory_bytes, 0), max(demand.size, 1)
    wanted, per_node = demand.accelerator, demand.per_node if size > 1 else 0
    if wanted is None:
        return Shape(cpu, memory, size, where=demand.where, per_node=per_node)
    bounds = (wanted.memory_bytes_min, wanted.memory_bytes_max)
    device = (wanted.kind.lower(), wanted.count, wanted.share_milli, *bounds)
    return Shape(cpu, memory, size, *device, demand.where, per_node=per_node)


def numbers_of(demand: Demand) -> tuple[object, ...]:
    """Return what tells demands apart, as it was asked for; much cheaper than the shape, which is made once of each."""
    wanted = demand.accelerator
    if wanted is None:
        return demand.cpu_milli, demand.memory_bytes, demand.size, demand.where, demand.per_node
    device = (wanted.kind, wanted.count, wanted.share_milli, wanted.memory_bytes_min, wanted.memory_bytes_max)
    return demand.cpu_milli, demand.memory_bytes, demand.size, demand.where, demand.per_node, device


def is_kind(wanted: str, kind: str) -> bool:
    """Tell whether `wanted` names `kind` or whole parts of it: "h100" is "nvidia-h100-80gb", "a10" is not "a100".

    Several, as in "h100|a100", are any of them. A part of a device is meant only by who names it as one: "h100" is no
    "nvidia-h100-80gb-mig-1g.10gb", but "h100-mig", "mig-1g.10gb" and "mig" are.
    """
    if not wanted:
        return True
    whole, mark, profile = kind.partition(PARTITION)
    return any(
        _is_part(*one.partition(MIG), whole, profile) if mark else _names(one, kind) for one in wanted.split("|")
    )


def _is_part(of: str, mark: str, piece: str, whole: str, profile: str) -> bool:
    """Tell whether a `profile` of a device of kind `whole` is the `piece` (or any, if it is empty) that was named."""
    return bool(mark) and piece.strip("-") in {"", profile} and _names(of.strip("-"), whole)


def _names(wanted: str, kind: str) -> bool:
    return not wanted or f"-{wanted}-" in f"-{kind}-"


def options_of(shape: Shape, fleet: Fleet) -> tuple[Option, ...]:
    """Return the options that could hold the whole gang on empty machines, in a fixed order; none if nothing could.

    Single replicas see nodes with and without accelerators apart, so that CPU work can shun the former.
    """
    pools = pools_of(shape, fleet)
    able = [pool for pool in pools if holds(shape, pool)]
    if not able and len(pools) > 1 and not shape.ceilings:
        able = [pool for pool in (fleet.joined(pools),) if holds(shape, pool)]
    return tuple(option_of(shape, fleet, pool) for pool in able)


def option_of(shape: Shape, fleet: Fleet, pool: Pool) -> Option:
    """Return `pool` with the share that the gang would hold of the scarcest thing there."""
    return Option(pool, _share(shape, fleet, pool.devices_milli))


def holds(shape: Shape, pool: Pool) -> bool:
    """Tell whether the gang would fit on `pool` if nothing else ran."""
    rooms = 0
    for make, count in pool.makes:
        if shape.cpu_milli > make.cpu_milli or shape.memory_bytes > make.memory_bytes:
            continue
        rooms += room_on(shape, make) * count
        if rooms >= shape.size:
            return True
    return False


def room_on(shape: Shape, make: Make) -> int:
    """Return how many replicas an empty machine holds, at most what the gang may have there."""
    room = shape.per_node or shape.size
    if shape.cpu_milli:
        room = min(room, make.cpu_milli // shape.cpu_milli)
    if shape.memory_bytes:
        room = min(room, make.memory_bytes // shape.memory_bytes)
    if shape.devices:
        room = min(room, sum(milli // shape.share_milli for milli in make.devices) // shape.devices)
    return 0 if room < shape.per_node else room


def rooms_of(shape: Shape, cpu: Ints, memory: Ints, devices: Ints, eligible: Bools | None) -> Ints:
    """Return how many replicas of `shape` fit on each row of free amounts, at most what it may have there."""
    if shape.size == 1:
        return _has_room(shape, cpu, memory, devices, eligible).astype(np.int64)
    rooms = np.full(len(cpu), shape.per_node or shape.size, dtype=np.int64)
    if shape.cpu_milli:
        rooms = np.minimum(rooms, cpu // shape.cpu_milli)
    if shape.memory_bytes:
        rooms = np.minimum(rooms, memory // shape.memory_bytes)
    if shape.devices and eligible is not None:
        slots = np.maximum(devices, 0) // shape.share_milli * eligible
        rooms = np.minimum(rooms, slots.sum(axis=1) // shape.devices)
    if shape.per_node:
        rooms[rooms < shape.per_node] = 0
    return np.maximum(rooms, 0)


def _has_room(shape: Shape, cpu: Ints, memory: Ints, devices: Ints, eligible: Bools | None) -> Bools:
    """Tell which rows can take one replica: comparisons, which are much cheaper than the divisions of a gang."""
    fits = np.ones(len(cpu), dtype=np.bool_)
    if shape.cpu_milli:
        fits &= cpu >= shape.cpu_milli
    if shape.memory_bytes:
        fits &= memory >= shape.memory_bytes
    if shape.devices and eligible is not None:
        # Several shares, which only the parcel of a gang asks for, may be of one device.
        fits &= (np.maximum(devices, 0) // shape.share_milli * eligible).sum(axis=1) >= shape.devices
    return fits


def pools_of(shape: Shape, fleet: Fleet) -> tuple[Pool, ...]:
    """Return what there is of each class where the shape may run, whether or not it would fit."""
    pools = _device_pools(shape, fleet) if shape.devices else fleet.cpu_pools(apart=shape.size == 1)
    if shape.where:
        nodes = nodes_where(fleet, shape.where)
        pools = tuple(fleet.part(pool, nodes) for pool in pools)
    if shape.ceilings:
        costs, most = hourly(shape, fleet), dict(shape.ceilings)
        pools = tuple(fleet.part(pool, costs <= most.get(pool.classes[0], math.inf)) for pool in pools)
    return tuple(pool for pool in pools if len(pool.rows)) if shape.where or shape.ceilings else pools


def hourly(shape: Shape, fleet: Fleet) -> npt.NDArray[np.float64]:
    """Return by node what an hour of one replica costs; a node without a price costs nothing."""
    amounts = shape.cpu_milli, shape.memory_bytes, shape.devices * shape.share_milli
    return np.array([node.price.of(*amounts) if node.price else 0.0 for node in fleet.nodes])


def _device_pools(shape: Shape, fleet: Fleet) -> tuple[Pool, ...]:
    bounds = (shape.device_memory_min, shape.device_memory_max)
    pools = (fleet.device_pool(kind, *bounds) for kind in fleet.device_kinds if is_kind(shape.kind, kind))
    return tuple(pool for pool in pools if pool.devices_milli)


def _share(shape: Shape, fleet: Fleet, devices_milli: int) -> float:
    """Dominant share (Ghodsi et al., DRF, NSDI 2011): the largest of the fractions of all there is."""
    cpu = shape.cpu_milli / fleet.cpu_all if fleet.cpu_all else 0.0
    memory = shape.memory_bytes / fleet.memory_all if fleet.memory_all else 0.0
    devices = shape.devices * shape.share_milli / devices_milli if devices_milli else 0.0
    return shape.size * max(SHARE_MIN, cpu, memory, devices)
