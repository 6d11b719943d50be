"""Decides which class each task runs on: those who take most off the weighted completion time to come, per second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from lepton_ai.kernel.scheduling.classes import auction, exchange, prices
from lepton_ai.kernel.scheduling.classes.arrivals import Arrivals
from lepton_ai.kernel.scheduling.classes.auction import NONE
from lepton_ai.kernel.scheduling.fleet import Bools, Ints
from lepton_ai.kernel.scheduling.held import Floats

STAY = 1.05  # a task is moved or stopped only for a gain of 5 %: no estimate is better than that


@dataclass(frozen=True)
class Rows:
    """Tasks, running and waiting, as columns; column k of a matrix is class k.

    `seconds` is what is left of a task on each class (inf: cannot run there). `afresh` is what it would take if it had
    to start there: the cost of a restart added, and for a task that does not resume all that it did. `milli` counts
    thousandths of devices. `waited` is how long it has not run in all since it came.
    """

    weights: Floats
    milli: Ints
    seconds: Floats
    afresh: Floats
    held: Ints  # class or NONE
    is_fixed: Bools  # runs, and has to stay for now
    waited: Floats
    capacity: Ints  # thousandths of devices of each class that these tasks may hold

    def here(self) -> Floats:
        """Return how long each task would take from now on each class, the one that it holds without a restart."""
        return np.where(np.arange(self.seconds.shape[1]) == self.held[:, None], self.seconds, self.afresh)


@dataclass(frozen=True)
class Memory:
    """What one decision hands to the next: learnt arrivals, shadow prices, and the prices of the last auction."""

    arrivals: Arrivals
    prices: Floats | None = None
    bids: Floats | None = None
    drain_seconds: float = 0.0


class Worth(NamedTuple):
    """What running is worth: `value` by task and class per second, from each task's priced work `cost`."""

    value: Floats
    cost: Floats


def decide(rows: Rows, memory: Memory, wait_max_seconds: float) -> tuple[Ints, Worth, Memory]:
    """Return the class that each task is to run on until the next decision (NONE: it waits), why, and what to remember.

    Who has waited for longer than `wait_max_seconds` goes first: weighted completion time alone would let the longest
    tasks wait for ever.
    """
    work = rows.milli[:, None] * rows.seconds
    rate, _ = memory.arrivals.per_second()
    price = prices.follow(np.concatenate([work, rate * memory.drain_seconds]), rows.capacity, memory.prices)
    memory = replace(memory, prices=price)
    found = worth(rows, memory)
    classes = overdue_first(rows, wait_max_seconds)
    rest, free = classes == NONE, rows.capacity - used(classes, rows.milli, len(price))
    left, milli = found.value[rest], rows.milli[rest]
    bids = auction.bid(left, milli, free, np.zeros_like(price) if memory.bids is None else memory.bids)
    if rest.any():
        classes[rest] = exchange.better(left, milli, free, auction.settle(left, milli, free, bids))
    return classes, found, replace(memory, bids=bids, drain_seconds=float(found.cost.sum()))


def worth(rows: Rows, memory: Memory) -> Worth:
    """Return the weighted time that is saved per second that a task runs on a class.

    c_j = min_k y_k g_j p_jk is a task's priced work: seconds of the whole cluster. D, the sum of c, drains the queue.
    B_j = the weight behind task j: of those with a lower w/c, and of those that arrive before the queue is drained.
    U_j = min_k p_jk (w_j / 2 + g_j y_k B_j) is what the rest of the task costs at best: half its own run (the other
    half is when its work happens on average: completion = mean busy time + half the run, Goemans 1997), and the delay
    of those behind it. On class k the task sheds U_j / p_jk of it per second. U is reckoned afresh: whoever is stopped
    pays it.
    """
    assert memory.prices is not None
    price, (_, weight_rate) = memory.prices, memory.arrivals.per_second()
    priced = price * rows.milli[:, None] * rows.seconds
    cost = priced.min(axis=1)
    drain = float(cost.sum())
    order = np.argsort(-rows.weights / cost, kind="stable")
    behind = np.empty(len(cost))
    behind[order] = rows.weights.sum() - np.cumsum(rows.weights[order])
    behind += weight_rate * drain
    rest = (rows.afresh * (rows.weights[:, None] / 2.0 + price * (rows.milli * behind)[:, None])).min(axis=1)
    seconds, stays = rows.here(), np.arange(len(price)) == rows.held[:, None]
    value = np.where(np.isfinite(seconds), rest[:, None] / seconds * np.where(stays, STAY, 1.0), -np.inf)
    return Worth(value, cost)


def overdue_first(rows: Rows, wait_max_seconds: float) -> Ints:
    """Return the fastest class with room for those who waited longest beyond the bound, one per class.

    What has waited only grows, so such a task then runs to its end: whatever arrives, none waits for ever. Those who
    have to stay keep what they hold; all others have NONE.
    """
    seconds = rows.here()
    classes = np.where(rows.is_fixed, rows.held, NONE)
    free = rows.capacity - used(classes, rows.milli, len(rows.capacity))
    seconds = np.where(rows.is_fixed[:, None], np.inf, seconds)
    fits = ((rows.milli[:, None] <= free) & np.isfinite(seconds)).any(axis=1)
    late = np.flatnonzero((rows.waited > wait_max_seconds) & fits)
    for row in late[np.argsort(-rows.waited[late], kind="stable")][: len(free)].tolist():
        room = np.where(free >= rows.milli[row], seconds[row], np.inf)
        if np.isfinite(room.min()):
            classes[row] = int(room.argmin())
            free[classes[row]] -= rows.milli[row]
    return classes


def used(classes: Ints, milli: Ints, count: int) -> Ints:
    """Return the thousandths of devices of each class that are taken."""
    placed = classes != NONE
    return np.bincount(classes[placed], milli[placed], count).astype(np.int64)
