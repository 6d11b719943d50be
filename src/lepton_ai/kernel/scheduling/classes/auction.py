"""Gives tasks to resource classes so that the sum of values is largest: an auction with one price per class."""

from __future__ import annotations

import numpy as np

from lepton_ai.kernel.scheduling.fleet import Ints
from lepton_ai.kernel.scheduling.held import Floats

NONE = -1
SWEEPS = 20
CLOSE = 1e-3  # prices that move less than this part of themselves have settled


def bid(value: Floats, gangs: Ints, capacity: Ints, before: Floats) -> Floats:
    """Return the price of a device of each class at which the tasks ask for what there is.

    `value[j, k]` is what a task is worth on a class (-inf: cannot run there). Each class in turn takes the price at
    which it is just full while the others stand still: coordinate descent on the dual of the assignment program.
    """
    prices = before.copy()
    for _ in range(SWEEPS):
        last = prices.copy()
        for k in range(len(capacity)):
            surplus = value - gangs[:, None] * prices
            surplus[:, k] = 0.0
            offer = (value[:, k] - np.maximum(surplus.max(axis=1), 0.0)) / gangs
            prices[k] = _clearing(offer, gangs, int(capacity[k]))
        if (np.abs(prices - last) <= CLOSE * prices).all():
            break
    return prices


def _clearing(offer: Floats, gangs: Ints, devices: int) -> float:
    """Return a price between the last offer that fits and the first that does not."""
    order = np.argsort(-offer, kind="stable")
    out = int(np.searchsorted(np.cumsum(gangs[order]), devices, side="right"))
    if out >= len(order) or offer[order[out]] <= 0.0:
        return 0.0
    refused = float(offer[order[out]])
    return 0.5 * (refused + float(offer[order[out - 1]])) if out else refused


def settle(value: Floats, gangs: Ints, capacity: Ints, prices: Floats) -> Ints:
    """Return a class for each task or NONE: those with most to lose choose first, each the best class with room.

    What is to lose is the surplus over the next best class; where classes are alike that says little of what a gang is
    worth, so the surplus itself is tried as the order, too, and the better outcome is kept.
    """
    surplus = np.where(capacity > 0, value / gangs[:, None] - prices, -np.inf)
    choices = np.sort(np.column_stack([surplus, np.zeros(len(surplus))]), axis=1)
    found = [_in_turn(order, surplus, gangs, capacity) for order in (choices[:, -1] - choices[:, -2], choices[:, -1])]
    return max(found, key=lambda classes: _worth(value, classes))


def _in_turn(eagerness: Floats, surplus: Floats, gangs: Ints, capacity: Ints) -> Ints:
    classes = np.full(len(surplus), NONE, dtype=np.int64)
    free, sizes, wants = capacity.tolist(), gangs.tolist(), surplus.tolist()
    hopeful = np.flatnonzero(surplus.max(axis=1) >= 0.0)
    for row in hopeful[np.argsort(-eagerness[hopeful], kind="stable")].tolist():
        best, most = NONE, 0.0
        for k, want in enumerate(wants[row]):
            if want >= most and free[k] >= sizes[row]:
                best, most = k, want
        if best != NONE:
            classes[row] = best
            free[best] -= sizes[row]
    return classes


def _worth(value: Floats, classes: Ints) -> float:
    placed = np.flatnonzero(classes != NONE)
    return float(value[placed, classes[placed]].sum())
