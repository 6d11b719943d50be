"""A baseline by exact matching of jobs to devices and places, for jobs of one device: as AlloX does it."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.scheduling.gavel import Ints
from benchmarks.scheduling.rounds import NONE, Queue

NEVER = 1e15  # stands for inf, which the solver refuses


class AlloX:
    """Least total completion time of the jobs at hand: matched to (device, place from its end) (EuroSys'20)."""

    def decide(self, queue: Queue) -> Ints:
        """Run whom the matching puts first on a device, every round anew."""
        classes = np.full(len(queue.jobs), NONE, dtype=np.int64)
        # The i-th job from the end of a device delays i jobs, itself included (Horn 1973).
        places = np.arange(1, 2 + len(classes) // int(queue.capacity.min()))
        device_class = np.repeat(np.arange(len(queue.capacity)), queue.capacity)
        seconds = np.minimum(queue.seconds, NEVER)[:, device_class]
        cost = (places[:, None] * seconds[:, None, :]).reshape(len(classes), -1)
        rows, columns = linear_sum_assignment(cost)
        place, device = np.divmod(columns, len(device_class))
        first: dict[int, int] = {}  # by device: whoever is furthest from its end
        for at in np.argsort(place, kind="stable").tolist():
            first[int(device[at])] = int(rows[at])
        for which, row in first.items():
            classes[row] = device_class[which]
        return classes
