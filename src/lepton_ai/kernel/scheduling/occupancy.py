"""What is held while a pass goes on: by what runs, by what it starts, and by what it reserves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lepton_ai.kernel.scheduling.allocate import Room, Spot, take
from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.kernel.scheduling.fleet import Fleet, Holding, Ledger, holdings_of
from lepton_ai.kernel.scheduling.reserve import Reservation, holdings_at
from lepton_ai.kernel.scheduling.snapshot import Snapshot
from lepton_ai.kernel.scheduling.timeline import Timeline
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI

Mask = tuple[int, ...]  # numbers of the reservations that a task would outlast, and must leave room for


class Occupancy:
    """`free` is what is free now, `reservations` what is kept for later. Free amounts only shrink."""

    def __init__(self, snapshot: Snapshot, fleet: Fleet) -> None:
        self.fleet, self.free = fleet, fleet.ledger()
        self.reservations: list[Reservation] = []
        self._broken: list[int] = []
        self._rooms: dict[Mask, Room] = {(): Room(fleet, self.free, self.free, self._broken)}
        self._timeline: Timeline | None = None  # until something changes
        self._holdings = holdings_of(snapshot, fleet)
        self._started: list[tuple[Sequence[Spot], Shape, str, float]] = []  # not among the holdings yet
        for holding in self._holdings:
            self.free.take(holding)

    def room(self, mask: Mask) -> Room:
        """Return the room beside the reservations in `mask`; it shrinks with every start."""
        room = self._rooms.get(mask)
        if room is None:
            left, spares = self.free.copy(), [self.reservations[k].spare for k in mask]
            for node in frozenset().union(*(spare.rows for spare in spares)):
                _set_least(left, (self.free, *(spare for spare in spares if node in spare.rows)), node)
            room = self._rooms[mask] = Room(self.fleet, self.free, left, self._broken)
        return room

    def start(self, spots: Sequence[Spot], shape: Shape, task_name: str, ends_in: float) -> None:
        """Let a task hold `spots` for so many seconds; of what is reserved it uses the spare part if it outlasts it."""
        if shape.share_milli < WHOLE_DEVICE_MILLI:
            self._note_broken(spots)
        take(self.free, spots, shape)
        if self.reservations:
            self._shrink_rooms(spots, shape, ends_in)
        self._timeline = None
        self._started.append((spots, shape, task_name, ends_in))

    def reserve(self, reservation: Reservation) -> None:
        """Keep room for a task that waits."""
        self._timeline = None
        self.reservations.append(reservation)

    def holdings(self) -> Sequence[Holding]:
        """Return what running tasks hold, and what this pass has started."""
        for spots, shape, name, ends_in in self._started:  # made only now: most passes over a free cluster never ask
            self._holdings += holdings_at(spots, shape, name, ends_in, self.fleet)
        self._started.clear()
        return self._holdings

    def timeline(self) -> Timeline:
        """Return what will be free when, given all that is held and reserved."""
        if self._timeline is not None:
            return self._timeline
        free, holdings = self.free.copy(), list(self.holdings())
        for reservation in self.reservations:
            for holding in reservation.holdings:
                free.take(holding)
                holdings.append(holding)
        self._timeline = Timeline(free, holdings)
        return self._timeline

    def _note_broken(self, spots: Sequence[Spot]) -> None:
        """Tell all searches for shares which whole devices are broken now, so that they fill those first."""
        for node, columns in spots:
            if self.free.devices[node, columns[0]] >= WHOLE_DEVICE_MILLI:
                self._broken.append(node)

    def _shrink_rooms(self, spots: Sequence[Spot], shape: Shape, ends_in: float) -> None:
        for reservation in self.reservations:
            if ends_in > reservation.seconds:
                take(reservation.spare, spots, shape)
        for mask, room in self._rooms.items():
            if not mask:
                continue
            take(room.left, spots, shape)
            for node in {node for node, _ in spots}:
                spares = [self.reservations[k].spare for k in mask if node in self.reservations[k].spare.rows]
                if spares:
                    _set_least(room.left, (self.free, *spares), node)


def _set_least(left: Ledger, ledgers: Sequence[Ledger], node: int) -> None:
    """Set `left` on `node` to the least that any of `ledgers` has there."""
    left.cpu[node] = min(ledger.cpu[node] for ledger in ledgers)
    left.memory[node] = min(ledger.memory[node] for ledger in ledgers)
    left.devices[node] = np.minimum.reduce([ledger.devices[node] for ledger in ledgers])
