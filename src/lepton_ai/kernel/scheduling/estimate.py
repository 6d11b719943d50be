"""Running mean and spread of the logarithm of seconds, and what is left of an expectation once a task runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lepton_ai.kernel.scheduling.life_table import GUESS_SECONDS, GUESS_SIGMA, SECONDS_MAX, SECONDS_MIN
from lepton_ai.kernel.scheduling.snapshot import Expectation
from lepton_ai.kernel.scheduling.statement import Z80, LogNormal, still_to_come

FORGETTING = 0.95  # what a past run counts after the next one: about 20 runs are remembered
SIGMA_MIN = 0.05

GUESS = Expectation(GUESS_SECONDS, GUESS_SECONDS * math.exp(Z80 * GUESS_SIGMA), "guessed")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Running mean and variance of the logarithm of seconds; `count` is the weight of what is not forgotten yet."""

    count: float = 0.0
    mean_log: float = 0.0
    variance_log: float = 0.0


def learn(previous: Estimate | None, seconds: float) -> Estimate:
    """Return the estimate after one more run of `seconds`; what is no duration (NaN, zero, negative) teaches nothing.

    Exponentially weighted form of Welford's update (West, Communications of the ACM 22(9), 1979).
    """
    before = previous or Estimate()
    if not SECONDS_MIN <= seconds <= SECONDS_MAX:
        return before
    value = math.log(seconds)
    count = before.count * FORGETTING + 1.0
    mean = before.mean_log + (value - before.mean_log) / count
    squares = before.variance_log * before.count * FORGETTING + (value - before.mean_log) * (value - mean)
    return Estimate(count, mean, squares / count)


def remaining(expectation: Expectation, elapsed: float) -> Expectation:
    """Return what is still to come for a task that has run for `elapsed` seconds: quantiles given that it runs yet.

    With heavy tails this grows once the median is past, as it should: a task that is late is likely to be later still.
    """
    median = max(expectation.median, SECONDS_MIN)
    if math.isinf(median) or not elapsed > 0:
        return expectation
    sigma = max(math.log(max(expectation.p80, median) / median) / Z80, SIGMA_MIN)
    left = still_to_come(LogNormal(math.log(median), sigma), elapsed)
    return Expectation(left.median, left.p80, expectation.source, left.mean)
