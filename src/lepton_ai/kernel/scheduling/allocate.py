"""Which nodes and devices a gang takes: first fit in an order that keeps whole nodes and whole devices free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from lepton_ai.kernel.scheduling.demand import Shape, rooms_of
from lepton_ai.kernel.scheduling.fleet import Fleet, Ints, Ledger, Pool
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI, Allocation, DeviceShare

FULL_NODES_MAX = 16  # so many full nodes a gang's search passes before it forgets them
CEILING_USES = 64  # renewing a ceiling costs as much as one closer look
Spot = tuple[int, tuple[int, ...]]  # one replica: its node and the columns of its devices


@dataclass(frozen=True, slots=True)
class Room:
    """What a search looks at: `left` is what may be taken, that is, what is `free` less what is kept for others."""

    fleet: Fleet
    free: Ledger
    left: Ledger
    broken: list[int]  # nodes in the order in which a whole device of theirs was broken


@dataclass(slots=True)
class Cursor:
    """How far the search for one shape in one pool has got.

    Free amounts only shrink within a pass, so what was too full once stays so, and the search never goes back: a pass
    costs one look at the nodes per shape, not per task.
    """

    shape: Shape
    pool: Pool
    left: Ledger
    order: list[int]  # nodes that had room when the search began, best first
    broken: list[int]  # shared by all cursors: nodes in the order in which a whole device of theirs was broken
    partly: list[int] = field(default_factory=list)  # nodes whose partly used devices have room, tightest first
    at: int = 0  # at the end of the order: no room, not in this pass
    partly_at: int = 0
    broken_at: int = 0

    def find(self) -> list[Spot] | None:
        """Return a spot for every replica, or None if the gang has no room; takes nothing."""
        if self.at >= len(self.order):
            return None
        if self.shape.size > 1:
            return self._find_gang()
        return self._find_with_devices() if self.shape.devices else self._find_without_devices()

    def _find_gang(self) -> list[Spot] | None:
        spots: list[Spot] = []
        full = 0
        for node in islice(self.order, self.at, None):
            here = self._spots_on(node, self.shape.size - len(spots))
            spots += here
            if len(spots) == self.shape.size:
                return spots
            if here:
                continue
            full += 1
            if not spots:
                self.at += 1  # full now, full for the rest of the pass
            if full > FULL_NODES_MAX:
                self._forget_full_nodes()
                return self._find_gang()
        self.order = []
        return None

    def _find_with_devices(self) -> list[Spot] | None:
        if self.shape.share_milli < WHOLE_DEVICE_MILLI:
            spot = self._find_partly_used()
            if spot is not None:
                return [spot]
        full = 0
        while self.at < len(self.order):
            spot = self._spot_on(self.order[self.at])
            if spot is not None:
                return [spot]
            self.at += 1
            full += 1
            if full > FULL_NODES_MAX:
                self._forget_full_nodes()
                full = 0
        return None

    def _find_without_devices(self) -> list[Spot] | None:
        """Two numbers per node decide, for most tasks of most queues."""
        cpu, memory, order = self.shape.cpu_milli, self.shape.memory_bytes, self.order
        cpu_left, memory_left = self.left.cpu_cells, self.left.memory_cells
        for at in range(self.at, len(order)):
            node = order[at]
            if (cpu <= cpu_left[node] or not cpu) and (memory <= memory_left[node] or not memory):
                self.at = at
                return [(node, ())]
        self.at = len(order)
        return None

    def _find_partly_used(self) -> Spot | None:
        """Look at devices that are broken already before another whole one is."""
        while self.partly_at < len(self.partly):
            spot = self._spot_on(self.partly[self.partly_at], only_broken=True)
            if spot is not None:
                return spot
            self.partly_at += 1
        while self.broken_at < len(self.broken):
            node = self.broken[self.broken_at]
            spot = self._spot_on(node, only_broken=True) if self.pool.nodes[node] else None
            if spot is not None:
                return spot
            self.broken_at += 1
        return None

    def _spot_on(self, node: int, *, only_broken: bool = False) -> Spot | None:
        """Return devices for one replica on `node`: a share of the fullest that has it, or whole ones."""
        shape, left = self.shape, self.left
        if shape.cpu_milli > left.cpu_cells[node] and shape.cpu_milli:
            return None
        if shape.memory_bytes > left.memory_cells[node] and shape.memory_bytes:
            return None
        free = left.devices_of(node)
        if shape.share_milli < WHOLE_DEVICE_MILLI:
            column = _tightest(free, self.pool.columns[node], shape.share_milli, only_broken=only_broken)
            return None if column is None else (node, (column,))
        whole = tuple([c for c in self.pool.columns[node] if free[c] >= WHOLE_DEVICE_MILLI])
        return (node, whole[: shape.devices]) if len(whole) >= shape.devices else None

    def _spots_on(self, node: int, wanted: int) -> list[Spot]:
        """Return up to `wanted` spots on `node` for replicas of a gang."""
        shape, room = self.shape, wanted
        cpu, memory = shape.cpu_milli, shape.memory_bytes
        cpu_left, memory_left = self.left.cpu_cells[node], self.left.memory_cells[node]
        if cpu > max(cpu_left, 0) or memory > max(memory_left, 0):
            return []
        room = min(room, cpu_left // cpu if cpu else room, memory_left // memory if memory else room)
        if not shape.devices:
            return [(node, ())] * room
        free, columns, count = self.left.devices_of(node), self.pool.columns[node], shape.devices
        if shape.share_milli < WHOLE_DEVICE_MILLI:
            return [(node, (c,)) for c in _tightest_first(free, columns, shape.share_milli, room)]
        whole = [c for c in columns if free[c] >= WHOLE_DEVICE_MILLI]
        return [(node, tuple(whole[i * count : (i + 1) * count])) for i in range(min(room, len(whole) // count))]

    def _forget_full_nodes(self) -> None:
        """Drop all nodes without room from what is left of the order, in one look."""
        rows = np.array(self.order[self.at :], dtype=np.int64)
        rooms = rooms_in(self.shape, self.pool, self.left, rows)
        self.order, self.at = rows[rooms > 0].tolist(), 0
        if int(rooms.sum()) < self.shape.size:
            self.order = []


def cursor_for(shape: Shape, pool: Pool, room: Room) -> Cursor:
    """Look at all nodes once and begin a search over those that have room now."""
    rows = np.flatnonzero(pool.nodes)
    rooms = rooms_in(shape, pool, room.left, rows)
    if int(rooms.sum()) < shape.size:
        return Cursor(shape, pool, room.left, [], room.broken)
    has_room = rooms > 0
    rows, rooms = rows[has_room], rooms[has_room]
    order = rows[np.lexsort(_preference(shape, rooms, rows, room))].tolist()
    partly = _partly_used(shape, pool, rows, room) if shape.devices else []
    return Cursor(shape, pool, room.left, order, room.broken, partly, broken_at=len(room.broken))


class Ceilings:
    """The most CPU and memory that any node of a pool has free: most shapes of a long queue need no closer look.

    Free amounts only shrink within a pass, so that an old ceiling is too high at worst; it is renewed now and then.
    """

    def __init__(self, free: Ledger) -> None:
        self._free = free
        self._known: dict[int, list[int]] = {}  # most CPU, most memory, uses left

    def may_fit(self, shape: Shape, pool: Pool) -> bool:
        """Tell whether one replica may fit on some node; True is no promise."""
        ceiling = self._known.get(id(pool))
        if ceiling is None or ceiling[2] <= 0:
            most = (int(self._free.cpu[pool.nodes].max()), int(self._free.memory[pool.nodes].max()))
            ceiling = self._known[id(pool)] = [*most, CEILING_USES]
        ceiling[2] -= 1
        return shape.cpu_milli <= ceiling[0] and shape.memory_bytes <= ceiling[1]


def rooms_in(shape: Shape, pool: Pool, free: Ledger, rows: Ints) -> Ints:
    """Return how many replicas fit on each of `rows`."""
    eligible = None if pool.eligible is None else pool.eligible[rows]
    devices = free.devices[rows] if shape.devices else free.devices
    return rooms_of(shape, free.cpu[rows], free.memory[rows], devices, eligible)


def allocations_of(spots: Sequence[Spot], shape: Shape, fleet: Fleet) -> tuple[Allocation, ...]:
    """Return the spots as allocations, ranks in the order of the spots."""
    allocations = []
    shares: tuple[DeviceShare, ...]
    for rank, (row, columns) in enumerate(spots):
        node = fleet.nodes[row]
        resource_class, shares = node.cpu_class, ()
        if columns:
            resource_class = node.devices[columns[0]].kind
            shares = tuple([DeviceShare(node.devices[column].id, shape.share_milli) for column in columns])
        allocations.append(Allocation(rank, node.name, shape.cpu_milli, shape.memory_bytes, resource_class, shares))
    return tuple(allocations)


def _preference(shape: Shape, rooms: Ints, rows: Ints, room: Room) -> tuple[Ints, Ints]:
    """Return sort keys, the weightier one last; nodes that are alike stay in their order.

    CPU work shuns nodes with accelerators. A gang goes where most of it fits, a single replica to a node that is in use
    already, so that whole nodes stay free for gangs.
    """
    fleet, free = room.fleet, room.free
    shunned = (fleet.has_devices[rows] & (shape.devices == 0)).astype(np.int64)
    if shape.size > 1:
        return -rooms, shunned
    is_idle = (free.cpu[rows] == fleet.cpu_total[rows]) & (free.devices[rows] == fleet.device_total[rows]).all(axis=1)
    return is_idle.astype(np.int64), shunned


def _partly_used(shape: Shape, pool: Pool, rows: Ints, room: Room) -> list[int]:
    """Return those of `rows` with a broken device that has room, the tightest first."""
    if pool.eligible is None or shape.share_milli >= WHOLE_DEVICE_MILLI:
        return []
    left = room.left.devices[rows]
    fits = (left >= shape.share_milli) & (left < room.fleet.device_total[rows]) & pool.eligible[rows]
    tightness = np.where(fits, left, WHOLE_DEVICE_MILLI + 1).min(axis=1)
    count = int(fits.any(axis=1).sum())
    tightest: list[int] = rows[np.argsort(tightness, kind="stable")[:count]].tolist()
    return tightest


def _tightest(free: Sequence[int], columns: Sequence[int], share: int, *, only_broken: bool) -> int | None:
    """Return the fullest device with room for the share."""
    tightest, least = None, WHOLE_DEVICE_MILLI if only_broken else WHOLE_DEVICE_MILLI + 1
    for column in columns:
        if share <= free[column] < least:
            tightest, least = column, free[column]
    return tightest


def _tightest_first(free: Sequence[int], columns: Sequence[int], share: int, wanted: int) -> list[int]:
    """Return devices for up to `wanted` shares: broken ones first, the fullest of them first."""
    chosen: list[int] = []
    for amount, column in sorted((free[column], column) for column in columns if free[column] >= share):
        chosen += [column] * min(amount // share, wanted - len(chosen))
    return chosen


def take(ledger: Ledger, spots: Sequence[Spot], shape: Shape) -> None:
    """Subtract what a gang of that shape holds on `spots`."""
    cpu, memory, devices, width = ledger.cpu_cells, ledger.memory_cells, ledger.device_cells, ledger.width
    for node, columns in spots:
        cpu[node] -= shape.cpu_milli
        memory[node] -= shape.memory_bytes
        for column in columns:
            devices[node * width + column] -= shape.share_milli
