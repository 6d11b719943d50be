"""What is held while a pass goes on: by what runs, by what it starts, and by what it reserves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lepton_ai.kernel.scheduling.allocate import Spot, take
from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.kernel.scheduling.fleet import Fleet, Holding, holdings_of
from lepton_ai.kernel.scheduling.reserve import Reservation, holdings_at
from lepton_ai.kernel.scheduling.snapshot import Snapshot
from lepton_ai.kernel.scheduling.timeline import Timeline


class _Started(NamedTuple):
    """A task that the pass starts, not among the holdings yet."""

    spots: Sequence[Spot]
    shape: Shape
    task_name: str
    ends_in: float


class Occupancy:
    """`free` is what is free now, `reservations` what is kept for later. Free amounts only shrink."""

    def __init__(self, snapshot: Snapshot, fleet: Fleet) -> None:
        self.fleet, self.free = fleet, fleet.ledger()
        self.reservations: list[Reservation] = []
        self._holdings = holdings_of(snapshot, fleet)
        self._started: list[_Started] = []
        for holding in self._holdings:
            self.free.take(holding)

    def start(self, spots: Sequence[Spot], shape: Shape, task_name: str, ends_in: float) -> None:
        """Let a task hold `spots` for so many seconds; of what is reserved it uses the spare part if it outlasts it."""
        take(self.free, spots, shape)
        for reservation in self.reservations:
            if ends_in > reservation.seconds:
                take(reservation.spare, spots, shape)
        self._started.append(_Started(spots, shape, task_name, ends_in))

    def holdings(self) -> Sequence[Holding]:
        """Return what running tasks hold, and what this pass has started."""
        for spots, shape, name, ends_in in self._started:  # made only now: most passes over a free cluster never ask
            self._holdings += holdings_at(spots, shape, name, ends_in, self.fleet)
        self._started.clear()
        return self._holdings

    def timeline(self) -> Timeline:
        """Return what will be free when, given all that is held and reserved."""
        free, holdings = self.free.copy(), list(self.holdings())
        for reservation in self.reservations:
            for holding in reservation.holdings:
                free.take(holding)
                holdings.append(holding)
        return Timeline(free, holdings)
