"""Replays a stream in fixed rounds on classes of devices; it alone keeps the books, and refuses what does not fit."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.scheduling.gavel import Floats, Ints, Stream

NONE = -1  # holds no class


@dataclass(frozen=True)
class Queue:
    """The jobs that have arrived and not ended, in order of arrival, as a policy may see them.

    `seconds` is the remaining time on each class by the estimate at hand (inf: cannot run there), `held` the class that
    a job ran on in the round before or NONE, `waited` the seconds since its arrival in which it did not run.
    """

    jobs: Ints
    weights: Floats
    gangs: Ints
    seconds: Floats
    held: Ints
    waited: Floats
    capacity: Ints
    restart_seconds: float
    now: float


class Policy(Protocol):
    """Decides one round."""

    def decide(self, queue: Queue) -> Ints:
        """Return the class that each job of `queue` runs on until the next round, or NONE."""
        ...


@dataclass(frozen=True)
class Rules:
    """What is replayed: devices per class, length of a round, time lost at each start, error of estimates (log sd)."""

    capacity: tuple[int, ...] = (36, 36, 36)
    round_seconds: float = 360.0
    restart_seconds: float = 0.0
    sigma: float = 0.0
    noise_seed: int = 0


@dataclass
class Outcome:
    """What came of it: completion times by job (nan: none), starts by job, and how long each decision took."""

    arrival_seconds: Floats
    weights: Floats
    end_seconds: Floats
    starts: Ints
    last_seconds: float = 0.0
    decision_seconds: list[float] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)

    def flow_seconds(self) -> Floats:
        """Return time in the system of each job; one that never ended counts until the last round."""
        return np.where(np.isnan(self.end_seconds), self.last_seconds, self.end_seconds) - self.arrival_seconds

    def weighted_sum_hours(self) -> float:
        """Return the sum of weight x completion time, in hours."""
        return float(self.weights @ (self.flow_seconds() + self.arrival_seconds)) / 3600.0


class _Books:
    """Which jobs are in, how much of each is left, and what it holds."""

    def __init__(self, stream: Stream, rules: Rules) -> None:
        noise = np.random.default_rng(rules.noise_seed).standard_normal(len(stream))
        self.stream, self.rules = stream, rules
        self.error = np.exp(rules.sigma * noise)[:, None]
        self.left = np.ones(len(stream))
        self.held = np.full(len(stream), NONE, dtype=np.int64)
        self.waited = np.zeros(len(stream))
        self.jobs: Ints = np.zeros(0, dtype=np.int64)
        self.arrived = 0
        self.outcome = Outcome(
            stream.arrival_seconds, stream.weights, np.full(len(stream), np.nan), np.zeros(len(stream), dtype=np.int64)
        )

    def admit(self, now: float) -> None:
        until = int(np.searchsorted(self.stream.arrival_seconds, now, side="right"))
        new = np.arange(self.arrived, until)
        self.waited[new] = now - self.stream.arrival_seconds[new]
        self.jobs, self.arrived = np.concatenate([self.jobs, new]), until

    def queue(self, now: float) -> Queue:
        jobs, stream = self.jobs, self.stream
        return Queue(
            jobs=jobs,
            weights=stream.weights[jobs],
            gangs=stream.gangs[jobs],
            seconds=stream.seconds[jobs] * self.left[jobs, None] * self.error[jobs],
            held=self.held[jobs],
            waited=self.waited[jobs],
            capacity=np.array(self.rules.capacity, dtype=np.int64),
            restart_seconds=self.rules.restart_seconds,
            now=now,
        )

    def check(self, classes: Ints) -> None:
        if classes.shape != self.jobs.shape:
            raise ValueError(f"{classes.shape} classes for {self.jobs.shape} jobs.")
        placed = classes != NONE
        used = np.bincount(classes[placed], self.stream.gangs[self.jobs[placed]], len(self.rules.capacity))
        if len(used) != len(self.rules.capacity) or (used > self.rules.capacity).any():
            raise ValueError(f"The policy uses {used} of {self.rules.capacity} devices.")
        if not np.isfinite(self.stream.seconds[self.jobs[placed], classes[placed]]).all():
            raise ValueError("The policy put a job on a class that cannot run it.")

    def run(self, classes: Ints, now: float) -> None:
        rules, placed = self.rules, classes != NONE
        self.waited[self.jobs[~placed]] += rules.round_seconds
        self.held[self.jobs[~placed]] = NONE
        jobs, where = self.jobs[placed], classes[placed]
        starts = self.held[jobs] != where
        lost = np.where(starts, rules.restart_seconds, 0.0)
        whole = self.stream.seconds[jobs, where]
        needed = lost + self.left[jobs] * whole
        ends = needed <= rules.round_seconds
        self.left[jobs] -= np.maximum(0.0, rules.round_seconds - lost) / whole
        self.held[jobs] = where
        self.outcome.starts[jobs] += starts
        self.outcome.end_seconds[jobs[ends]] = now + needed[ends]
        self.jobs = self.jobs[np.isnan(self.outcome.end_seconds[self.jobs])]


def replay(stream: Stream, policy: Policy, rules: Rules, watched: npt.NDArray[np.bool_] | None = None) -> Outcome:
    """Replay `stream` until every `watched` job (all by default) has ended, or ten times the stream's length is over.

    Gavel's rounds: decisions every `round_seconds`; a job that ends within a round frees its devices at the next one;
    preemption costs nothing but `restart_seconds`, lost at each start on a class that the job did not hold.
    """
    books = _Books(stream, rules)
    outcome, step = books.outcome, rules.round_seconds
    watch = np.ones(len(stream), dtype=bool) if watched is None else watched
    number, limit = 0, round_limit(stream, rules)
    while number < limit and np.isnan(outcome.end_seconds[watch]).any():
        now = number * step
        books.admit(now)
        if not len(books.jobs):
            number = math.ceil(float(stream.arrival_seconds[books.arrived]) / step)
            continue
        queue = books.queue(now)
        began = time.perf_counter()
        classes = policy.decide(queue)
        outcome.decision_seconds.append(time.perf_counter() - began)
        outcome.waiting.append(int((classes == NONE).sum()))
        books.check(classes)
        books.run(classes, now)
        number += 1
        outcome.last_seconds = number * step
    return outcome


def round_limit(stream: Stream, rules: Rules) -> int:
    """Return the round after which jobs count as unfinished: the last arrival of a stream, for a batch all its work."""
    last = float(stream.arrival_seconds[-1])
    work = float((stream.seconds.min(axis=1) * stream.gangs).sum())
    return math.ceil((last if last > 0 else 100.0 * work) / rules.round_seconds)
