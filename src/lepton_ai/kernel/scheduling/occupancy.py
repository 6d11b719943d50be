"""What is held: by what runs, by what a pass has started, and by what it reserves for later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.kernel.scheduling.fleet import Fleet, Ints, Ledger
from lepton_ai.kernel.scheduling.held import Held, Holdings, together
from lepton_ai.kernel.scheduling.mix import Mix, Wish
from lepton_ai.kernel.scheduling.reserve import Reservation
from lepton_ai.kernel.scheduling.score import Scorer
from lepton_ai.kernel.scheduling.seats import Room, SeatCache, Spot, take
from lepton_ai.kernel.scheduling.shares import Shares
from lepton_ai.kernel.scheduling.snapshot import ProjectView
from lepton_ai.kernel.scheduling.timeline import Timeline
from lepton_ai.types.resources import Allocation

HOLD_MAX = 16  # so many replicas are added to a timeline one by one; with more, a new one costs less

Mask = tuple[int, ...]  # numbers of the reservations that a task would outlast, and must leave room for


class Occupancy:
    """What is free now (`now.left`), and who holds the rest. It outlives a pass; starts and ends change it."""

    def __init__(self, fleet: Fleet, projects: Sequence[ProjectView] = ()) -> None:
        self.fleet, self.held, self.mix = fleet, Held(fleet), Mix(fleet)
        self.shares = Shares(projects, fleet)
        self.scorer = Scorer(fleet, self.mix.prices())
        self.now = Room(self.scorer, fleet.ledger(), [])
        self.seats = SeatCache(self.now)
        self.freed: set[int] = set()  # nodes where something became free since somebody last looked

    @property
    def free(self) -> Ledger:
        return self.now.left

    def reprice(self, waiting: Mapping[Wish, int]) -> None:
        """Score nodes by the prices of what is asked for now, if they have changed; `waiting` is what is waited for."""
        prices = self.mix.prices(waiting)
        if prices != self.scorer.prices:
            self.scorer = Scorer(self.fleet, prices)
            self.now = self.now._replace(scorer=self.scorer)
            self.seats.renew(self.scorer)

    def hold(self, task: tuple[str, str], allocations: Sequence[Allocation], ends_at: float) -> None:
        """Let a task (id, name) hold `allocations` until about `ends_at`; what it held before, it gives back."""
        if task[0] in self.held:
            self.release(task[0])
        self.held.add(task, allocations, ends_at)
        for allocation in allocations:
            row = self.fleet.index.get(allocation.node, -1)
            if row >= 0:
                self._give(row, -allocation.cpu_milli, -allocation.memory_bytes)
                for share in allocation.devices:
                    column = self.fleet.columns.get((row, share.device_id), -1)
                    if column >= 0:
                        self.free.devices[row, column] -= share.share_milli

    def release(self, task_id: str) -> None:
        """Give back all that a task holds."""
        self.shares.release(task_id)
        for row, cpu, memory, devices in self.held.remove(task_id):
            self._give(row, cpu, memory)
            self.free.devices[row] += devices
            self.freed.add(row)

    def _give(self, row: int, cpu: int, memory: int) -> None:
        self.free.cpu[row] += cpu
        self.free.memory[row] += memory
        self.now.touched.append(row)


class Ahead:
    """What a pass keeps for those who wait at the head, and what is left beside it to tasks that would outlast that."""

    def __init__(self, occupancy: Occupancy, now: float) -> None:
        self._occupancy, self._now = occupancy, now
        self.reservations: list[Reservation] = []
        self._rooms: dict[Mask, Room] = {}
        self._timeline: Timeline | None = None  # until something changes

    def room(self, mask: Mask) -> Room:
        """Return the room beside the reservations in `mask`; within a pass it only shrinks."""
        if not mask:
            return self._occupancy.now
        room = self._rooms.get(mask)
        if room is None:
            free = self._occupancy.free
            room = self._rooms[mask] = Room(self._occupancy.scorer, free.copy(), [])
            for node in frozenset().union(*(self.reservations[k].spare.rows for k in mask)):
                self._set_least(room.left, mask, node)
        return room

    def start(self, spots: Sequence[Spot], shape: Shape, ends_in: float) -> None:
        """Take note that a task now holds `spots`; of what is reserved it uses the spare part if it outlasts it."""
        self._timeline = None
        for reservation in self.reservations:
            if ends_in > reservation.seconds:
                take(reservation.spare, spots, shape)
        for mask, room in self._rooms.items():
            take(room.left, spots, shape)
            for node in {node for node, _ in spots}:
                self._set_least(room.left, mask, node)
                room.touched.append(node)

    def expect_soon(self, task_ids: Sequence[str]) -> None:
        """Take note that these are being stopped."""
        self._timeline = None
        for task_id in task_ids:
            self._occupancy.held.set_end(task_id, self._now)

    def reserve(self, reservation: Reservation) -> None:
        """Keep room for a task that waits."""
        self.reservations.append(reservation)
        if self._timeline is not None and len(reservation.spots) <= HOLD_MAX:
            self._timeline.hold(reservation.holdings)
        else:
            self._timeline = None

    def holdings(self) -> Holdings:
        """Return what is held now, and until when."""
        return self._occupancy.held.at(self._now)

    def timeline(self) -> Timeline:
        """Return what will be free when, given all that is held and reserved."""
        if self._timeline is None:
            free = self._occupancy.free.copy()
            for reservation in self.reservations:
                _subtract(free, reservation.holdings)
            self._timeline = Timeline(free, together([self.holdings(), *(r.holdings for r in self.reservations)]))
        return self._timeline

    def _set_least(self, left: Ledger, mask: Mask, node: int) -> None:
        """Set `left` on `node` to the least that is free there or spare beside any reservation in `mask`."""
        spares = [self.reservations[k].spare for k in mask if node in self.reservations[k].spare.rows]
        if not spares:
            return
        ledgers = (self._occupancy.free, *spares)
        left.cpu[node] = min(ledger.cpu[node] for ledger in ledgers)
        left.memory[node] = min(ledger.memory[node] for ledger in ledgers)
        left.devices[node] = np.minimum.reduce([ledger.devices[node] for ledger in ledgers])


def _subtract(free: Ledger, holdings: Holdings) -> None:
    rows: Ints = holdings.node
    np.subtract.at(free.cpu, rows, holdings.cpu)
    np.subtract.at(free.memory, rows, holdings.memory)
    np.subtract.at(free.devices, rows, holdings.devices)
