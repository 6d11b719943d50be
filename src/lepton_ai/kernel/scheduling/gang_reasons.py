"""Says what falls short of a gang that would not fit even if nothing else ran: which amount, of which class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lepton_ai.kernel.scheduling.amounts import cpus, devices, needs, nodes
from lepton_ai.kernel.scheduling.demand import Shape, pools_of, rooms_of
from lepton_ai.kernel.scheduling.fleet import Fleet, Ints, Pool
from lepton_ai.types.quantity import format_bytes

CLASSES_MAX = 4  # that a sentence lists
_NOTHING = {"cpu_milli": 0, "memory_bytes": 0, "devices": 0}
_SHORT = {"devices": "too few devices", "cpu_milli": "too few CPUs", "memory_bytes": "too little memory"}


def falls_short(shape: Shape, fleet: Fleet) -> str:
    """Return what there is too little of: "needs 12 CPUs; there are 8 in all (cpu-avx2)".

    `shape` is of a gang of which a single replica does fit on some node.
    """
    pools = pools_of(shape, fleet)
    if shape.per_node:
        return _nodes_short(shape, fleet, pools)
    for amount in _SHORT:
        each = shape.devices * shape.share_milli if amount == "devices" else getattr(shape, amount)
        wanted, there = each * shape.size, _in_all(amount, fleet, pools)
        if wanted > there:
            return f"needs {_told(amount, wanted)}; there are {_told(amount, there)} in all ({_classes(pools)})"
    amount = min(_SHORT, key=lambda name: _rooms(_only(shape, name), fleet, pools))
    room = _rooms(shape, fleet, pools)
    return (
        f"has room for {room} of its replicas even on empty nodes: each node is left with {_SHORT[amount]} "
        f"for one more, {needs(shape)} ({_classes(pools)})"
    )


def _nodes_short(shape: Shape, fleet: Fleet, pools: Sequence[Pool]) -> str:
    found = []
    for pool in pools[:CLASSES_MAX]:
        able = int((_rooms_on(shape, fleet, pool) > 0).sum())
        lack = [f"{count} with {_SHORT[name]}" for name, count in _lacks(shape, fleet, pool).items() if count]
        found.append(f"{able} of {nodes(len(pool.rows))} of {pool.name}{_in_brackets(lack)}")
    more = f" and {len(pools) - CLASSES_MAX} classes more" if len(pools) > CLASSES_MAX else ""
    return f"needs {_parcel(shape)} on each of {nodes(shape.parcels)}; that would fit on {', '.join(found)}{more}"


def _in_brackets(lacks: Sequence[str]) -> str:
    return f" ({', '.join(lacks)})" if lacks else ""


def _lacks(shape: Shape, fleet: Fleet, pool: Pool) -> dict[str, int]:
    """Count the nodes that cannot have their part, by the first amount of which they have too little."""
    lacks, left = {}, _rooms_on(shape, fleet, pool) == 0
    for name in _SHORT:
        short = left & (_rooms_on(_only(shape, name), fleet, pool) == 0)
        lacks[name] = int(short.sum())
        left = left & ~short
    return lacks


def _only(shape: Shape, amount: str) -> Shape:
    """Return a shape that asks for nothing but that amount."""
    return shape._replace(**{**_NOTHING, amount: getattr(shape, amount)})


def _parcel(shape: Shape) -> str:
    parts = [cpus(shape.cpu_milli * shape.per_node), format_bytes(shape.memory_bytes * shape.per_node)]
    if shape.devices:
        parts.append(f"{shape.per_node} x {devices(shape)}")
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _rooms(shape: Shape, fleet: Fleet, pools: Sequence[Pool]) -> int:
    return sum(int(_rooms_on(shape, fleet, pool).sum()) for pool in pools)


def _rooms_on(shape: Shape, fleet: Fleet, pool: Pool) -> Ints:
    rows, empty = pool.rows, fleet.ledger()
    eligible = None if pool.eligible is None else pool.eligible[rows]
    return rooms_of(shape, empty.cpu[rows], empty.memory[rows], empty.devices[rows], eligible)


def _in_all(amount: str, fleet: Fleet, pools: Sequence[Pool]) -> int:
    if amount == "devices":
        return sum(int(fleet.device_total[pool.eligible].sum()) for pool in pools if pool.eligible is not None)
    rows = np.unique(np.concatenate([pool.rows for pool in pools]))
    return int((fleet.cpu_total if amount == "cpu_milli" else fleet.memory_total)[rows].sum())


def _told(amount: str, value: int) -> str:
    if amount == "memory_bytes":
        return format_bytes(value)
    return f"{value / 1000:g}{' CPUs' if amount == 'cpu_milli' else ''}"


def _classes(pools: Sequence[Pool]) -> str:
    names = sorted({name for pool in pools for name in pool.classes})
    more = f" and {len(names) - CLASSES_MAX} more" if len(names) > CLASSES_MAX else ""
    return ", ".join(names[:CLASSES_MAX]) + more
