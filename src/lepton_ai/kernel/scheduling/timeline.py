"""What will be free when: running tasks let go at their expected ends."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.demand import Shape, rooms_of
from lepton_ai.kernel.scheduling.fleet import Bools, Fleet, Holding, Ints, Ledger, Pool


@dataclass(frozen=True, slots=True)
class Opening:
    """The first moment at which a shape has room, and what ends then, and where."""

    seconds: float
    node: int
    holding: Holding | None


@dataclass(frozen=True, slots=True)
class _View:
    """The rows of one pool's nodes; all shapes that look at a pool share it."""

    rows: Ints
    node: Ints
    time: npt.NDArray[np.float64]
    cpu: Ints
    memory: Ints
    devices: Ints
    eligible: Bools | None
    first: Ints  # where each node begins
    by_time: Ints


class Timeline:
    """Free amounts of every node after each release, sorted by node and time; each node's first row is now."""

    def __init__(self, free: Ledger, holdings: Sequence[Holding]) -> None:
        ending = [holding for holding in holdings if holding.ends_in < math.inf]
        nodes = len(free.cpu)
        node = np.concatenate([np.arange(nodes), np.array([h.node for h in ending], dtype=np.int64)])
        time = np.concatenate([np.zeros(nodes), np.array([h.ends_in for h in ending], dtype=np.float64)])
        devices = np.zeros((len(ending), free.devices.shape[1]), dtype=np.int64)
        for row, holding in enumerate(ending):
            for column, share in holding.devices:
                devices[row, column] = share
        order = np.lexsort((time, node))
        self._ending = ending
        self.node, self.time, self._source = node[order], time[order], order - nodes
        self._first = np.flatnonzero(order < nodes)
        cpu = np.concatenate([free.cpu, np.array([h.cpu_milli for h in ending], dtype=np.int64)])
        memory = np.concatenate([free.memory, np.array([h.memory_bytes for h in ending], dtype=np.int64)])
        self.cpu, self.memory = self._added_up(cpu[order]), self._added_up(memory[order])
        self.devices = self._added_up(np.concatenate([free.devices, devices])[order])
        self._views: dict[int, _View] = {}

    def _added_up(self, steps: Ints) -> Ints:
        """Sum up each node's own steps."""
        total = np.cumsum(steps, axis=0)
        before = total[self._first] - steps[self._first]
        lengths = np.diff(np.append(self._first, len(steps)))
        return total - np.repeat(before, lengths, axis=0)

    def opening(self, shape: Shape, pool: Pool) -> Opening | None:
        """Return when the whole gang first has room, or None if what ends is not enough."""
        view = self._views.get(id(pool)) or self._view(pool)
        row = _row_of_opening(rooms_of(shape, view.cpu, view.memory, view.devices, view.eligible), shape.size, view)
        if row is None:
            return None
        source = int(self._source[view.rows[row]])
        return Opening(float(view.time[row]), int(view.node[row]), self._ending[source] if source >= 0 else None)

    def nodes_with_room(self, shape: Shape, pool: Pool, seconds: float) -> Ints:
        """Return the nodes of the pool that can take at least one replica at that moment or before."""
        view = self._views.get(id(pool)) or self._view(pool)
        rooms = rooms_of(shape, view.cpu, view.memory, view.devices, view.eligible)
        return np.unique(view.node[(rooms > 0) & (view.time <= seconds)])

    def _view(self, pool: Pool) -> _View:
        rows = np.flatnonzero(pool.nodes[self.node])
        node, time = self.node[rows], self.time[rows]
        eligible = None if pool.eligible is None else pool.eligible[node]
        first = np.flatnonzero(np.diff(node, prepend=-1))
        by_time = np.argsort(time, kind="stable")
        view = _View(rows, node, time, self.cpu[rows], self.memory[rows], self.devices[rows], eligible, first, by_time)
        self._views[id(pool)] = view
        return view

    def row_at(self, node: int, seconds: float) -> int:
        """Return the row that tells what is free on `node` at that moment."""
        start = int(self._first[node])
        end = int(self._first[node + 1]) if node + 1 < len(self._first) else len(self.time)
        return start + int(np.searchsorted(self.time[start:end], seconds, side="right")) - 1


def _row_of_opening(rooms: Ints, size: int, view: _View) -> int | None:
    """Return the first row by time at which all nodes together have room for `size` replicas."""
    if size == 1:
        with_room = np.flatnonzero(rooms[view.by_time])
        return int(view.by_time[with_room[0]]) if len(with_room) else None
    gains = np.diff(rooms, prepend=0)
    gains[view.first] = rooms[view.first]
    reached = np.cumsum(gains[view.by_time])
    first = int(np.searchsorted(reached, size))
    return int(view.by_time[first]) if first < len(reached) else None


@dataclass(frozen=True, slots=True)
class Releases:
    """When how much of one class becomes free, as shares of that class: a quick estimate of when a queue drains."""

    times: tuple[float, ...]
    shares: tuple[float, ...]  # added up, from what is free now

    def delay(self, ahead: float, seconds_each: float) -> float:
        """Return in how many seconds `ahead` shares are free, once all that ends now is used again and again.

        `seconds_each` is how long those ahead in the queue run: what they take is released after that time.
        """
        if not self.shares or self.shares[-1] <= 0:
            return math.inf
        rounds, rest = divmod(ahead, self.shares[-1])
        if rest <= 0 < rounds:
            rounds, rest = rounds - 1, self.shares[-1]
        at = min(bisect_left(self.shares, rest * (1 - 1e-9)), len(self.times) - 1)
        return self.times[at] + rounds * seconds_each


def releases_of(fleet: Fleet, free: Ledger, holdings: Sequence[Holding], resource_class: str) -> Releases:
    """Add up what is free and the expected ends of what is held on `resource_class`."""
    size = fleet.class_size(resource_class)
    free_share = _free_share(fleet, free, resource_class, size)
    ending = [h for h in holdings if h.resource_class == resource_class and h.ends_in < math.inf]
    ending.sort(key=itemgetter(0))  # by when they end
    if size[2]:
        shares = [sum([share for _, share in h.devices]) / size[2] for h in ending]
    else:
        shares = [share_of_class(h.cpu_milli, h.memory_bytes, 0, size) for h in ending]
    return Releases((0.0, *[h.ends_in for h in ending]), tuple(np.cumsum([free_share, *shares]).tolist()))


def share_of_class(cpu_milli: int, memory_bytes: int, devices_milli: int, size: tuple[int, int, int]) -> float:
    """Return the largest fraction that these amounts are of a class of that size."""
    if size[2]:
        return devices_milli / size[2]
    return max(cpu_milli / size[0] if size[0] else 0.0, memory_bytes / size[1] if size[1] else 0.0)


def _free_share(fleet: Fleet, free: Ledger, resource_class: str, size: tuple[int, int, int]) -> float:
    if size[2]:
        return max(0.0, float(free.devices[fleet.device_pool(resource_class, 0, 0).eligible].sum())) / size[2]
    if not size[0] or not size[1]:
        return 0.0
    nodes = fleet.cpu_class == fleet.cpu_classes.index(resource_class)
    return max(0.0, min(float(free.cpu[nodes].sum()) / size[0], float(free.memory[nodes].sum()) / size[1]))
