"""Learns how long tasks take: log-normal, forgetting, from the particular to the general with shrinkage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from lepton_ai.kernel.scheduling.snapshot import Expectation

FORGETTING = 0.95  # what a past run counts after the next one: about 20 runs are remembered
PRIOR_COUNT = 1.0  # what is believed without runs weighs as much as so many of them
STATED_COUNT = 4.0  # a user's word weighs as much as so many runs
STATED_SIGMA = 0.5  # people are off by a factor of 1.6 as a rule
GUESS_SECONDS = 600.0
GUESS_SIGMA = 1.5  # nothing is known: half of all tasks between 4 minutes and 27
SIGMA_MIN = 0.05
Z80 = 0.8416212335729143  # the 80th percentile of the standard normal distribution
SECONDS_FLOOR = 0.001
SECONDS_CEILING = 3.2e9  # a hundred years

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
    if not SECONDS_FLOOR <= seconds <= SECONDS_CEILING:
        return before
    value = math.log(seconds)
    count = before.count * FORGETTING + 1.0
    mean = before.mean_log + (value - before.mean_log) / count
    squares = before.variance_log * before.count * FORGETTING + (value - before.mean_log) * (value - mean)
    return Estimate(count, mean, squares / count)


def expect(
    stated: timedelta | None,
    own: Mapping[str, Estimate],
    kind_any: Estimate | None = None,
    overall: Estimate | None = None,
) -> Mapping[str, Expectation]:
    """Return what to expect on each class in `own`, and under "" on any other.

    `own` are runs of this kind of task per resource class, `kind_any` those on all classes, `overall` those of all
    kinds. Each level is drawn towards the next more general one by PRIOR_COUNT runs; `stated` takes the place of
    everything general, and measurements outweigh it after STATED_COUNT runs.
    """
    level, source = _Belief(math.log(GUESS_SECONDS), GUESS_SIGMA**2, PRIOR_COUNT), "guessed"
    if overall is not None and overall.count > 0:
        level = level.drawn_to(overall)
    if kind_any is not None and kind_any.count > 0:
        level, source = level.drawn_to(kind_any), "inferred"
    if stated is not None and stated.total_seconds() > 0:
        seconds = max(stated.total_seconds(), SECONDS_FLOOR)
        level, source = _Belief(math.log(seconds), STATED_SIGMA**2, STATED_COUNT), "stated"
    expected = {"": level.expectation(source)}
    for resource_class, runs in own.items():
        if runs.count > 0:
            outweighs = source != "stated" or runs.count >= STATED_COUNT
            expected[resource_class] = level.drawn_to(runs).expectation("measured" if outweighs else source)
    return expected


def remaining(expectation: Expectation, elapsed: float) -> Expectation:
    """Return what is still to come for a task that has run for `elapsed` seconds: quantiles given that it runs yet.

    With heavy tails this grows once the median is past, as it should: a task that is late is likely to be later still.
    """
    median = max(expectation.median, SECONDS_FLOOR)
    if math.isinf(median) or not elapsed > 0:
        return expectation
    elapsed = min(elapsed, SECONDS_CEILING)
    sigma = max(math.log(max(expectation.p80, median) / median) / Z80, SIGMA_MIN)
    left = [_conditional(median, sigma, elapsed, survive) for survive in (0.5, 0.2)]
    return Expectation(left[0], left[1], expectation.source)


@dataclass(frozen=True, slots=True)
class _Belief:
    """A log-normal belief worth `weight` runs."""

    mean: float
    variance: float
    weight: float

    def drawn_to(self, runs: Estimate) -> _Belief:
        """Return this belief after `runs`: means by weight, variance with the spread between the two."""
        total = self.weight + runs.count
        mean = (self.weight * self.mean + runs.count * runs.mean_log) / total
        between = self.weight * runs.count / total**2 * (self.mean - runs.mean_log) ** 2
        own = runs.variance_log * runs.count / max(runs.count - 1.0, 0.5) if runs.count > 1 else self.variance
        variance = (self.weight * self.variance + runs.count * own) / total + between
        return _Belief(mean, variance, PRIOR_COUNT)

    def expectation(self, source: str) -> Expectation:
        median = math.exp(min(max(self.mean, math.log(SECONDS_FLOOR)), math.log(SECONDS_CEILING)))
        sigma = max(math.sqrt(max(self.variance, 0.0)), SIGMA_MIN)
        return Expectation(median, median * math.exp(Z80 * sigma), source)


def _conditional(median: float, sigma: float, elapsed: float, survive: float) -> float:
    """Solve S(elapsed + x) = survive x S(elapsed) for x, S being the log-normal survival function."""
    standing = (math.log(elapsed) - math.log(median)) / sigma
    alive = _survival(standing)
    if alive < 1e-280:  # beyond the range of floats: the tail is exponential there, at the hazard rate z / (sigma t)
        return -math.log(survive) * sigma * elapsed / standing
    low, high = standing, standing + 40.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _survival(middle) > survive * alive else (low, middle)
    exponent = min(math.log(median) + sigma * high, math.log(SECONDS_CEILING))
    return max(math.exp(exponent) - elapsed, SECONDS_FLOOR)


def _survival(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2.0))
