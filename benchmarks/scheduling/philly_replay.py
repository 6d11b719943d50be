"""Replays a stream of jobs on nodes of eight devices and keeps its own books: what does not fit is refused."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.scheduling.philly import Ints, Stream

GRID_SECONDS = 30  # decisions fall on this grid; ends fall where they fall
NODE_DEVICES = 8


class Infeasible(AssertionError):
    """A scheduler asked for what the cluster does not have, or for a move that makes no sense."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start or resume a job. A gang of up to eight takes one node; a larger one takes whole, empty nodes."""

    job: int
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Preempt a job: its work so far is kept, and its next start costs the restart time."""

    job: int


class Scheduler(Protocol):
    """What is replayed. It sees submissions and ends as they happen, never a length that is not known yet."""

    def submitted(self, job: int, now: int) -> None:
        """Take note of a job that waits from now on."""

    def finished(self, job: int, now: int) -> None:
        """Take note that a job ended, at `now` or since the last grid point."""

    def decide(self, now: int) -> Iterable[Start | Stop]:
        """Return what to do now, to be carried out in this order."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The cluster and its rules. `restart_seconds` is None where preemption is not allowed."""

    nodes: int
    restart_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, by job, in seconds from the start of the stream."""

    stream: Stream
    setting: Setting
    first_start: Ints
    end: Ints
    starts: Ints

    @property
    def completion(self) -> Ints:
        """Seconds from submission to end."""
        return self.end - self.stream.submit

    @property
    def wait(self) -> Ints:
        """Seconds in which a job did not get on: in the queue, preempted, or restarting."""
        return self.completion - self.stream.seconds

    @property
    def mean_completion(self) -> float:
        return float(self.completion.mean())

    @property
    def weighted_completion(self) -> float:
        return self.stream.weighted(self.completion)

    @property
    def p99_wait(self) -> float:
        return float(np.percentile(self.wait, 99))

    @property
    def utilisation(self) -> float:
        """Share of the devices' time that went into work, until the last end."""
        work = float((self.stream.seconds * self.stream.gang).sum())
        return work / (self.setting.nodes * NODE_DEVICES * float(self.end.max()))


def replay(stream: Stream, setting: Setting, scheduler: Scheduler) -> Outcome:
    """Run the stream to its end. Raises `Infeasible` at the first step that the books do not allow."""
    books = Books(stream, setting)
    arrived, count = 0, len(stream)
    while books.unfinished:
        now = books.next_time(int(stream.submit[arrived]) if arrived < count else None)
        for job, end in books.release(now):
            scheduler.finished(job, end)
        while arrived < count and stream.submit[arrived] <= now:
            books.is_waiting[arrived] = True
            scheduler.submitted(arrived, int(stream.submit[arrived]))
            arrived += 1
        for step in scheduler.decide(now):
            books.apply(step, now)
    return Outcome(stream, setting, books.first_start, books.end, books.starts)


class Books:
    """What is free, who runs where, and how much work is left: integers only."""

    def __init__(self, stream: Stream, setting: Setting) -> None:
        self.setting, self.gang = setting, stream.gang.tolist()
        self.free = [NODE_DEVICES] * setting.nodes
        self.left: list[int] = stream.seconds.tolist()
        self.is_waiting = [False] * len(stream)
        self.unfinished = len(stream)
        self.first_start = np.full(len(stream), -1, dtype=np.int64)
        self.end = np.full(len(stream), -1, dtype=np.int64)
        self.starts = np.zeros(len(stream), dtype=np.int64)
        self._running: dict[int, tuple[int, tuple[int, ...]]] = {}  # job: when its work began or begins, its nodes
        self._ends: list[tuple[int, int]] = []

    def next_time(self, submission: int | None) -> int:
        """Return the first point of the grid at which something has changed."""
        while self._ends and not self._is_current(*self._ends[0]):
            heapq.heappop(self._ends)
        times = [self._ends[0][0]] if self._ends else []
        times += [] if submission is None else [submission]
        if not times:
            raise Infeasible(f"{self.unfinished} jobs are left, nothing runs and nothing will arrive.")
        return -(-min(times) // GRID_SECONDS) * GRID_SECONDS

    def release(self, now: int) -> list[tuple[int, int]]:
        """Free what jobs that have ended by now held; return them with their ends."""
        ended = []
        while self._ends and self._ends[0][0] <= now:
            end, job = heapq.heappop(self._ends)
            if self._is_current(end, job):
                self._give_back(job)
                self.left[job], self.end[job] = 0, end
                self.unfinished -= 1
                ended.append((job, end))
        return ended

    def apply(self, step: Start | Stop, now: int) -> None:
        """Carry out one step, or raise `Infeasible`."""
        if isinstance(step, Start):
            self._start(step, now)
        else:
            self._stop(step.job, now)

    def _start(self, step: Start, now: int) -> None:
        if not self.is_waiting[step.job]:
            raise Infeasible(f"Job {step.job} is not waiting at {now} s.")
        each = devices_each(self.gang[step.job])
        if len(set(step.nodes)) != len(step.nodes) or len(step.nodes) * each != self.gang[step.job]:
            raise Infeasible(f"Job {step.job} is a gang of {self.gang[step.job]}; {step.nodes} is no place for it.")
        for node in step.nodes:
            if self.free[node] < each:
                raise Infeasible(f"Node {node} has {self.free[node]} devices free at {now} s; {each} are asked for.")
            self.free[node] -= each
        begin = now + (self.setting.restart_seconds or 0 if self.starts[step.job] else 0)
        self.is_waiting[step.job] = False
        self.starts[step.job] += 1
        if self.first_start[step.job] < 0:
            self.first_start[step.job] = now
        self._running[step.job] = (begin, step.nodes)
        heapq.heappush(self._ends, (begin + self.left[step.job], step.job))

    def _stop(self, job: int, now: int) -> None:
        if self.setting.restart_seconds is None:
            raise Infeasible("This setting has no preemption.")
        if job not in self._running:
            raise Infeasible(f"Job {job} does not run at {now} s.")
        self.left[job] -= max(0, now - self._running[job][0])
        self._give_back(job)
        self.is_waiting[job] = True

    def _give_back(self, job: int) -> None:
        for node in self._running.pop(job)[1]:
            self.free[node] += devices_each(self.gang[job])

    def _is_current(self, end: int, job: int) -> bool:
        return job in self._running and self._running[job][0] + self.left[job] == end


def devices_each(gang: int) -> int:
    """Return how many devices a gang takes on each of its nodes."""
    return min(gang, NODE_DEVICES)
