"""How fast each kind of task is on each class of resource: measured, inferred from others, or guessed.

The logarithm of a time is taken to be that of the kind plus that of the class (a table of rank one), with a spread of
its own for each pair. What a kind did on two classes says how it compares there; how other kinds compare there, and the
devices' peaks, are the prior for a kind that ran on one of them only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from lepton_ai.kernel.scheduling import peaks
from lepton_ai.kernel.scheduling.estimate import Estimate

KIND_SIGMA = 0.4  # how far kinds differ in what a faster class gains them: a factor of 1.5
GUESS_SIGMA = 1.0  # nothing is known of two classes: one may be 2.7 times as fast as the other
ONE_RUN_SIGMA = 0.3  # of a single run: a factor of 1.35
RUN_SIGMA_MIN = 0.03  # what differs between equal runs on a quiet machine
PAIRS_MAX = 200  # so many kinds tell how two classes compare; those that were heard of last
MEASURED, INFERRED, GUESSED = "measured", "inferred", "guessed"

Series = tuple[str, str]  # the kind of task, and what was measured: "" for whole runs, else a unit such as "step"


@dataclass(frozen=True, slots=True)
class Speed:
    """One entry of the table: log of the time relative to the reference class, its spread, and where it is from."""

    log_time: float
    sigma: float
    source: str
    because: str = ""

    @property
    def relative(self) -> float:
        """How many times as fast as the reference it is."""
        return math.exp(-self.log_time)


class _Fact(NamedTuple):
    log_time: float
    sigma: float


class Speeds:
    """The table of speeds, filled series by series."""

    def __init__(self) -> None:
        self._series: dict[Series, dict[str, Estimate]] = {}
        self._of_kind: dict[str, list[Series]] = {}
        self._differences: dict[tuple[str, str], dict[Series, float]] = {}

    def note(self, series: Series, resource_class: str, times: Estimate) -> None:
        """Take in what is known now of one kind on one class: log seconds per run, or per unit of work."""
        if not times.count > 0:
            return
        known = self._series.get(series)
        if known is None:
            known = self._series[series] = {}
            self._of_kind.setdefault(series[0], []).append(series)
        known[resource_class] = times
        for other, theirs in known.items():
            if other != resource_class:
                self._note_pair(series, (other, theirs), (resource_class, times))

    def table(self, kind: str, classes: Collection[str]) -> Mapping[str, Speed]:
        """Return the entries of one kind for `classes`; the reference is the class with most runs, or the first."""
        own = [self._series[series] for series in self._of_kind.get(kind, ())]
        counts = {name: sum(one[name].count for one in own if name in one) for one in own for name in one}
        names = sorted({*classes, *counts})
        if not names:
            return {}
        reference = max(sorted(counts), key=lambda name: counts[name]) if counts else names[0]
        first = Speed(0.0, 0.0, MEASURED if counts else GUESSED)
        return {name: first if name == reference else self._entry(own, reference, name) for name in names}

    def prior(self, first: str, second: str) -> Speed:
        """Return how `second` compares to `first` for a kind of which nothing is known on one of them."""
        low, high = min(first, second), max(first, second)
        sign = 1.0 if first == low else -1.0
        promised = peaks.compare(low, high)
        fact = _Fact(promised.log_time, promised.sigma) if promised else _Fact(0.0, GUESS_SIGMA)
        seen = self._differences.get((low, high), {})
        because = promised.source if promised else "nothing is known of both"
        if seen:
            found = _Fact(median(seen.values()), KIND_SIGMA / math.sqrt(len(seen)))
            fact = _combined(fact, found)
            because = f"{len(seen)} other kinds ran on both"
        # However many kinds agree, the next one may differ from them as they do from each other.
        sigma = math.hypot(fact.sigma, KIND_SIGMA) if seen else fact.sigma
        return Speed(sign * fact.log_time, sigma, INFERRED if seen or promised else GUESSED, because)

    def _entry(self, own: Collection[Mapping[str, Estimate]], reference: str, name: str) -> Speed:
        prior = self.prior(reference, name)
        fact, runs = _Fact(prior.log_time, prior.sigma), 0
        for series in own:
            if reference in series and name in series:
                fact = _combined(fact, _difference(series[reference], series[name]))
                runs += 1
        if not runs:
            return prior
        return Speed(fact.log_time, fact.sigma, MEASURED, f"it ran on {reference} and {name}")

    def _note_pair(self, series: Series, one: tuple[str, Estimate], other: tuple[str, Estimate]) -> None:
        (low, at_low), (high, at_high) = sorted((one, other), key=lambda pair: pair[0])
        known = self._differences.setdefault((low, high), {})
        known.pop(series, None)
        known[series] = at_high.mean_log - at_low.mean_log
        if len(known) > PAIRS_MAX:
            del known[next(iter(known))]


def _difference(reference: Estimate, other: Estimate) -> _Fact:
    spread = math.sqrt(sum(_sigma(one) ** 2 / max(one.count, 1.0) for one in (reference, other)))
    return _Fact(other.mean_log - reference.mean_log, spread)


def _sigma(times: Estimate) -> float:
    if times.count < 2:
        return ONE_RUN_SIGMA
    return max(math.sqrt(max(times.variance_log, 0.0)), RUN_SIGMA_MIN)


def _combined(one: _Fact, other: _Fact) -> _Fact:
    """Return both facts together, each by its precision."""
    a, b = 1 / one.sigma**2, 1 / other.sigma**2
    return _Fact((a * one.log_time + b * other.log_time) / (a + b), 1 / math.sqrt(a + b))
