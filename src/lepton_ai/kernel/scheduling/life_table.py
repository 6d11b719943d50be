"""Learns how long tasks run, from those that ended and those that still run: life tables, particular to general.

An actuarial life table (Cutler and Ederer 1958; its limit is Kaplan and Meier 1958) holds, per bin of lengths, the
hazard: which share of the runs that reach the bin end within it. A run that has not ended counts for every bin that
it has outlived, so that long runs are known to be long before they end. Each level of keys, from all tasks to one
user's entry point, is drawn towards the more general one bin by bin. Mean, quantiles and what is still to come for a
task that has run for a while are all read off the same hazards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BINS_PER_OCTAVE = 2
BINS = 68  # from 2 ** -7 s = 8 ms to 2 ** 27 s = 4 years; one row of floats: 544 bytes
LOWEST = -7  # octaves
FORGETTING = 0.995  # what a past run counts after the next one: about 200 are remembered
FORGOTTEN = 1e-4  # what is left of a run after so many others that it no longer counts
PULL = 1.0  # the more general level weighs as much as one run in each bin
GUESS_SECONDS, GUESS_SIGMA = 600.0, 1.5  # before any run: log-normal, half of all tasks between 4 minutes and 27
HAZARD_MAX = 1.0 - 1e-9
SECONDS_MIN, SECONDS_MAX = 0.001, 3.2e9  # a hundred years stand for ever

EDGES: Floats = 2.0 ** (LOWEST + np.arange(BINS + 1) / BINS_PER_OCTAVE)
LOG_CENTRES: Floats = np.log(EDGES[:-1]) + 0.5 * math.log(2.0) / BINS_PER_OCTAVE


class Forecast(NamedTuple):
    """Seconds still to run: their mean, which orders a queue, and quantiles, which plan around it."""

    mean: float
    median: float
    p80: float


@dataclass(frozen=True, slots=True)
class Lives:
    """How many runs of one key ended in each bin of lengths, less what is forgotten; only bins that hold something."""

    ended: tuple[tuple[int, float], ...] = ()

    @property
    def count(self) -> float:
        """How many runs are remembered."""
        return sum(count for _, count in self.ended)

    def row(self) -> Floats:
        """Return the counts of all bins."""
        full = np.zeros(BINS)
        for number, count in self.ended:
            full[number] = count
        return full


class Level(NamedTuple):
    """What is known of one key, by bin: runs that ended there, and runs that have got there and still run."""

    ended: Floats
    alive: Floats


def learn(previous: Lives | None, seconds: float) -> Lives:
    """Return the table after one more run of `seconds`; what is no duration (NaN, zero, negative) teaches nothing."""
    before = previous or Lives()
    if not SECONDS_MIN <= seconds <= SECONDS_MAX:
        return before
    number = bin_of(seconds)
    kept = [(one, count * FORGETTING) for one, count in before.ended if count > FORGOTTEN]
    at = next((row for row, (one, _) in enumerate(kept) if one >= number), len(kept))
    if at < len(kept) and kept[at][0] == number:
        kept[at] = number, kept[at][1] + 1.0
    else:
        kept.insert(at, (number, 1.0))
    return Lives(tuple(kept))


def bin_of(seconds: float) -> int:
    """Return the bin of a length; the first holds all that is shorter still, the last all from three years."""
    if seconds <= EDGES[0]:
        return 0
    return min(int((math.log2(seconds) - LOWEST) * BINS_PER_OCTAVE), BINS - 1)


def alive(elapsed: Iterable[float]) -> Floats:
    """Return how many of the runs that have run for `elapsed` seconds are in each bin."""
    seconds = np.fromiter(elapsed, dtype=np.float64)
    places = (np.log2(np.maximum(seconds, EDGES[0])) - LOWEST) * BINS_PER_OCTAVE
    counts: Floats = np.bincount(np.clip(places.astype(np.int64), 0, BINS - 1), minlength=BINS).astype(np.float64)
    return counts


def particular(belief: Floats, level: Level) -> Floats:
    """Return the hazards of a key, given those of the more general one."""
    # A run that ended in a bin was at risk there; one that is in it now has been so for half of it on average.
    exposed = _from_here_on(level.ended + level.alive) - 0.5 * level.alive
    found: Floats = (level.ended + PULL * belief) / (exposed + PULL)
    return found


def forecast(hazard: Floats, elapsed: float = 0.0) -> Forecast:
    """Return what is still to come for a task that has run for `elapsed` seconds."""
    elapsed = min(max(elapsed, 0.0), SECONDS_MAX)
    if elapsed >= EDGES[-2]:  # beyond the table: as long again, as with anything that lasts
        return Forecast(elapsed, elapsed, elapsed)
    first = bin_of(elapsed)
    low, high = EDGES[first:-1].copy(), EDGES[first + 1 :]
    floor = EDGES[first] if first else 0.0
    low[0] = min(max(elapsed, floor), high[0] * HAZARD_MAX)
    survive = 1.0 - np.minimum(hazard[first:], HAZARD_MAX)
    survive[0] **= (high[0] - low[0]) / (high[0] - floor)
    after = np.cumprod(survive, dtype=np.float64)
    before = np.concatenate(([1.0], after[:-1]))
    mean = float(((high - low) * 0.5 * (before + after)).sum())
    median, p80 = (_quantile(low, high, after, survived) - elapsed for survived in (0.5, 0.2))
    return Forecast(max(mean, SECONDS_MIN), max(median, SECONDS_MIN), max(p80, SECONDS_MIN))


def log_moments(hazard: Floats) -> tuple[float, float]:
    """Return mean and variance of the logarithm of the length in seconds, of a task that has not started."""
    survive = 1.0 - hazard
    reached = np.concatenate(([1.0], np.cumprod(survive)[:-1]))
    mass = reached * hazard
    mass[-1] = reached[-1]  # whoever reaches the last bin ends there
    mean = float(mass @ LOG_CENTRES)
    return mean, max(float(mass @ (LOG_CENTRES - mean) ** 2), 0.01)


def log_normal(mean_log: float, sigma: float) -> Floats:
    """Return the share of a log-normal distribution in each bin."""
    within = np.array([_survival((math.log(edge) - mean_log) / max(sigma, 1e-3)) for edge in EDGES])
    within[0], within[-1] = 1.0, 0.0
    shares: Floats = within[:-1] - within[1:]
    return shares


def shifted(row: Floats, log_time: float, sigma: float) -> Floats:
    """Return what counts of lengths amount to where the same work takes exp(log_time) times as long, give or take.

    `sigma` is the spread of the logarithm of that factor. The sum of the counts stays.
    """
    width = math.log(2.0) / BINS_PER_OCTAVE
    reach = math.ceil((abs(log_time) + 3 * sigma) / width) + 1
    steps = np.arange(-reach, reach + 1)
    edges = [_survival(((step - 0.5) * width - log_time) / max(sigma, width / 4)) for step in [*steps, reach + 1]]
    kernel = np.array(edges[:-1]) - np.array(edges[1:])
    padded = np.convolve(row, kernel / kernel.sum())
    found: Floats = padded[reach : reach + BINS].copy()
    found[0] += padded[:reach].sum()
    found[-1] += padded[reach + BINS :].sum()
    return found


def guess() -> Floats:
    """Return the hazards of the log-normal guess."""
    shares = log_normal(math.log(GUESS_SECONDS), GUESS_SIGMA)
    hazard: Floats = np.clip(shares / np.maximum(_from_here_on(shares), 1e-300), 1e-9, HAZARD_MAX)
    return hazard


def _from_here_on(counts: Floats) -> Floats:
    total: Floats = np.cumsum(counts[::-1])[::-1]
    return total


def _quantile(low: Floats, high: Floats, after: Floats, survived: float) -> float:
    """Return the length that a share `survived` outlives, logarithmically between the edges of its bin."""
    row = min(int(np.searchsorted(-after, -survived)), len(after) - 1)
    before = float(after[row - 1]) if row else 1.0
    share = min((before - survived) / max(before - float(after[row]), 1e-12), 1.0)
    start = max(float(low[row]), SECONDS_MIN)
    length: float = start * (max(float(high[row]), start) / start) ** share
    return length


def _survival(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2.0))
