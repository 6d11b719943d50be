"""The product's own scheduler behind the evaluator of rounds over classes: no copy, no constants of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta

import numpy as np

from benchmarks.scheduling.gavel import CLASSES, Floats, Ints
from benchmarks.scheduling.openb import Machine
from benchmarks.scheduling.product import EPOCH, GB, nodes_of
from benchmarks.scheduling.rounds import NONE, Queue, Rules
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import Demand, Expectation, Restart, RunningTask, Stake, WaitingTask
from lepton_ai.types.resources import AcceleratorRequest, Allocation

NODE_DEVICES = 4
TOLERANCE = 0.01  # estimates of what is left of a running job are told anew once they are off by 1 %


class Preempting:
    """Tells the scheduler what arrived and what ended; stops at once whom it preempts."""

    def __init__(self, rules: Rules) -> None:
        self.scheduler = Scheduler(nodes_of(_machines(rules)))
        self.known: set[int] = set()
        self.held: dict[int, tuple[Allocation, ...]] = {}
        self.began: dict[int, float] = {}
        self.ends: dict[int, float] = {}  # of those that run, as the scheduler expects it

    def decide(self, queue: Queue) -> Ints:
        """Plan at the moment of the round until nobody is preempted any more."""
        jobs = queue.jobs.tolist()
        row_of = {job: row for row, job in enumerate(jobs)}
        for job in self.known - row_of.keys():
            self.scheduler.forget(name_of(job))
            self._stopped(job)
        for job in jobs:
            if job not in self.known:
                self.scheduler.submit(_waiting(queue, row_of[job]))
        self.known = set(jobs)
        for job in list(self.held):
            self._correct(job, queue, row_of[job])
        while self._plan(queue, row_of):
            pass
        classes = {job: CLASSES.index(allocations[0].resource_class) for job, allocations in self.held.items()}
        return np.array([classes.get(job, NONE) for job in jobs], dtype=np.int64)

    def _plan(self, queue: Queue, row_of: Mapping[int, int]) -> bool:
        """Carry out one plan; tells whether it preempted anybody."""
        plan = self.scheduler.plan(EPOCH + timedelta(seconds=queue.now))
        for placed in plan.placements:
            job = int(placed.task_id)
            self.held[job], self.began[job] = placed.allocations, queue.now
            self.ends[job] = queue.now + placed.expected_seconds
        for stopped in plan.preemptions:
            job = int(stopped.task_id)
            self._stopped(job)
            self.scheduler.submit(_waiting(queue, row_of[job]))
        return bool(plan.preemptions)

    def _stopped(self, job: int) -> None:
        self.held.pop(job, None)
        self.ends.pop(job, None)
        self.began.pop(job, None)

    def _correct(self, job: int, queue: Queue, row: int) -> None:
        """Tell what is left of a running job if that is not what was to be expected."""
        allocations = self.held[job]
        left = float(queue.seconds[row, CLASSES.index(allocations[0].resource_class)])
        if abs(self.ends[job] - queue.now - left) <= TOLERANCE * left:
            return
        self.ends[job] = queue.now + left
        now, task = EPOCH + timedelta(seconds=queue.now), _waiting(queue, row)
        stake = Stake(
            weight=task.weight,
            expectations=_expectations(queue.seconds[row]),
            as_of=now,
            since=EPOCH + timedelta(seconds=self.began[job]),
            restart=Restart(queue.restart_seconds),
            waited_seconds=float(queue.waited[row]),
        )
        end = now + timedelta(seconds=left)
        self.scheduler.run(RunningTask(task.id, task.name, allocations, end, task.demand, stake))


def name_of(job: int) -> str:
    """Return the id of a job's task."""
    return f"{job:06}"


def _machines(rules: Rules) -> list[Machine]:
    node = Machine(1000 * NODE_DEVICES, 1000 * NODE_DEVICES, NODE_DEVICES, "")
    counts = zip(CLASSES, rules.capacity, strict=True)
    return [node._replace(model=name) for name, devices in counts for _ in range(devices // NODE_DEVICES)]


def _waiting(queue: Queue, row: int) -> WaitingTask:
    """Return a job as it waits: each start costs the restart time, and while it ran it has not waited."""
    name, seconds = name_of(int(queue.jobs[row])), queue.seconds[row]
    kinds = "|".join(kind for kind, s in zip(CLASSES, seconds, strict=True) if np.isfinite(s))
    demand = Demand(1000, GB, AcceleratorRequest(kind=kinds, count=1), int(queue.gangs[row]))
    return WaitingTask(
        id=name,
        name=name,
        demand=demand,
        weight=float(queue.weights[row]),
        submitted_at=EPOCH + timedelta(seconds=queue.now - float(queue.waited[row])),
        expectations=_expectations(seconds + queue.restart_seconds),
        restart=Restart(queue.restart_seconds),
    )


def _expectations(seconds: Floats) -> Mapping[str, Expectation]:
    named = zip(CLASSES, seconds.tolist(), strict=True)
    return {kind: Expectation(s, s, "stated") for kind, s in named if math.isfinite(s)}
