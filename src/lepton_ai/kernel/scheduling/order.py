"""Who goes first: weight per unit of resource-time, grown by age, with a hard bound against starvation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.estimate import GUESS
from lepton_ai.kernel.scheduling.fleet import Ints
from lepton_ai.kernel.scheduling.snapshot import Expectation, Policy, WaitingTask

Floats = npt.NDArray[np.float64]

SECONDS_MIN = 0.001  # a task of no length would have an infinite index
SECONDS_MAX = 3.2e9  # a hundred years stand for ever
WEIGHT_MAX = 1e9


@dataclass(frozen=True, slots=True)
class Queue:
    """The order of one pass. `terms` of a task are read off these columns; all are by the task's row."""

    order: Sequence[int]
    weight: Sequence[float]
    age: Sequence[float]  # 1 + wait / tau
    index: Sequence[float]
    is_starving: Sequence[bool]

    def terms(self, row: int, choice: tuple[float, int, float], share: float) -> dict[str, float]:
        """Return the numbers that reproduce a place: index = weight x age / least of (seconds x share)."""
        terms = {
            "weight": self.weight[row],
            "age": self.age[row],
            "index": self.index[row],
            "expected_seconds": choice[0],
            "expected_seconds_p80": choice[2],
            "share": share,
        }
        if self.is_starving[row]:
            terms["starving"] = 1.0
        return terms

    def terms_of_impossible(self, row: int) -> dict[str, float]:
        """Return the same for a task that no class could run."""
        terms = {"weight": self.weight[row], "age": self.age[row], "index": self.index[row]}
        return {**terms, "starving": 1.0} if self.is_starving[row] else terms


def expectation_on(expectations: Mapping[str, Expectation], classes: Sequence[str]) -> Expectation:
    """Return what is expected on `classes` (the slowest decides); a class that is not named takes the default ""."""
    default = expectations.get("", GUESS)
    found = [usable(expectations.get(name, default)) for name in classes]
    return found[0] if len(found) == 1 else max(found, key=lambda e: (e.median, e.p80))


def usable(expectation: Expectation) -> Expectation:
    """Return an expectation that can be reckoned with, whatever an estimate said: nonsense counts as not known."""
    if SECONDS_MIN <= expectation.median <= expectation.p80 <= SECONDS_MAX:
        return expectation
    median = _in_range(expectation.median, GUESS.median)
    return Expectation(median, max(median, _in_range(expectation.p80, median)), expectation.source)


def ranked(waiting: Sequence[WaitingTask], costs: Sequence[float], now: datetime, policy: Policy) -> Queue:
    """Sort the queue. `waiting` must be sorted by id, which breaks the last ties; impossible tasks cost infinity.

    Smith's rule (1956) on dominant shares: index = weight / (expected seconds x share) x (1 + wait / tau). A task that
    waits longer than the bound goes before everything younger, oldest first, whatever its index.
    """
    waits = np.array([(now - task.submitted_at).total_seconds() for task in waiting]).clip(min=0.0)
    weight = np.nan_to_num(np.array([task.weight for task in waiting], dtype=np.float64)).clip(0.0, WEIGHT_MAX)
    tau = max(policy.ageing_tau.total_seconds(), SECONDS_MIN)
    age = 1.0 + waits / tau
    index: Floats = weight / np.array(costs, dtype=np.float64) * age
    is_starving = waits > policy.starvation_bound.total_seconds()
    order: Ints = np.lexsort((-waits, np.where(is_starving, -np.inf, -index)))
    return Queue(order.tolist(), weight.tolist(), age.tolist(), index.tolist(), is_starving.tolist())


def _in_range(seconds: float, otherwise: float) -> float:
    """Return usable seconds for whatever an estimate said: nonsense counts as not known."""
    if math.isnan(seconds) or seconds < 0:
        return otherwise
    return min(max(seconds, SECONDS_MIN), SECONDS_MAX)
