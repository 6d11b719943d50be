"""Streams of jobs to replay: a window of the Philly trace, or a small one drawn at random."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TRACE_BEGINS = datetime(2017, 9, 4, 10, 30, 41)  # noqa: DTZ001 - local time of the trace; only differences matter
DAY_SECONDS = 86_400
GANGS = (1, 2, 4, 8, 16)  # devices; the few jobs of 12, and those above 16, are left out
LONGEST_SECONDS = 3 * DAY_SECONDS
HEAVY_WEIGHT, HEAVY_SHARE = 5.0, 0.2


@dataclass(frozen=True, slots=True)
class Stream:
    """Jobs by time of submission. Times are whole seconds from the start of the stream; `key` numbers who sent it."""

    submit: Ints
    seconds: Ints
    gang: Ints
    weight: Floats
    key: Ints

    def __len__(self) -> int:
        return len(self.submit)

    def load(self, devices: int, days: float) -> float:
        """Return the work offered over the devices' time."""
        return float((self.seconds * self.gang).sum()) / (devices * days * DAY_SECONDS)

    def weighted(self, values: Floats | Ints) -> float:
        """Return the mean of one value per job by the jobs' weights."""
        return float((values * self.weight).sum() / self.weight.sum())


def philly(trace: Path, first_day: date, *, days: int = 14, seed: int = 5) -> Stream:
    """Read the jobs submitted in `days` days from midnight of `first_day`; durations are capped at three days.

    Source: the extract of msr-fiddle/philly-traces (Jeon et al., ATC 2019) with submit_s, duration_s, num_gpus, vc.
    Weights are not in the trace: a fifth of the jobs, drawn with `seed`, count five times. The bounds that are told
    beside the figures hold for seed 5.
    """
    offset = int((datetime.combine(first_day, datetime.min.time()) - TRACE_BEGINS).total_seconds())
    with gzip.open(trace, "rt", newline="") as lines:
        rows = [(int(r["submit_s"]), int(r["duration_s"]), int(r["num_gpus"]), r["vc"]) for r in csv.DictReader(lines)]
    numbers = {name: number for number, name in enumerate(sorted({row[3] for row in rows}))}
    kept = [row for row in rows if 0 <= row[0] - offset < days * DAY_SECONDS and row[2] in GANGS]
    submit, seconds, gang = (np.array([row[column] for row in kept], dtype=np.int64) for column in range(3))
    key = np.array([numbers[row[3]] for row in kept], dtype=np.int64)
    return Stream(submit - offset, np.minimum(seconds, LONGEST_SECONDS), gang, _weights(len(kept), seed), key)


def random_stream(seed: int, *, jobs: int = 12, horizon: int = 1_800) -> Stream:
    """Draw a small stream, heavy-tailed like the real one, for property tests."""
    draw = np.random.default_rng(seed)
    submit = np.sort(draw.integers(0, horizon, jobs))
    seconds = np.maximum(1, draw.lognormal(6.0, 1.5, jobs)).astype(np.int64)
    gang = draw.choice(np.array(GANGS), jobs, p=[0.5, 0.15, 0.15, 0.15, 0.05])
    return Stream(submit, seconds, gang, _weights(jobs, seed), draw.integers(0, 3, jobs))


def _weights(jobs: int, seed: int) -> Floats:
    heavy = np.random.RandomState(seed).rand(jobs) < HEAVY_SHARE
    return np.where(heavy, HEAVY_WEIGHT, 1.0)
