"""What a task would cost where, and where it may therefore not run: nothing is started that costs too much."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lepton_ai.kernel.scheduling.demand import Shape, hourly, pools_of, rooms_of
from lepton_ai.kernel.scheduling.expectation import expectation_on
from lepton_ai.kernel.scheduling.fleet import Fleet
from lepton_ai.kernel.scheduling.reasons import in_words
from lepton_ai.kernel.scheduling.snapshot import Expectation, WaitingTask
from lepton_ai.types.resources import Allocation

HOUR_SECONDS = 3600.0
NOTHING = -1.0  # below every price: nobody pays it
ROUNDING = 1 + 1e-9

Ceilings = tuple[tuple[str, float], ...]  # by class: the most that an hour of one replica may cost there


class Levels(NamedTuple):
    """The different prices, ascending, that an hour of one replica has on the nodes of each class."""

    by_class: Mapping[str, Sequence[float]]

    @classmethod
    def of(cls, shape: Shape, fleet: Fleet) -> Levels:
        """Return those of the nodes that a shape may use."""
        found: dict[str, set[float]] = {}
        costs = hourly(shape, fleet)
        for pool in pools_of(shape, fleet):
            found.setdefault(pool.classes[0], set()).update(costs[pool.rows].tolist())
        return cls({name: sorted(prices) for name, prices in sorted(found.items())})

    def ceilings(self, money: float, expectations: Mapping[str, Expectation], size: int) -> Ceilings:
        """Return for each class the dearest price at which the median length costs no more than `money`.

        Rounded down to prices that there are, so that tasks which may use the same nodes are of one shape; for single
        replicas, classes that they can pay everywhere are left out. Each replica of a gang may cost its even part, and
        all stay on one class, so that one length holds for all.
        """
        found = []
        for name, prices in self.by_class.items():
            hours = expectation_on(expectations, (name,)).median / HOUR_SECONDS
            payable = bisect_right(prices, (money if money > 0 else 0.0) / (hours * size) * ROUNDING)
            if size > 1 or payable < len(prices):
                found.append((name, prices[payable - 1] if payable else NOTHING))
        return tuple(found)


def price_of(allocations: Iterable[Allocation], fleet: Fleet) -> float:
    """Return what an hour of `allocations` costs."""
    total = 0.0
    for held in allocations:
        price = fleet.nodes[fleet.index[held.node]].price
        devices = sum(share.share_milli for share in held.devices)
        total += price.of(held.cpu_milli, held.memory_bytes, devices) if price else 0.0
    return total


def terms(task: WaitingTask, allocations: Iterable[Allocation], seconds: float, fleet: Fleet) -> dict[str, float]:
    """Return what is left of what a task may cost, and what it is expected to; nothing for one without a limit."""
    if task.demand.money is None:
        return {}
    return {
        "cost_left": task.demand.money,
        "cost_expected": price_of(allocations, fleet) * seconds / HOUR_SECONDS,
    }


def too_dear(task: WaitingTask, shape: Shape, fleet: Fleet) -> str:
    """Return why a task can start nowhere: what is left of its limit, and what the cheapest node would cost it."""
    costs, least, words, money = hourly(shape, fleet), math.inf, "", task.demand.money or 0.0
    one = shape.alone()
    for pool in pools_of(shape, fleet):
        able = rooms_of(one, fleet.cpu_total, fleet.memory_total, fleet.device_total, pool.eligible) * pool.nodes
        rows = np.flatnonzero(able)
        seconds = expectation_on(task.expectations, pool.classes).median
        row = int(rows[costs[rows].argmin()]) if len(rows) else -1
        price = float(costs[row]) * shape.size
        if row >= 0 and price * seconds / HOUR_SECONDS < least:
            least = price * seconds / HOUR_SECONDS
            where = f"the cheapest that fits, node {fleet.names[row]} ({pool.name})"
            words = f"{where}, costs {price:.6g} an hour and takes about {in_words(seconds)}: {least:.4g} in all"
    left = f"{max(money, 0.0):.4g} is left of what it may cost"
    if least <= money * ROUNDING:
        return f"{left}: a gang with such a limit stays on one class, and none has room for all of it at that price"
    return f"{left}; {words}: submit it anew with more --max-cost, or wait for a cheaper node"
