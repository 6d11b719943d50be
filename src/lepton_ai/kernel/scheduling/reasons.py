"""Says in a sentence with numbers why a task starts or waits; one text per shape, since thousands of tasks share it."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from lepton_ai.kernel.scheduling import places
from lepton_ai.kernel.scheduling.amounts import cpus, devices, gang, needs
from lepton_ai.kernel.scheduling.demand import MIG, Option, Shape, is_kind, rooms_of
from lepton_ai.kernel.scheduling.fleet import Bools, Fleet, Ints, Ledger, Pool
from lepton_ai.kernel.scheduling.gang_reasons import falls_short
from lepton_ai.kernel.scheduling.snapshot import Refusal
from lepton_ai.kernel.scheduling.timeline import Opening
from lepton_ai.types.quantity import format_bytes
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI

LARGER = ": it waits until a larger node joins"
MORE = ": it waits until nodes join"
NAMES_MAX = 8  # classes that a sentence lists before it says how many more there are


def in_words(seconds: float) -> str:
    """Return `seconds` as people say it: 45 s, 3 min, 2.5 h, 4 d."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} d" if seconds < 3e9 else "more than 90 years"


def impossible(shape: Shape, options: tuple[Option, ...], fleet: Fleet) -> tuple[Refusal, str] | None:
    """Return why no wait can help as the cluster is, or None if the shape would fit on empty machines."""
    if options:
        return None
    if not fleet.is_schedulable.any():
        return Refusal.NO_NODES, _no_nodes(fleet)
    if shape.where:
        return _impossible_there(shape, fleet)
    if shape.devices and not _nodes_with_device(shape, fleet).any():
        return Refusal.NO_SUCH_DEVICE, _no_such_device(shape, fleet)
    return Refusal.TOO_LARGE, _too_large(shape, fleet)


def _impossible_there(shape: Shape, fleet: Fleet) -> tuple[Refusal, str]:
    nodes, where = places.nodes_where(fleet, shape.where), places.in_words(shape.where)
    if not nodes.any():
        return Refusal.NO_SUCH_PLACE, places.no_such_place(fleet, shape.where)
    part = Fleet([fleet.nodes[row] for row in np.flatnonzero(nodes).tolist()])
    found = impossible(shape._replace(where=()), (), part)
    assert found is not None
    return found[0], f"where {where}: {found[1]}"


def busy(shape: Shape, pool: Pool, fleet: Fleet, free: Ledger, opening: Opening | None) -> str:
    """Return what is short where it is closest to enough, and when more is expected."""
    there = _there(shape, pool)
    if shape.size > 1:
        rooms = int(_rooms(shape, pool, free).sum())
        text = f"{there}a gang of {gang(shape)} has room {_so_far(shape, rooms)} now"
        return f"{text}; {_next(opening, 'the rest is')}"
    node = opening.node if opening and pool.nodes[opening.node] else _closest(shape, pool, fleet, free)
    return f"{there}{shortage(shape, pool, fleet, free, node)}; {_next(opening, 'the next are')}"


def _so_far(shape: Shape, rooms: int) -> str:
    if shape.per_node:
        return f"on {min(rooms // shape.per_node, shape.parcels - 1)} of {shape.parcels} nodes"
    return f"for {min(rooms, shape.size - 1)} of {shape.size} replicas"


def _there(shape: Shape, pool: Pool) -> str:
    """Return in which part of the cluster that is, if it is not all that there is of the class."""
    parts = [places.in_words(shape.where)] if shape.where else []
    most = min([price for name, price in shape.ceilings if name in pool.classes], default=math.inf)
    if most < math.inf:
        parts.append(f"it costs at most {most * shape.size:.6g} an hour")
    return f"where {' and '.join(parts)}: " if parts else ""


def counted_lacks(shape: Shape, pool: Pool, free: Ledger) -> dict[str, int]:
    """Count the nodes of the pool that cannot take even one replica now, by the first thing that they lack."""
    full = np.flatnonzero(pool.nodes & (_rooms(shape, pool, free) == 0)).tolist()
    return dict(Counter(lacking(shape, pool, free, node) for node in full))


def lacking(shape: Shape, pool: Pool, free: Ledger, node: int) -> str:
    """Return which of device, cpu and memory is too little on `node` for one replica; "" if nothing is."""
    if shape.devices and _free_slots(shape, pool, free, node) < shape.devices:
        return "device"
    if free.cpu[node] < shape.cpu_milli:
        return "cpu"
    return "memory" if free.memory[node] < shape.memory_bytes else ""


def shortage(shape: Shape, pool: Pool, fleet: Fleet, free: Ledger, node: int) -> str:
    """Return what is too little on `node` for one replica."""
    name, lack = fleet.names[node], lacking(shape, pool, free, node)
    if lack == "device":
        columns = pool.columns[node]
        if shape.share_milli < WHOLE_DEVICE_MILLI:
            most = max((int(free.devices[node, c]) for c in columns), default=0)
            return f"needs {devices(shape)}; the emptiest on node {name} has {max(most, 0) / 1000:g} free"
        slots = _free_slots(shape, pool, free, node)
        return f"needs {devices(shape)}; node {name} has {slots} of {len(columns)} free"
    if lack == "memory":
        have = format_bytes(max(int(free.memory[node]), 0))
        total = format_bytes(int(fleet.memory_total[node]))
        what = f"needs {format_bytes(shape.memory_bytes)} of memory"
        return f"{what}; node {name} has {have} of {total} free{_foreign(fleet, node)}"
    if lack == "cpu":
        have = f"{max(int(free.cpu[node]), 0) / 1000:g} of {int(fleet.cpu_total[node]) / 1000:g}"
        return f"needs {cpus(shape.cpu_milli)}; node {name} has {have} free"
    return f"needs {needs(shape)}; node {name} has room that is kept for a task before it"


