"""Plays a trace on a fleet: a virtual clock, a queue of events, and the live scheduler deciding."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import (
    Expectation,
    NodeView,
    Placement,
    Plan,
    Policy,
    Preemption,
    ProjectView,
    Refusal,
    Restart,
    Wait,
    WaitingTask,
)
from lepton_ai.simulation.told import Told
from lepton_ai.simulation.trace import Trace
from lepton_ai.types.resources import Allocation

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # of traces that count from nothing
HORIZON_SECONDS = 1000 * 366 * 86_400.0  # what has not ended by then never will; datetime ends in the year 9999
_NOWHERE = {Refusal.NO_NODES, Refusal.NO_SUCH_PLACE, Refusal.NO_SUCH_DEVICE}
NEVER = frozenset({*_NOWHERE, Refusal.TOO_LARGE, Refusal.TOO_DEAR})  # while the fleet stays as it is
# A plan with a backlog takes 1 to 4 ms. What arrives where others wait seldom starts at once: it waits for an end.
# With a thousand before it, an end can wait too. On 20,000 tasks at full load no mean wait changes by 1 % (ADR 0016).
PLANS_AIMED, QUEUE, BACKLOG = 10_000, 10, 1000
AGAIN_SECONDS = 30.0
SERVICE_P80 = 3.2e9  # as the live queue tells it: a service never slips in before a reservation


@dataclass(frozen=True, slots=True)
class Rules:
    """How the replay goes.

    In long traces, while tasks wait, plans are made when something ends: arrivals wait for that, but no longer than
    `rhythm_seconds`; and if BACKLOG tasks wait, plans are that far apart altogether. With 0 there is a plan at each
    moment at which something changes; None chooses it by the length of the trace. With a `restart` every task but
    services may be preempted, and pays it; without one, only those that say so. `projects` share the nodes by their
    bounds; without any the queue is one. `alarm` tells when to plan though no task begins or ends.
    """

    policy: Policy = field(default_factory=Policy)
    rhythm_seconds: float | None = None
    restart: Restart | None = None
    projects: tuple[ProjectView, ...] = ()
    alarm: Callable[[], float] = lambda: math.inf

    def rhythm(self, trace: Trace) -> float:
        """Return the rhythm: a ten-thousandth of a trace of more than 5,000 tasks, such as two minutes of two weeks."""
        if self.rhythm_seconds is not None:
            return max(self.rhythm_seconds, 0.0)
        return trace.span_seconds / PLANS_AIMED if 2 * len(trace.tasks) > PLANS_AIMED else 0.0


class Stretch(NamedTuple):
    """One uninterrupted run of a task, by its place in the trace: seconds from the trace's start, and what it held."""

    task: int
    start: float
    end: float
    allocations: tuple[Allocation, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trace on a fleet. Every task of the trace is in exactly one of `ends` and `refused`."""

    trace: Trace
    nodes: tuple[NodeView, ...]
    stretches: tuple[Stretch, ...]
    starts: dict[int, float]  # the first start
    ends: dict[int, float]
    refused: dict[int, Wait]  # why it never ran to its end
    plans: int
    preemptions: int
    reclaims: tuple[int, ...] = ()  # the tasks that were stopped so that a project got what it is promised


class _Run(NamedTuple):
    start: float
    begins: float  # when its work goes on: later than `start` by what a restart takes
    end: float
    allocations: tuple[Allocation, ...]


def replay(
    trace: Trace,
    nodes: Sequence[NodeView],
    told: Told,
    rules: Rules = Rules(),
    scheduler: Scheduler | None = None,
) -> Outcome:
    """Run `trace` to its end on `nodes`, planned by the live scheduler (or the one given). Same input, same outcome."""
    ordered = tuple(sorted(nodes, key=lambda node: node.name))
    play = _Play(trace, told, rules, scheduler or Scheduler(ordered, rules.policy))
    play.share(rules.projects)
    play.run()
    stretches = tuple(sorted(play.stretches, key=lambda one: (one.start, one.task)))
    ends = {task: play.ends[task] for task in sorted(play.ends)}
    counts = play.plans, play.preemptions, tuple(play.reclaims)
    return Outcome(trace, ordered, stretches, play.starts, ends, play.refused, *counts)


class _Play:
    def __init__(self, trace: Trace, told: Told, rules: Rules, scheduler: Scheduler) -> None:
        self._tasks, self._epoch = trace.tasks, trace.began or EPOCH
        self._told, self._rules, self._scheduler = told, rules, scheduler
        self._rhythm = rules.rhythm(trace)
        self._may_preempt = rules.restart is not None or any(task.restart for task in trace.tasks)
        self._row_of = {task.id: row for row, task in enumerate(trace.tasks)}
        self._arrived = 0
        self._events: list[tuple[float, int]] = []  # when a task ends or is stopped
        self._running: dict[int, _Run] = {}
        self._done: dict[int, float] = {}  # seconds of work that a preempted task has behind it
        self._stops: dict[int, float] = {}  # when the notice of a preempted task is over
        self._waiting = 0
        self._happened = 0.0
        self.stretches: list[Stretch] = []
        self.starts: dict[int, float] = {}
        self.ends: dict[int, float] = {}
        self.refused: dict[int, Wait] = {}
        self.plans = self.preemptions = 0
        self.reclaims: list[int] = []

    def share(self, projects: Sequence[ProjectView]) -> None:
        """Let `projects` share the nodes."""
        if projects:
            self._scheduler.set_projects(projects)

    def run(self) -> None:
        """Play until nothing is left that could ever end."""
        now = 0.0
        while (upcoming := min(self._next(), self._rules.alarm())) <= HORIZON_SECONDS:
            now = max(min(upcoming, self._again(now)), self._earliest(now))
            while (upcoming := self._next()) <= now:
                self._happen(upcoming)
                self._happened = upcoming
            if self._waiting or self._rules.alarm() <= now:  # or else there is nothing to decide
                self._carry_out(self._plan(now), now)
            if self._waiting and math.isinf(self._next()):
                # Nothing runs and nothing comes: whoever is not started now never is.
                self._carry_out(self._plan(now, everybody=True), now)
        self._give_up(self._plan(now, everybody=True))

    def _next(self) -> float:
        """Return when the next task ends, is stopped, or arrives; infinity if none does."""
        upcoming = self._events[0][0] if self._events else math.inf
        if self._arrived < len(self._tasks):
            return min(upcoming, self._tasks[self._arrived].submitted)
        return upcoming

    def _earliest(self, now: float) -> float:
        """Return before when there need be no plan, whatever happens."""
        if not self._waiting or not self._rhythm:
            return now
        end = self._events[0][0] if self._events else math.inf
        patience = now + self._rhythm * min(self._waiting / QUEUE, 1.0)
        return max(min(end, patience), now + self._rhythm * min(self._waiting / BACKLOG, 1.0))

    def _again(self, now: float) -> float:
        """Return when to plan again if nothing happens: with time, more tasks may be preempted.

        Live, that is each 30 s. Here the pauses grow with the silence, so that a year of it costs few plans.
        """
        if not self._may_preempt or not self._waiting or not self._running:
            return math.inf
        return now + max(AGAIN_SECONDS, (now - self._happened) / 4)

    def _happen(self, now: float) -> None:
        """Let one event happen; ends come before arrivals of the same moment."""
        if not self._events or self._events[0][0] > now:
            self._submit(self._arrived)
            self._arrived += 1
            return
        _, row = heapq.heappop(self._events)
        run = self._running.get(row)
        if run is None:
            return
        if run.end <= now:
            self._end(row, run)
        elif self._stops.get(row) == now:
            self._stop(row, run, now)

    def _submit(self, row: int) -> None:
        task, done = self._tasks[row], self._done.get(row, 0.0)
        expected = self._told.expect(task, done)
        if row in self.starts:
            pays = self._terms(row).seconds
            expected = {k: replace(e, median=e.median + pays, p80=e.p80 + pays) for k, e in expected.items()}
        if task.is_service:
            expected = {"": Expectation(600.0, SERVICE_P80, "stated")}
        since = self._moment(task.submitted)
        restart = None if task.is_service else self._rules.restart or task.restart
        due_at = since + timedelta(seconds=task.due_seconds) if task.due_seconds else None
        self._scheduler.submit(
            WaitingTask(
                task.id,
                task.id,
                task.demand,
                task.weight,
                since,
                expected,
                task.is_service,
                restart,
                project=task.project,
                due_at=due_at,
            )
        )
        self._waiting += 1

    def _end(self, row: int, run: _Run) -> None:
        self._release(row, run, run.end)
        self.ends[row] = run.end
        self._scheduler.forget(self._tasks[row].id)
        self._told.learn(self._tasks[row], run.allocations[0].resource_class)

    def _stop(self, row: int, run: _Run, now: float) -> None:
        """Put a preempted task back into the queue, with what is left of its work."""
        self._release(row, run, now)
        if self._terms(row).resumes:
            self._done[row] = self._done.get(row, 0.0) + max(0.0, now - run.begins)
        self._submit(row)

    def _release(self, row: int, run: _Run, now: float) -> None:
        del self._running[row]
        self._stops.pop(row, None)
        self.stretches.append(Stretch(row, run.start, now, run.allocations))

    def _plan(self, now: float, *, everybody: bool = False) -> Plan:
        self.plans += 1
        return self._scheduler.plan(self._moment(now), None if everybody else ())

    def _carry_out(self, plan: Plan, now: float) -> None:
        for placement in plan.placements:
            self._start(placement, now)
        for preemption in plan.preemptions:
            self._preempt(preemption, now)
        for wait in plan.waits:
            if wait.refusal in NEVER:
                self._refuse(wait)

    def _start(self, placement: Placement, now: float) -> None:
        row = self._row_of[placement.task_id]
        done = self._done.get(row, 0.0)
        begins = now + (self._terms(row).seconds if row in self.starts else 0.0)
        end = begins + max(self._tasks[row].seconds - done, 0.0)
        self.starts.setdefault(row, now)
        self._running[row] = _Run(now, begins, end, placement.allocations)
        self._waiting -= 1
        heapq.heappush(self._events, (end, row))

    def _preempt(self, preemption: Preemption, now: float) -> None:
        """Give notice to a running task; one that ends within it just ends."""
        row = self._row_of[preemption.task_id]
        if row in self._stops or row not in self._running:
            return  # it was told before: the scheduler may ask again until it is gone
        self.preemptions += 1
        self.reclaims += [row] if preemption.for_project else []
        self._stops[row] = now + self._terms(row).grace_seconds
        heapq.heappush(self._events, (self._stops[row], row))

    def _terms(self, row: int) -> Restart:
        """Return what it costs to stop a task and to start it again."""
        return self._rules.restart or self._tasks[row].restart or Restart()

    def _refuse(self, wait: Wait) -> None:
        self.refused[self._row_of[wait.task_id]] = wait
        self._scheduler.forget(wait.task_id)
        self._waiting -= 1

    def _give_up(self, plan: Plan) -> None:
        """Say of all that is left why it never ends."""
        for wait in plan.waits:
            self._refuse(wait)
        for row in range(len(self._tasks)):
            if row not in self.ends and row not in self.refused:
                sentence = "would end more than 1,000 years after the trace begins"
                self.refused[row] = Wait(self._tasks[row].id, Refusal.BUSY, sentence, 0)

    def _moment(self, seconds: float) -> datetime:
        return self._epoch + timedelta(seconds=seconds)
