"""Expectations that can be reckoned with, whatever an estimate said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lepton_ai.kernel.scheduling.estimate import GUESS
from lepton_ai.kernel.scheduling.snapshot import Expectation

SECONDS_MIN = 0.001  # a task of no length would have an infinite index
SECONDS_MAX = 3.2e9  # a hundred years stand for ever
WEIGHT_MAX = 1e9


def expectation_on(expectations: Mapping[str, Expectation], classes: Sequence[str]) -> Expectation:
    """Return what is expected on `classes` (the slowest decides); a class that is not named takes the default ""."""
    default = expectations.get("", GUESS)
    found = [usable(expectations.get(name, default)) for name in classes]
    return found[0] if len(found) == 1 else max(found, key=lambda e: (e.median, e.p80))


def usable(expectation: Expectation) -> Expectation:
    """Return an expectation that can be reckoned with, whatever an estimate said: nonsense counts as not known."""
    if is_usable(expectation):
        return expectation
    median = _in_range(expectation.median, GUESS.median)
    mean = _in_range(expectation.mean, median) if expectation.mean else 0.0
    return Expectation(median, max(median, _in_range(expectation.p80, median)), expectation.source, mean)


def is_usable(expectation: Expectation) -> bool:
    """Tell whether the numbers are in range and in order."""
    mean = expectation.mean
    return SECONDS_MIN <= expectation.median <= expectation.p80 <= SECONDS_MAX and (
        mean == 0 or SECONDS_MIN <= mean <= SECONDS_MAX
    )


def _in_range(seconds: float, otherwise: float) -> float:
    """Return usable seconds for whatever an estimate said: nonsense counts as not known."""
    if math.isnan(seconds) or seconds < 0:
        return otherwise
    return min(max(seconds, SECONDS_MIN), SECONDS_MAX)
