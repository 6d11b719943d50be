"""Baselines that rank the jobs and give each the fastest class with room: FIFO, SJF, SRTF, WSPT, LAS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.scheduling.gavel import Floats, Ints
from benchmarks.scheduling.rounds import NONE, Queue

Rank = Callable[[Queue], Floats]


def fifo(queue: Queue) -> Floats:
    return queue.jobs.astype(np.float64)


def shortest(queue: Queue) -> Floats:
    """Rank by remaining time on the fastest class."""
    return np.asarray(queue.seconds.min(axis=1))


def weighted_shortest(queue: Queue) -> Floats:
    """Rank by device-seconds on the fastest class per unit of weight (Smith's rule)."""
    return np.asarray(queue.gangs * queue.seconds.min(axis=1) / queue.weights)


class Greedy:
    """Fills the classes in the order of a rank, each job on the fastest class that has room."""

    def __init__(self, rank: Rank, *, preempts: bool, skips: bool = True) -> None:
        self.rank, self.preempts, self.skips = rank, preempts, skips

    def decide(self, queue: Queue) -> Ints:
        classes = np.full(len(queue.jobs), NONE, dtype=np.int64)
        free = queue.capacity.copy()
        order = np.argsort(self.rank(queue), kind="stable")
        if not self.preempts:
            runs = queue.held != NONE
            classes[runs] = queue.held[runs]
            np.subtract.at(free, queue.held[runs], queue.gangs[runs])
            order = order[~runs[order]]
        for row in order:
            if not free.any():
                break
            seconds = np.where(free >= queue.gangs[row], queue.seconds[row], np.inf)
            best = int(seconds.argmin())
            if np.isfinite(seconds[best]):
                classes[row] = best
                free[best] -= queue.gangs[row]
            elif not self.skips:
                break
        return classes


class LeastAttained:
    """Least attained device-time first (Tiresias' rule without its queues), blind to how fast a class is."""

    def __init__(self) -> None:
        self.attained: dict[int, float] = {}
        self.before: float = 0.0

    def decide(self, queue: Queue) -> Ints:
        passed, self.before = queue.now - self.before, queue.now
        for job, gang, held in zip(queue.jobs.tolist(), queue.gangs.tolist(), queue.held.tolist(), strict=True):
            self.attained[job] = self.attained.get(job, 0.0) + (gang * passed if held != NONE else 0.0)
        order = np.argsort([self.attained[job] for job in queue.jobs.tolist()], kind="stable")
        classes = np.full(len(queue.jobs), NONE, dtype=np.int64)
        free = queue.capacity.copy()
        for row in order:
            room = np.where(np.isfinite(queue.seconds[row]), free, 0)
            if room.max() >= queue.gangs[row]:
                classes[row] = int(room.argmax())
                free[classes[row]] -= queue.gangs[row]
        return classes
