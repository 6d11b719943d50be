"""Job streams of Gavel: drawn by its generator, so that seed 0 gives the published ones and others more of the kind."""

from __future__ import annotations

import csv
import gzip
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CLASSES = ("v100", "p100", "k80")
# The order in which Gavel's generator (scheduler/job_table.py) lists its job types decides which one a draw picks.
FAMILIES: tuple[tuple[str, tuple[int, ...], bool], ...] = (
    ("ResNet-18", (16, 32, 64, 128, 256), True),
    ("ResNet-50", (16, 32, 64, 128), True),
    ("Transformer", (16, 32, 64, 128, 256), True),
    ("LM", (5, 10, 20, 40, 80), True),
    ("Recommendation", (512, 1024, 2048, 4096, 8192), False),
)
JOB_TYPES: tuple[tuple[str, bool], ...] = (
    *((f"{family} (batch size {size})", gang) for family, sizes, gang in FAMILIES for size in sizes),
    ("A3C", False),
    ("CycleGAN", False),
)
Speeds = Mapping[tuple[str, int], tuple[float, ...]]


@dataclass(frozen=True)
class Stream:
    """Jobs in order of arrival; row j of every array is job j, column k of `seconds` is resource class k.

    `seconds` is the time that the whole job takes on one class with all its devices; inf where it cannot run at all.
    """

    arrival_seconds: Floats
    weights: Floats
    gangs: Ints
    seconds: Floats

    def __len__(self) -> int:
        return len(self.arrival_seconds)


def read_stream(path: Path) -> Stream:
    """Return the jobs of one published stream, all of weight 1."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    steps = np.array([float(row["total_steps"]) for row in rows])
    rates = np.array([[float(row[f"steps_per_s_{name}"]) for name in CLASSES] for row in rows])
    return Stream(
        arrival_seconds=np.array([float(row["arrival_s"]) for row in rows]),
        weights=np.ones(len(rows)),
        gangs=np.array([int(row["scale_factor"]) for row in rows], dtype=np.int64),
        seconds=_per_class(steps, rates),
    )


def read_speeds(path: Path) -> Speeds:
    """Return steps per second of each (job type, gang size) on the three classes, from Gavel's isolated throughputs."""
    speeds = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found = re.fullmatch(r"\('(.+)', (\d+)\)", row["job_type_and_scale"])
            assert found is not None
            speeds[found[1], int(found[2])] = tuple(float(row[name]) for name in CLASSES)
    return speeds


def draw_stream(speeds: Speeds, count: int, jobs_per_hour: float, seed: int, *, gangs: bool) -> Stream:
    """Draw `count` jobs by Gavel's recipe: seed 0 gives back the published streams to the digit.

    Gangs of 1, 2, 4, 8 with probability .7, .1, .15, .05; on the fastest published class a job lasts 10^u minutes,
    u uniform on [1.5, 3] for four jobs in five and on [3, 4] for the fifth (Gavel, OSDI'20, section 7.1). Arrivals are
    a Poisson process.
    """
    draws, gaps = random.Random(seed + 2), random.Random(seed + 3)
    jobs = [_draw_job(draws, gangs=gangs) for _ in range(count)]
    arrivals = [0.0]
    for _ in range(count - 1):
        arrivals.append(arrivals[-1] - math.log(1.0 - gaps.random()) * 3600.0 / jobs_per_hour)
    return _stream(jobs, speeds, arrivals, [1.0] * count)


def draw_batch(speeds: Speeds, count: int, seed: int) -> Stream:
    """Draw `count` gang jobs that all wait at time zero; one in five has weight 5, the others 1."""
    draws = random.Random(seed + 2)
    jobs, weights = [], []
    for _ in range(count):
        jobs.append(_draw_job(draws, gangs=True))
        weights.append(5.0 if draws.uniform(0, 1) <= 0.2 else 1.0)
    return _stream(jobs, speeds, [0.0] * count, weights)


def _draw_job(draws: random.Random, *, gangs: bool) -> tuple[str, int, float]:
    """Return job type, gang size and seconds on a V100, drawn in the generator's order."""
    place = draws.uniform(0, 1)
    size = 1 if place < 0.7 else 2 if place <= 0.8 else 4 if place < 0.95 else 8
    minutes = 10 ** (draws.uniform(3, 4) if draws.random() >= 0.8 else draws.uniform(1.5, 3))
    size = size if gangs else 1
    while True:
        name, may_gang = draws.choice(JOB_TYPES)
        if size == 1 or may_gang:
            return name, size, 60 * minutes


def _stream(
    jobs: Sequence[tuple[str, int, float]], speeds: Speeds, arrivals: Sequence[float], weights: Sequence[float]
) -> Stream:
    rates = np.array([speeds[name, size] for name, size, _ in jobs])
    steps = np.array([seconds for _, _, seconds in jobs]) * rates[:, 0]
    return Stream(
        arrival_seconds=np.array(arrivals),
        weights=np.array(weights),
        gangs=np.array([size for _, size, _ in jobs], dtype=np.int64),
        seconds=_per_class(steps, rates),
    )


def _per_class(steps: Floats, rates: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.where(rates > 0, steps[:, None] / rates, np.inf)
