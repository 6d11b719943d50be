"""Where the tasks of one shape could sit now: kept true node by node, so that a decision costs what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lepton_ai.kernel.scheduling.demand import Shape, rooms_of
from lepton_ai.kernel.scheduling.fleet import Fleet, Ints, Ledger, Pool
from lepton_ai.kernel.scheduling.score import Scorer
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI, Allocation, DeviceShare

Spot = tuple[int, tuple[int, ...]]  # one replica: its node and the columns of its devices

SEATS_MAX = 512  # kept from pass to pass: 512 x 1,000 nodes x 16 bytes = 8 MB
LOG_MAX = 100_000  # changes that are remembered
CEILING_USES = 64  # renewing a ceiling costs as much as one closer look


class Room(NamedTuple):
    """Free amounts, and the log of the nodes at which they changed, oldest first."""

    scorer: Scorer
    left: Ledger
    touched: list[int]

    @property
    def changes(self) -> int:
        """How often something changed so far, within a pass."""
        return len(self.touched)


class Seats:
    """How many replicas of a shape fit on each node of a pool (`rooms`), and how welcome each node is (least first)."""

    __slots__ = ("_place", "_room", "_rows", "_seen", "pool", "rooms", "score", "shape")

    def __init__(self, shape: Shape, pool: Pool, room: Room) -> None:
        self.shape, self.pool, self._room = shape, pool, room
        self._rows = pool.rows
        self._look(slice(None))
        self._seen = len(room.touched)

    def find(self) -> list[Spot] | None:
        """Return a spot for every replica, or None if the gang has no room; takes nothing."""
        self._catch_up()
        if self.shape.size > 1:
            return self._gang()
        best = int(self.score.argmin()) if len(self.score) else -1
        if best < 0 or not self.rooms[best]:
            return None
        node = int(self._rows[best])
        return [(node, self._devices_on(node))]

    def has_room(self) -> bool:
        """Tell whether the whole gang would find room."""
        self._catch_up()
        return bool(self.rooms.any()) if self.shape.size == 1 else int(self.rooms.sum()) >= self.shape.size

    def open_nodes(self, but: Ints) -> Ints:
        """Count for each node of `but` the others with room for a replica."""
        self._catch_up()
        is_open, place = self.rooms > 0, self.pool.place[but]
        counts: Ints = np.count_nonzero(is_open) - np.where(place >= 0, is_open[place], False)
        return counts

    def _catch_up(self) -> None:
        touched = self._room.touched
        behind = len(touched) - self._seen
        if not behind:
            return
        if behind > len(self._rows):
            self._look(slice(None))
        else:
            places = self.pool.place[touched[self._seen :]]
            places = places[places >= 0]
            if len(places):
                self._look(places)  # a node that changed twice is looked at twice: cheaper than to sort them out
        self._seen = len(touched)

    def _look(self, places: slice | Ints) -> None:
        left, shape, pool = self._room.left, self.shape, self.pool
        rows = self._rows[places]
        cpu, memory = left.cpu[rows], left.memory[rows]
        devices = left.devices[rows]
        eligible = None if pool.eligible is None else pool.eligible[rows]
        rooms = rooms_of(shape, cpu, memory, devices, eligible)
        score = self._room.scorer.scores(shape, rows, (cpu, devices))
        score[rooms == 0] = np.inf
        if isinstance(places, slice):
            self.rooms, self.score = rooms, score
        else:
            self.rooms[places], self.score[places] = rooms, score

    def _gang(self) -> list[Spot] | None:
        """Fill the nodes that hold most of the gang first, so that it spreads over as few as possible."""
        if int(self.rooms.sum()) < self.shape.size:
            return None
        spots: list[Spot] = []
        for place in np.lexsort((self.score, -self.rooms)).tolist():
            spots += self._spots_on(int(self._rows[place]), min(int(self.rooms[place]), self.shape.size - len(spots)))
            if len(spots) == self.shape.size:
                return spots
        return None

    def _devices_on(self, node: int) -> tuple[int, ...]:
        """Return devices for one replica: a share of the fullest that has it, or whole ones."""
        if not self.shape.devices:
            return ()
        free, share = self._room.left.devices_of(node), self.shape.share_milli
        fitting = [column for column in self.pool.columns[node] if free[column] >= share]
        if share < WHOLE_DEVICE_MILLI:
            return (min(fitting, key=free.__getitem__),)
        return tuple(fitting[: self.shape.devices])

    def _spots_on(self, node: int, wanted: int) -> list[Spot]:
        shape, count = self.shape, self.shape.devices
        if not count:
            return [(node, ())] * wanted
        free, columns = self._room.left.devices_of(node), self.pool.columns[node]
        if shape.share_milli < WHOLE_DEVICE_MILLI:
            return [(node, (c,)) for c in _tightest_first(free, columns, shape.share_milli, wanted)]
        whole = [c for c in columns if free[c] >= WHOLE_DEVICE_MILLI]
        return [(node, tuple(whole[i * count : (i + 1) * count])) for i in range(wanted)]


class SeatCache:
    """The seats that were asked for last, over what is free now."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._kept: dict[tuple[int, int], Seats] = {}

    def of(self, key: tuple[int, int], shape: Shape, pool: Pool) -> Seats:
        """Return the seats of a shape (by number) on one of its options (by number)."""
        seats = self._kept.pop(key, None)
        if seats is None:
            seats = Seats(shape, pool, self._room)
            if len(self._kept) >= SEATS_MAX:
                del self._kept[next(iter(self._kept))]
        self._kept[key] = seats  # at the end: used last
        return seats

    def renew(self, scorer: Scorer) -> None:
        """Score by other prices from now on."""
        self._room = self._room._replace(scorer=scorer)
        self._kept.clear()

    def shorten_log(self) -> None:
        """Begin the log of changes anew once it is long."""
        if len(self._room.touched) > LOG_MAX:
            self._room.touched.clear()
            self._kept.clear()


