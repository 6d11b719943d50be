"""What is free now, and what will be once those that are to go are gone: for those who start and those who claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.kernel.scheduling.fleet import Fleet, Ledger
from lepton_ai.kernel.scheduling.groups import Group
from lepton_ai.kernel.scheduling.score import Scorer
from lepton_ai.kernel.scheduling.seats import Room, Seats, Spot, take
from lepton_ai.types.resources import Allocation

Spots = Sequence[Spot]


class Floor:
    """Two ledgers. `then` has what the leaving hold, less what is claimed of it; `now` is what is free at once, but
    never more than is left then."""

    def __init__(self, fleet: Fleet, scorer: Scorer, free: Ledger, leaving: Iterable[Sequence[Allocation]]) -> None:
        self._fleet = fleet
        self._is_open = (fleet.device_kind >= 0) & fleet.is_schedulable[:, None]
        self.now, self.then = Room(scorer, free.copy(), []), Room(scorer, free.copy(), [])
        for allocations in leaving:
            give(self.then.left, allocations, fleet)
        self._seats: dict[tuple[int, int, bool], Seats] = {}
        self._full: set[tuple[int, int, bool]] = set()

    def find(self, group: Group, option: int, *, later: bool) -> Spots | None:
        """Return spots for a gang that are free now, or `later`; None if there are none. Takes nothing."""
        key = group.number, option, later
        if key in self._full:
            return None
        seats = self._seats.get(key)
        if seats is None:
            room = self.then if later else self.now
            seats = self._seats[key] = Seats(group.shape, group.options[option].pool, room)
        spots = seats.find()
        if spots is None:
            self._full.add(key)
        return spots

    def start(self, spots: Spots, shape: Shape) -> None:
        """Take what a gang holds from now on."""
        take(self.now.left, spots, shape)
        self.now.touched.extend(node for node, _ in spots)
        self.claim(spots, shape)

    def claim(self, spots: Spots, shape: Shape) -> None:
        """Keep what a gang will hold once there is room."""
        take(self.then.left, spots, shape)
        now, then = self.now.left, self.then.left
        for node in {node for node, _ in spots}:
            now.cpu[node] = min(now.cpu[node], then.cpu[node])
            now.memory[node] = min(now.memory[node], then.memory[node])
            now.devices[node] = np.minimum(now.devices[node], then.devices[node])
            self.now.touched.append(node)
            self.then.touched.append(node)

    def give(self, allocations: Sequence[Allocation]) -> None:
        """Let another task leave, later."""
        give(self.then.left, allocations, self._fleet)
        self.then.touched.extend(self._fleet.index.get(allocation.node, -1) for allocation in allocations)
        self._full = {key for key in self._full if not key[2]}

    def is_full(self) -> bool:
        """Tell whether no device that may be allocated is free now."""
        return not (self.now.left.devices[self._is_open] > 0).any()


def give(ledger: Ledger, allocations: Sequence[Allocation], fleet: Fleet) -> None:
    """Add what a task holds."""
    for allocation in allocations:
        row = fleet.index.get(allocation.node, -1)
        if row < 0:
            continue
        ledger.cpu[row] += allocation.cpu_milli
        ledger.memory[row] += allocation.memory_bytes
        for share in allocation.devices:
            column = fleet.columns.get((row, share.device_id), -1)
            if column >= 0:
                ledger.devices[row, column] += share.share_milli