def _foreign(fleet: Fleet, node: int) -> str:
    foreign = fleet.nodes[node].foreign_bytes
    return f" ({format_bytes(foreign)} are used by processes that are not ours)" if foreign else ""


def _next(opening: Opening | None, what: str) -> str:
    if opening is None:
        return "nobody can say when more is free: what holds it runs until it is stopped"
    if not opening.ends:
        return f"{what} free now, but kept for a task before it"
    late = ", which is overdue," if opening.is_overdue else ""
    return f"{what} expected in {in_words(opening.seconds)} when '{opening.ends}'{late} ends"


def _closest(shape: Shape, pool: Pool, fleet: Fleet, free: Ledger) -> int:
    """Return the node of the pool, able when empty, that has most of the wanted free."""
    empty = fleet.ledger()
    able = _rooms(shape, pool, empty) > 0
    slots = np.maximum(free.devices, 0) * (pool.eligible if pool.eligible is not None else 0)
    amount = slots.sum(axis=1) * 10_000_000 + np.maximum(free.cpu, 0) if shape.devices else np.maximum(free.cpu, 0)
    return int(np.argmax(np.where(able, amount, -1)))


def _free_slots(shape: Shape, pool: Pool, free: Ledger, node: int) -> int:
    return sum(max(int(free.devices[node, c]), 0) // shape.share_milli for c in pool.columns[node])


def _rooms(shape: Shape, pool: Pool, free: Ledger) -> Ints:
    return rooms_of(shape, free.cpu, free.memory, free.devices, pool.eligible) * pool.nodes


def _no_nodes(fleet: Fleet) -> str:
    if not fleet.nodes:
        return "this cluster has no nodes yet: it waits until one joins"
    return f"none of the {len(fleet.nodes)} nodes takes new work: it waits until one is uncordoned or joins"


def _no_such_device(shape: Shape, fleet: Fleet) -> str:
    text = f"asks for {devices(shape)}{_bounds(shape)}; there is none, only {_classes(fleet)}"
    for one in shape.kind.split("|") if shape.kind else ():
        if any(is_kind(f"{one}-{MIG}", kind) for kind in fleet.device_kinds):
            text = f"{text}; parts of {one} are asked for as {one}-{MIG}"
    idle = sum(any(is_kind(shape.kind, d.kind) for d in n.devices) for n in fleet.nodes if not n.is_schedulable)
    return f"{text}; {idle} nodes that may have it take no new work" if idle else text


def _too_large(shape: Shape, fleet: Fleet) -> str:
    on = _nodes_with_device(shape, fleet) if shape.devices else fleet.is_schedulable
    most_cpu, most_memory = int(fleet.cpu_total[on].max()), int(fleet.memory_total[on].max())
    most_devices = int(_matching(shape, fleet)[on].sum(axis=1).max()) if shape.devices else 0
    if shape.devices > most_devices:
        return f"needs {devices(shape)} on one node; the most on one is {most_devices}{LARGER}"
    if shape.cpu_milli > most_cpu:
        return f"needs {cpus(shape.cpu_milli)} on one node; the largest has {most_cpu / 1000:g}{LARGER}"
    if shape.memory_bytes > most_memory:
        row = int(np.argmax(np.where(on, fleet.memory_total, -1)))
        have = f"{format_bytes(most_memory)}{_foreign(fleet, row)}"
        return f"needs {format_bytes(shape.memory_bytes)} of memory on one node; the largest has {have}{LARGER}"
    if shape.size == 1:
        return f"needs {needs(shape)} on one node; no node has all of it together{LARGER}"
    return f"a gang of {gang(shape)} {falls_short(shape, fleet)}{MORE}"


def _bounds(shape: Shape) -> str:
    if shape.device_memory_max:
        return f" with {format_bytes(shape.device_memory_min)} to {format_bytes(shape.device_memory_max)}"
    return f" with at least {format_bytes(shape.device_memory_min)}" if shape.device_memory_min else ""


def _classes(fleet: Fleet) -> str:
    names = [*fleet.device_kinds, *fleet.cpu_classes]
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more


def _matching(shape: Shape, fleet: Fleet) -> Bools:
    bounds = (shape.device_memory_min, shape.device_memory_max)
    matching: Bools = np.zeros(fleet.device_total.shape, dtype=np.bool_)
    for kind in fleet.device_kinds:
        eligible = fleet.device_pool(kind, *bounds).eligible
        if is_kind(shape.kind, kind) and eligible is not None:
            matching = matching | eligible
    return np.asarray(matching & (fleet.device_total >= shape.share_milli))


def _nodes_with_device(shape: Shape, fleet: Fleet) -> Bools:
    return np.asarray(_matching(shape, fleet).any(axis=1))