class Ceilings:
    """The most CPU and memory that any node of a pool has free: most shapes of a long queue need no closer look.

    Free amounts only shrink within a walk, so that an old ceiling is too high at worst; it is renewed now and then.
    """

    def __init__(self, free: Ledger) -> None:
        self._free = free
        self._known: dict[int, list[int]] = {}  # most CPU, most memory, uses left

    def may_fit(self, shape: Shape, pool: Pool) -> bool:
        """Tell whether one replica may fit on some node; True is no promise."""
        ceiling = self._known.get(id(pool))
        if ceiling is None or ceiling[2] <= 0:
            most = (int(self._free.cpu[pool.rows].max()), int(self._free.memory[pool.rows].max()))
            ceiling = self._known[id(pool)] = [*most, CEILING_USES]
        ceiling[2] -= 1
        return shape.cpu_milli <= ceiling[0] and shape.memory_bytes <= ceiling[1]


def take(ledger: Ledger, spots: Sequence[Spot], shape: Shape) -> None:
    """Subtract what a gang of that shape holds on `spots`."""
    cpu, memory, devices, width = ledger.cpu_cells, ledger.memory_cells, ledger.device_cells, ledger.width
    for node, columns in spots:
        cpu[node] -= shape.cpu_milli
        memory[node] -= shape.memory_bytes
        for column in columns:
            devices[node * width + column] -= shape.share_milli


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


def _tightest_first(free: Sequence[int], columns: Sequence[int], share: int, wanted: int) -> list[int]:
    """Return devices for up to `wanted` shares: broken ones first, the fullest of them first."""
    chosen: list[int] = []
    for amount, column in sorted((free[column], column) for column in columns if free[column] >= share):
        chosen += [column] * min(amount // share, wanted - len(chosen))
    return chosen
