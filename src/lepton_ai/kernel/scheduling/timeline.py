"""What will be free when: running tasks let go at their expected ends."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.demand import Shape, rooms_of
from lepton_ai.kernel.scheduling.fleet import Bools, Fleet, Ints, Ledger, Pool
from lepton_ai.kernel.scheduling.held import Holdings

N = TypeVar("N", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Opening:
    """The first moment at which a shape has room, and where; what ends then ("" for what is free now)."""

    seconds: float
    node: int
    ends: str
    is_overdue: bool = False


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


class Timeline:
    """Free amounts of every node after each release, sorted by node and time; each node's first row is now."""

    def __init__(self, free: Ledger, holdings: Holdings) -> None:
        ending = np.flatnonzero(holdings.ends_in < math.inf)
        nodes = len(free.cpu)
        node = np.concatenate([np.arange(nodes), holdings.node[ending]])
        time = np.concatenate([np.zeros(nodes), holdings.ends_in[ending]])
        order = np.lexsort((time, node))
        self._names: list[object] = holdings.names.tolist()
        self._overdue: list[bool] = holdings.overdue.tolist()
        self.node, self.time = node[order], time[order]
        self._source = np.concatenate([np.full(nodes, -1), ending])[order]
        self._first = np.flatnonzero(order < nodes)
        self.cpu = self._added_up(np.concatenate([free.cpu, holdings.cpu[ending]])[order])
        self.memory = self._added_up(np.concatenate([free.memory, holdings.memory[ending]])[order])
        self.devices = self._added_up(np.concatenate([free.devices, holdings.devices[ending]])[order])
        self._views: dict[int, _View] = {}

    def _added_up(self, steps: Ints) -> Ints:
        """Sum up each node's own steps."""
        total = np.cumsum(steps, axis=0)
        before = total[self._first] - steps[self._first]
        lengths = np.diff(np.append(self._first, len(steps)))
        return total - np.repeat(before, lengths, axis=0)

    def hold(self, more: Holdings) -> None:
        """Let `more` be held from now on until its ends; a few rows cost a fraction of a new timeline."""
        for row in range(len(more.node)):
            node, ends_in = int(more.node[row]), float(more.ends_in[row])
            start, end = self._span(node)
            until = start + int(np.searchsorted(self.time[start:end], ends_in, side="right"))
            self.cpu[start:until] -= more.cpu[row]
            self.memory[start:until] -= more.memory[row]
            self.devices[start:until] -= more.devices[row]
            if ends_in < math.inf:
                self._release(until, more, row)
        self._views.clear()

    def _release(self, at: int, more: Holdings, row: int) -> None:
        """Begin at row `at` the time after which one of `more` is free again."""
        before = at - 1  # of the same node: its first row is now
        self.cpu = _with_row(self.cpu, at, self.cpu[before] + more.cpu[row])
        self.memory = _with_row(self.memory, at, self.memory[before] + more.memory[row])
        self.devices = _with_row(self.devices, at, self.devices[before] + more.devices[row])
        self.node = _with_row(self.node, at, more.node[row])
        self.time = _with_row(self.time, at, more.ends_in[row])
        self._source = _with_row(self._source, at, len(self._names))
        self._names.append(more.names[row])
        self._overdue.append(bool(more.overdue[row]))
        self._first[int(more.node[row]) + 1 :] += 1

    def opening(self, shape: Shape, pool: Pool) -> Opening | None:
        """Return when the whole gang first has room, or None if what ends is not enough."""
        view = self._views.get(id(pool)) or self._view(pool)
        row = _row_of_opening(rooms_of(shape, view.cpu, view.memory, view.devices, view.eligible), shape.size, view)
        if row is None:
            return None
        source, seconds, node = int(self._source[view.rows[row]]), float(view.time[row]), int(view.node[row])
        if source < 0:
            return Opening(seconds, node, "")
        return Opening(seconds, node, str(self._names[source]), self._overdue[source])

    def nodes_with_room(self, shape: Shape, pool: Pool, seconds: float) -> Ints:
        """Return the nodes of the pool that can take at least one replica at that moment or before."""
        view = self._views.get(id(pool)) or self._view(pool)
        rooms = rooms_of(shape, view.cpu, view.memory, view.devices, view.eligible)
        return np.unique(view.node[(rooms > 0) & (view.time <= seconds)])

    def _view(self, pool: Pool) -> _View:
        rows = np.flatnonzero(pool.nodes[self.node])
        node, time = self.node[rows], self.time[rows]
        eligible = None if pool.eligible is None else pool.eligible[node]
        view = _View(rows, node, time, self.cpu[rows], self.memory[rows], self.devices[rows], eligible)
        self._views[id(pool)] = view
        return view

    def row_at(self, node: int, seconds: float) -> int:
        """Return the row that tells what is free on `node` at that moment."""
        start, end = self._span(node)
        return start + int(np.searchsorted(self.time[start:end], seconds, side="right")) - 1

    def _span(self, node: int) -> tuple[int, int]:
        end = int(self._first[node + 1]) if node + 1 < len(self._first) else len(self.time)
        return int(self._first[node]), end


def _with_row(rows: npt.NDArray[N], at: int, row: object) -> npt.NDArray[N]:
    """Return `rows` with one more before row `at`: np.insert, which takes ten times as long for so little."""
    found = np.empty((len(rows) + 1, *rows.shape[1:]), dtype=rows.dtype)
    found[:at], found[at], found[at + 1 :] = rows[:at], row, rows[at:]
    return found


def _row_of_opening(rooms: Ints, size: int, view: _View) -> int | None:
    """Return the first row by time at which all nodes together have room for `size` replicas."""
    if size == 1:
        with_room = np.flatnonzero(rooms)
        return int(with_room[view.time[with_room].argmin()]) if len(with_room) else None
    by_time = np.argsort(view.time, kind="stable")
    gains, first = np.diff(rooms, prepend=0), np.flatnonzero(np.diff(view.node, prepend=-1))
    gains[first] = rooms[first]  # where each node begins
    reached = np.cumsum(gains[by_time])
    at = int(np.searchsorted(reached, size))
    return int(by_time[at]) if at < len(reached) else None


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


def releases_of(fleet: Fleet, free: Ledger, holdings: Holdings, resource_class: str) -> Releases:
    """Add up what is free and the expected ends of what is held on `resource_class`."""
    size = fleet.class_size(resource_class)
    free_share = _free_share(fleet, free, resource_class, size)
    on_class = holdings.resource_class == fleet.class_codes.get(resource_class, -2)
    rows = np.flatnonzero(on_class & (holdings.ends_in < math.inf))
    rows = rows[np.argsort(holdings.ends_in[rows], kind="stable")]
    if size[2]:
        shares = holdings.devices[rows].sum(axis=1) / size[2]
    else:
        cpu = holdings.cpu[rows] / size[0] if size[0] else np.zeros(len(rows))
        shares = np.maximum(cpu, holdings.memory[rows] / size[1] if size[1] else 0.0)
    times = (0.0, *holdings.ends_in[rows].tolist())
    return Releases(times, tuple(np.cumsum([free_share, *shares.tolist()]).tolist()))


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
