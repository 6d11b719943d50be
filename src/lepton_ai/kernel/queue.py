"""The scheduler's snapshot, built from the world: who waits, who runs, what there is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from lepton_ai.kernel.foreign_use import ForeignUse
from lepton_ai.kernel.nodes import place_labels
from lepton_ai.kernel.prices import price_of_node
from lepton_ai.kernel.project_views import views_of
from lepton_ai.kernel.scheduling.estimate import remaining
from lepton_ai.kernel.scheduling.snapshot import (
    Demand,
    DeviceView,
    Expectation,
    NodeView,
    Restart,
    RunningTask,
    Snapshot,
    Stake,
    WaitingTask,
)
from lepton_ai.kernel.task_names import full_name
from lepton_ai.settings import Settings
from lepton_ai.types.identity import Project
from lepton_ai.types.node import Node, NodeState
from lepton_ai.types.resources import Allocation
from lepton_ai.types.task import DEFAULT_RESTART, Task, TaskState
from lepton_ai.types.where import read_where

Expect = Callable[[Task], Mapping[str, Expectation]]
Remaining = Callable[[Task, datetime], Expectation]  # what is still to come of a task that runs
OVERDUE_SECONDS_MIN = 30.0  # a task that has outlived its end is given this long at least
FOREVER_SECONDS = 3.2e9  # a hundred years: what no plan looks beyond
ASK_AGAIN = timedelta(minutes=15)  # 10,000 waiting tasks x 0.1 ms / 15 min: a thousandth of one core
DIFFERENCE = 0.1  # of a length; less is not worth a new place in the queue
FIRST = 4.0  # times the weight: the first replica of a service that has none, as 25 points of priority would have it
PRIORITY_DOUBLES = 12.5  # points of priority that double the weight: 0..100 spans a factor of 256

# A service takes its place in the queue as a task of ten minutes does, and never slips in before a reservation.
AS_SERVICE = {"": Expectation(median=600.0, p80=FOREVER_SECONDS, source="stated")}


def weight_of(task: Task) -> float:
    """Return the weight in `sum w_j C_j`: 1 at priority 50, doubled by 12.5 points more; FIRST times it for a first."""
    return float(2.0 ** ((task.spec.priority - 50) / PRIORITY_DOUBLES)) * (FIRST if task.spec.is_first else 1.0)


class _View(NamedTuple):
    """How the scheduler sees a waiting task, of which version, and when its length was last asked for."""

    version: int
    asked_at: datetime
    view: WaitingTask


class SnapshotBuilder:
    """Builds snapshots; keeps the view of each task until its version changes."""

    def __init__(self, settings: Settings, expect: Expect, remaining: Remaining | None = None) -> None:
        self._settings = settings
        self._expect = expect
        self._remaining = remaining
        self.foreign = ForeignUse()
        self._views: dict[str, _View] = {}
        self._held: dict[str, tuple[int, RunningTask]] = {}

    def build(
        self,
        nodes: Collection[Node],
        tasks: Collection[Task],
        now: datetime,
        closed: Collection[str] = (),
        projects: Collection[Project] = (),
    ) -> Snapshot:
        """Return the snapshot of this moment; nothing may start on the `closed` nodes.

        As long as none of `projects` has a share of its own, the queue is one, whoever submitted what.
        """
        waiting = [t for t in tasks if t.status.state is TaskState.WAITING and not t.spec.stop_requested]
        views = {task.id: self._view(task, now) for task in waiting}
        self._views = views
        running = [task for task in tasks if task.status.allocations and not task.is_final()]
        self._held = {task.id: self._running(task, now) for task in running}
        return Snapshot(
            now=now,
            nodes=self.nodes(nodes, closed),
            waiting=tuple(known.view for known in views.values()),
            running=tuple(view for _, view in self._held.values()),
            projects=views_of(projects),
        )

    def nodes(self, nodes: Collection[Node], closed: Collection[str] = ()) -> tuple[NodeView, ...]:
        """Return the views of nodes, by name; nothing may start on the `closed` ones."""
        return tuple(self._node(node, node.name in closed) for node in sorted(nodes, key=lambda node: node.name))

    def waiting(self, task: Task, now: datetime) -> WaitingTask:
        """Return the view of one task that waits."""
        known = self._views[task.id] = self._view(task, now)
        return known.view

    def running(self, task: Task, now: datetime) -> RunningTask:
        """Return the view of one task that holds something."""
        known = self._held[task.id] = self._running(task, now)
        return known[1]

    def forget(self, task_id: str) -> None:
        """Forget the views of a task that neither waits nor holds anything."""
        self._views.pop(task_id, None)
        self._held.pop(task_id, None)

    def _view(self, task: Task, now: datetime) -> _View:
        known = self._views.get(task.id)
        is_same = known is not None and known.version == task.metadata.version
        if known is not None and is_same and now - known.asked_at < ASK_AGAIN:
            return known
        expectations = AS_SERVICE if task.spec.is_service else _left(task, self._expect(task))
        if known is not None and is_same and not differ(expectations, known.view.expectations):
            return _View(task.metadata.version, now, known.view)
        view = WaitingTask(
            id=task.id,
            name=full_name(task),
            demand=demand_of(task),
            weight=weight_of(task),
            # What earlier attempts did is not waited for.
            submitted_at=(task.status.submitted_at or task.metadata.created_at or now) + task.spec.done,
            expectations=expectations,
            is_service=task.spec.is_service,
            restart=restart_of(task),
            has_claim=task.status.has_claim,
            project=task.project,
            due_at=task.spec.due_at,
        )
        return _View(task.metadata.version, now, view)

    def _running(self, task: Task, now: datetime) -> tuple[int, RunningTask]:
        known = self._held.get(task.id)
        if known is not None and known[0] == task.metadata.version and not _is_overdue(known[1].expected_end, now):
            return known
        running = running_task(task, None if task.spec.preemptible is None else _left(task, self._expect(task)))
        is_ending = task.status.state is TaskState.STOPPING
        if self._remaining is not None and not is_ending and _is_overdue(running.expected_end, now):
            running = _outlived(running, self._remaining(task, now), now)
        return task.metadata.version, running

    def _node(self, node: Node, is_closed: bool) -> NodeView:
        hardware = node.status.hardware
        assert hardware is not None
        foreign = self.foreign.of(node.name)
        reserved = self._settings.memory_reserved_bytes
        return NodeView(
            name=node.name,
            cpu_class=hardware.cpu_class,
            cpu_milli=max(0, round((hardware.threads - self._settings.cpu_reserved) * 1000)),
            # What is kept for the system and the platform is theirs to use.
            memory_bytes=max(0, hardware.memory_bytes - max(reserved, foreign)),
            devices=tuple(
                DeviceView(
                    device.id,
                    device.kind,
                    max(0, device.memory_bytes - self.foreign.of(node.name, device.id)),
                    device.share_milli,
                )
                for device in hardware.devices
            ),
            foreign_bytes=foreign if foreign > reserved else 0,
            labels=place_labels(node),
            price=price_of_node(node),
            is_schedulable=node.status.state is NodeState.READY and node.spec.takes_work and not is_closed,
        )


def _left(task: Task, whole: Mapping[str, Expectation]) -> Mapping[str, Expectation]:
    """Return what is left of a task of which earlier attempts did a part, with the time that it takes to resume."""
    done, terms = task.spec.done.total_seconds(), task.spec.preemptible
    if not done:
        return whole
    restart = (terms.restart if terms else DEFAULT_RESTART).total_seconds()
    rest = {name: remaining(expected, done) for name, expected in whole.items()}
    return {
        name: Expectation(e.median + restart, e.p80 + restart, e.source, (e.mean or e.median) + restart)
        for name, e in rest.items()
    }


def running_task(task: Task, expected: Mapping[str, Expectation] | None = None) -> RunningTask:
    """Return a task that holds something as the scheduler sees it; `expected` is what it would take if it waited."""
    begin, held = task.status.started_at or task.metadata.updated_at, task.status.allocations
    owner, demand, project = full_name(task), demand_of(task), task.project
    if task.status.state is TaskState.STOPPING:
        told = task.metadata.updated_at
        end = told + task.spec.program.grace if told else None
        return RunningTask(task.id, owner, held, end, demand, is_stopping=True, project=project)
    if task.spec.is_service or begin is None:
        return RunningTask(task.id, owner, held, None, demand, project=project)
    median = min(task.status.expected_seconds, FOREVER_SECONDS)
    p80 = min(task.status.terms.get("expected_seconds_p80", median), FOREVER_SECONDS)
    end, restart, stake = begin + timedelta(seconds=p80), restart_of(task), None
    if restart is not None:
        here = Expectation(median, p80, "measured")
        waited = begin - (task.status.submitted_at or begin) - task.spec.done
        stake = Stake(
            weight_of(task),
            _elsewhere(here, _placed(held), expected or {}),
            as_of=begin,
            since=begin,
            restart=restart,
            waited_seconds=max(waited.total_seconds(), 0.0),
            due_at=task.spec.due_at,
        )
    return RunningTask(task.id, owner, held, end, demand, stake, project=project)


def _outlived(running: RunningTask, left: Expectation, now: datetime) -> RunningTask:
    """Return a task that runs beyond its expected end, with what is still to come of it as it is seen now."""
    seconds = min(max(left.p80, OVERDUE_SECONDS_MIN), FOREVER_SECONDS)
    stake = running.stake
    if stake is not None:
        expected = _elsewhere(left, _placed(running.allocations), stake.expectations)
        stake = replace(stake, expectations=expected, as_of=now)
    return replace(running, expected_end=now + timedelta(seconds=seconds), stake=stake)


def _placed(held: Sequence[Allocation]) -> str:
    """Return the class that a task holds; "" for several."""
    classes = {allocation.resource_class for allocation in held}
    return classes.pop() if len(classes) == 1 else ""


def _elsewhere(here: Expectation, placed: str, expected: Mapping[str, Expectation]) -> Mapping[str, Expectation]:
    """Return what a task takes by class: where it was `placed` what was expected then, elsewhere in proportion."""
    known = expected.get(placed, expected.get(""))
    if known is None or not known.median > 0:
        return {"": here}
    factor = here.median / known.median
    others = {name: Expectation(e.median * factor, e.p80 * factor, e.source) for name, e in expected.items()}
    return {**others, placed: here}


def restart_of(task: Task) -> Restart | None:
    """Return what it costs to stop a task and start it again; None if it may not be preempted."""
    terms, grace = task.spec.preemptible, task.spec.program.grace.total_seconds()
    if terms is None:
        return None
    resumes = terms.resumes
    if task.spec.program.checkpoint is not None:  # that is known, and better than what was said
        resumes = (task.status.checkpoint or task.spec.resumes_from) is not None
    return Restart(terms.restart.total_seconds(), resumes, grace)


def differ(new: Mapping[str, Expectation], old: Mapping[str, Expectation]) -> bool:
    """Tell whether what is expected now differs enough from before to look at the task again."""
    if new.keys() != old.keys():
        return True
    pairs = [(one.mean or one.median, old[name].mean or old[name].median) for name, one in new.items()]
    return any(abs(now - before) > DIFFERENCE * before for now, before in pairs)


def _is_overdue(end: datetime | None, now: datetime) -> bool:
    return end is not None and end <= now


def demand_of(task: Task) -> Demand:
    """Return what a task asks for, as the scheduler reads it."""
    resources = task.spec.resources
    where, limit = read_where(resources.where), task.spec.max_cost
    money = None if limit is None else limit - task.spec.earlier_cost
    return Demand(
        resources.cpu_milli, resources.memory, resources.accelerator, task.spec.size, where, money, task.spec.per_node
    )
