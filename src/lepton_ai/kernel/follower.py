"""The scheduler beside the world: told of each task that changed, and of nothing else."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from lepton_ai.kernel.project_views import views_of
from lepton_ai.kernel.queue import ASK_AGAIN, SnapshotBuilder
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import (
    NodeView,
    Plan,
    Policy,
    ProjectView,
    Snapshot,
    WaitingTask,
)
from lepton_ai.types.base import AnyObject
from lepton_ai.types.identity import Project
from lepton_ai.types.node import Node
from lepton_ai.types.task import Task, TaskState

T = TypeVar("T", bound=AnyObject)

OVERDUE_AGAIN = timedelta(seconds=1)  # who has outlived what was expected is asked about no more often than that


class Objects(Protocol):
    """The part of the world that placing looks at."""

    def all(self, kind: type[T]) -> Collection[T]:
        """Return every live object of the kind."""

    def get(self, kind: type[T], object_id: str) -> T | None:
        """Return the object of that id."""

    def changed_tasks(self) -> set[str]:
        """Return the ids of the tasks that may have changed since the last call."""


class Follower:
    """Keeps a scheduler true to the world. Whatever fails on the way, it begins anew with all that there is."""

    def __init__(self, builder: SnapshotBuilder, policy: Policy) -> None:
        self._builder, self._policy = builder, policy
        self._begin()

    def _begin(self) -> None:
        self._scheduler = Scheduler(policy=self._policy)
        self.waiting: dict[str, WaitingTask] = {}
        self._nodes: tuple[Node, ...] = ()
        self._closed: frozenset[str] = frozenset()
        self._foreign = 0
        self._reviews: list[tuple[datetime, str]] = []  # a heap
        self._review_at: dict[str, datetime] = {}
        self._views: tuple[NodeView, ...] = ()
        self.projects: tuple[ProjectView, ...] = ()
        self._decided: set[str] = set()
        self._knows_nothing = True
        self.looked_at: Collection[str] = ()  # the ids of the tasks that the last `follow` looked at
        self.has_changed = True  # whether it found anything that a plan depends on

    def follow(self, world: Objects, now: datetime, closed: Collection[str]) -> None:
        """Take over what changed since the last call; nothing may start on the `closed` nodes."""
        # What was decided is looked at again even if nothing changed: it may not have been carried out.
        looked_at = world.changed_tasks() | self._decided | self._due(now)
        if self._knows_nothing:
            looked_at = {task.id for task in world.all(Task)}
        try:
            has_changed = self._take_nodes(world.all(Node), frozenset(closed))
            has_changed |= self._take_projects(world.all(Project))
            for task_id in sorted(looked_at):
                has_changed |= self._take(task_id, world.get(Task, task_id), now)
        except Exception:
            self._begin()
            raise
        self._decided, self._knows_nothing = set(), False
        self.looked_at, self.has_changed = looked_at, has_changed

    def snapshot(self, now: datetime) -> Snapshot:
        """Return what the next plan is made for."""
        running = tuple(self._scheduler.running.values())
        return Snapshot(now, self._views, tuple(self.waiting.values()), running, self.projects)

    def plan(self, now: datetime, tell: Collection[str]) -> Plan:
        """Decide what starts now; the waits are those of new tasks and of those to `tell`."""
        try:
            plan = self._scheduler.plan(now, tell)
        except Exception:
            self._begin()  # what it remembers may be half of a change
            raise
        for one in plan.placements:
            del self.waiting[one.task_id]
            self._decided.add(one.task_id)
        for made in plan.preemptions:
            if made.for_task in self.waiting:  # else one that runs trades its place for a better one
                self.waiting[made.for_task] = replace(self.waiting[made.for_task], has_claim=True)
            self._decided |= {made.task_id, made.for_task}
        return plan

    def _take_nodes(self, nodes: Collection[Node], closed: frozenset[str]) -> bool:
        found, foreign = tuple(nodes), self._builder.foreign.changes
        if (found, closed, foreign) == (self._nodes, self._closed, self._foreign):
            return False
        self._nodes, self._closed, self._foreign = found, closed, foreign
        views = self._builder.nodes(found, closed)
        if views == self._views:
            return False
        self._views = views
        self._scheduler.set_nodes(views)
        return True

    def _take_projects(self, projects: Collection[Project]) -> bool:
        views = views_of(projects)
        if views == self.projects:
            return False
        self.projects = views
        self._scheduler.set_projects(views)
        return True

    def _review(self, task_id: str, moment: datetime) -> None:
        """Look at a task again then, although nothing changes: what is expected of it depends on the time, too."""
        self._review_at[task_id] = moment
        heapq.heappush(self._reviews, (moment, task_id))

    def _due(self, now: datetime) -> set[str]:
        due: set[str] = set()
        while self._reviews and self._reviews[0][0] <= now:
            moment, task_id = heapq.heappop(self._reviews)
            if self._review_at.get(task_id) == moment:
                due.add(task_id)
        return due

    def _take(self, task_id: str, task: Task | None, now: datetime) -> bool:
        """Tell the scheduler of one task; return whether it did not know that already."""
        if task is not None and task.status.state is TaskState.WAITING and not task.spec.stop_requested:
            view = self._builder.waiting(task, now)
            self._review(task_id, now + ASK_AGAIN)
            if view == self.waiting.get(task_id):
                return False
            self.waiting[task_id] = view
            self._scheduler.submit(view)
        elif task is not None and task.status.allocations and not task.is_final():
            holds = self._builder.running(task, now)
            if holds.expected_end is not None:
                self._review(task_id, max(holds.expected_end, now + OVERDUE_AGAIN))
            if holds == self._scheduler.running.get(task_id):
                return False
            self.waiting.pop(task_id, None)
            self._scheduler.run(holds)
        elif task_id in self.waiting or task_id in self._scheduler.running:
            self.waiting.pop(task_id, None)
            self._review_at.pop(task_id, None)
            self._builder.forget(task_id)
            self._scheduler.forget(task_id)
        else:
            return False
        return True
