"""A live queue: pods of the openb trace come and go on a tenth of its cluster, as much work as its GPUs can do.

Decisions are made every 30 s, nothing is preempted, and policies see an estimate of each duration that is wrong by a
log-normal factor. The figure is the weighted time from arrival to end, as a multiple of its lower bound: all durations
with no waiting at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from benchmarks.scheduling.books import Books, Floats
from benchmarks.scheduling.openb import Machine, Pod, Shape
from benchmarks.scheduling.packing import Placement

GRID_SECONDS = 30
SECONDS_MIN, SECONDS_MAX = 60, 12 * 3600  # durations are cut to these
WEIGHTS: Mapping[str, int] = {"LS": 4, "Guaranteed": 4, "Burstable": 2, "BE": 1}
DAY_SECONDS = 24 * 3600
DIURNAL = 0.5  # arrivals swing by so much around their mean within a day
PARTS = 10  # the cluster is every 10th node


class Task(NamedTuple):
    """One pod in the queue. A policy must not read `seconds`, which is how long it will really run."""

    number: int
    shape: Shape
    weight: int
    quality: str
    arrived: float  # seconds from the start
    expected: float  # the estimate: median seconds of the run
    seconds: int


class Start(NamedTuple):
    """A decision: the task begins now."""

    number: int
    placement: Placement


class QueuePolicy(Protocol):
    """Decides what starts. It keeps the queue itself, from what the evaluator tells it."""

    def reset(self, books: Books, sigma: float) -> None:
        """Begin with empty nodes. `sigma` is the spread of the logarithm of the estimates."""

    def decide(self, now: float, arrived: Sequence[Task], ended: Sequence[int]) -> Iterator[Start]:
        """Yield what starts now, one by one; the books have changed when the iterator is asked for the next."""


@dataclass(frozen=True)
class Stream:
    """What arrives, and on what: nodes in one fixed random order. All GPUs could do it in `horizon` seconds."""

    machines: Sequence[Machine]
    tasks: Sequence[Task]
    sigma: float
    horizon: float

    @property
    def bound(self) -> float:
        """Weighted mean duration: no schedule ends sooner."""
        return sum(t.weight * t.seconds for t in self.tasks) / sum(t.weight for t in self.tasks)


@dataclass
class Waits:
    """What came of one run: seconds that each task waited, by its number."""

    stream: Stream
    waits: Floats
    busy: list[float] = field(default_factory=list)  # part of the GPUs that was allocated while tasks waited

    @property
    def stretch(self) -> float:
        """Weighted mean of waiting and running, as a multiple of the bound."""
        tasks = self.stream.tasks
        waited = sum(t.weight * float(self.waits[t.number]) for t in tasks) / sum(t.weight for t in tasks)
        return 1 + waited / self.stream.bound

    def mean_of(self, *qualities: str) -> float:
        """Return the mean wait of the pods of these quality classes, in seconds."""
        return float(np.mean([self.waits[t.number] for t in self.stream.tasks if t.quality in qualities]))

    def percentile(self, q: float) -> float:
        return float(np.percentile(self.waits, q))


def tenth(machines: Sequence[Machine], offset: int = 0) -> Sequence[Machine]:
    """Return every 10th node, in the order of model and CPUs."""
    return sorted(machines, key=lambda m: (m.model, m.cpu_milli))[offset::PARTS]


def draw(machines: Sequence[Machine], pods: Sequence[Pod], count: int, sigma: float, seed: int) -> Stream:
    """Draw `count` of the pods that ran and that fit on some empty node, at a GPU load of 1."""
    rng = np.random.default_rng(seed)
    books = Books(machines)
    able = {shape: bool(books.fits(shape).any()) for shape in {pod.shape for pod in pods}}
    ran = [(pod, pod.seconds) for pod in pods if pod.seconds is not None and able[pod.shape]]
    drawn = [ran[row] for row in rng.integers(len(ran), size=count)]
    lengths = [min(max(seconds, SECONDS_MIN), SECONDS_MAX) for _, seconds in drawn]
    work = sum(pod.shape.gpu_milli_total * seconds for (pod, _), seconds in zip(drawn, lengths, strict=True))
    horizon = work / books.gpu_milli_total
    times, errors = _times(count, horizon, rng), np.exp(sigma * rng.standard_normal(count))
    tasks = [
        Task(
            i, pod.shape, WEIGHTS[pod.quality], pod.quality, float(times[i]), lengths[i] * float(errors[i]), lengths[i]
        )
        for i, (pod, _) in enumerate(drawn)
    ]
    return Stream(machines, tasks, sigma, horizon)


def serve(stream: Stream, policy: QueuePolicy) -> Waits:
    """Run the policy until all tasks have ended.

    Raises:
        OvercommitError: the policy started a task where it does not fit.
    """
    books = Books(stream.machines)
    policy.reset(books, stream.sigma)
    found = Waits(stream, np.full(len(stream.tasks), np.nan))
    running: list[tuple[float, int, Placement]] = []
    began, step, due = 0, 0, 0
    while began < len(stream.tasks):
        now = float(step * GRID_SECONDS)
        ended = [entry for entry in running if entry[0] <= now]
        running = [entry for entry in running if entry[0] > now]
        for _, number, placement in ended:
            books.give(stream.tasks[number].shape, *placement)
        first = due
        while due < len(stream.tasks) and stream.tasks[due].arrived <= now:
            due += 1
        for number, placement in policy.decide(now, stream.tasks[first:due], [number for _, number, _ in ended]):
            task = stream.tasks[number]
            assert number < due, f"task {number} has not arrived"
            assert math.isnan(found.waits[number]), f"task {number} was started already"
            books.take(task.shape, *placement)
            found.waits[number] = now - task.arrived
            running.append((now + task.seconds, number, placement))
            began += 1
        if began < due:
            found.busy.append(books.gpu_milli_used / books.gpu_milli_total)
        step += 1
    return found


def _times(count: int, horizon: float, rng: np.random.Generator) -> Floats:
    """Return the times of a Poisson process whose rate swings with the day, given how many there are."""
    grid = np.linspace(0, horizon, 10_001)
    swing = DIURNAL * DAY_SECONDS / (2 * math.pi)
    mass = grid + swing * (1 - np.cos(2 * math.pi * grid / DAY_SECONDS))  # integral of 1 + DIURNAL sin
    return np.asarray(np.interp(np.sort(rng.random(count)) * mass[-1], mass, grid))
