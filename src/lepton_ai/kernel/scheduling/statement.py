"""Weighs what a user says a task will take against what tasks like it took."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lepton_ai.kernel.scheduling.life_table import SECONDS_MAX, SECONDS_MIN, Floats, Forecast, log_moments

STATED_COUNT = 4.0  # what is believed of statements before any was checked weighs as much as so many of them
STATED_SIGMA = 0.5  # people are off by a factor of 1.6 as a rule
FORGETTING = 0.995  # what a checked statement counts after the next one: about 200 are remembered
ERROR_MAX = math.log(1000.0)  # whoever is off by more has not said a length: it counts no more for what is said later
SIGMA_MIN = 0.001
Z80 = 0.8416212335729143  # the 80th percentile of the standard normal distribution
FAR_OUT = 1e-12  # of the tail; beyond it, differences of survival functions lose their digits


@dataclass(frozen=True, slots=True)
class Honesty:
    """How far `count` statements were from the truth: `squares` sums log(stated / actual) ** 2, each bounded."""

    count: float = 0.0
    squares: float = 0.0

    @property
    def doubt(self) -> float:
        """The variance of log(stated / actual)."""
        return (self.squares + STATED_COUNT * STATED_SIGMA**2) / (self.count + STATED_COUNT)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """A log-normal belief about one task's length in seconds, and how much of it is the statement's (0..1)."""

    mean_log: float
    sigma: float
    trust: float = 1.0


def check(previous: Honesty, stated: float, actual: float) -> Honesty:
    """Return the honesty after one more run whose length was stated; nonsense teaches nothing."""
    if not (SECONDS_MIN <= stated <= SECONDS_MAX and SECONDS_MIN <= actual <= SECONDS_MAX):
        return previous
    error = min(abs(math.log(stated / actual)), ERROR_MAX)
    return Honesty(previous.count * FORGETTING + 1.0, previous.squares * FORGETTING + error * error)


def believe(hazard: Floats, stated: float, honesty: Honesty) -> LogNormal:
    """Combine a statement with the life table of its key, each by its precision (Bayes, both log-normal)."""
    mean, variance = log_moments(hazard)
    doubt = honesty.doubt
    trust = variance / (variance + doubt)
    sigma = max(math.sqrt(variance * doubt / (variance + doubt)), SIGMA_MIN)
    said = math.log(min(max(stated, SECONDS_MIN), SECONDS_MAX))
    return LogNormal(mean + trust * (said - mean), sigma, trust)


def still_to_come(belief: LogNormal, elapsed: float = 0.0) -> Forecast:
    """Return mean and quantiles of what remains after `elapsed` seconds."""
    sigma, centre = max(belief.sigma, SIGMA_MIN), belief.mean_log
    if not elapsed > 0:
        return _usable(math.exp(centre + sigma * sigma / 2), math.exp(centre), math.exp(centre + Z80 * sigma))
    elapsed = min(elapsed, SECONDS_MAX)
    standing = (math.log(elapsed) - centre) / sigma
    alive = _survival(standing)
    if alive < FAR_OUT:  # the tail is exponential out there, at the hazard rate z / (sigma t)
        scale = sigma * elapsed / standing
        return _usable(scale, scale * math.log(2.0), scale * math.log(5.0))
    mean = math.exp(centre + sigma * sigma / 2) * _survival(standing - sigma) / alive - elapsed
    median, p80 = (_outlived(belief, standing, share * alive) - elapsed for share in (0.5, 0.2))
    return _usable(mean, median, p80)


def _usable(mean: float, median: float, p80: float) -> Forecast:
    median = min(max(median, SECONDS_MIN), SECONDS_MAX)
    return Forecast(min(max(mean, SECONDS_MIN), SECONDS_MAX), median, min(max(p80, median), SECONDS_MAX))


def _outlived(belief: LogNormal, low: float, survive: float) -> float:
    """Return the length that a share `survive` of all outlives, by bisection."""
    high = max(low, 0.0) + 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _survival(middle) > survive else (low, middle)
    return math.exp(min(belief.mean_log + belief.sigma * high, math.log(SECONDS_MAX)))


def _survival(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2.0))
