"""Nodes that come and go in a replay: the live decision which ones to add, and the rule by which idle ones leave."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from lepton_ai.kernel.scheduling.growth import Offer, grow
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import NodeView, Plan, Policy, Refusal, Snapshot, WaitingTask
from lepton_ai.types.base import Model

HOUR = 3600.0
LOOK_EVERY = 30.0  # seconds; live it is two, but a month of them would be a million looks


@dataclass(frozen=True, slots=True)
class ImaginedGroup:
    """A node group as a replay has it: nodes like `node`, `least` of them always and never more than `most`."""

    name: str
    node: NodeView
    least: int = 0
    most: int = 1
    idle_seconds: float = 600.0
    boot_seconds: float = 180.0


class Life(NamedTuple):
    """One node of a group: when it was asked for, when it took work, and when it was deleted (seconds of the trace)."""

    node: NodeView
    group: str
    asked: float
    ready: float
    gone: float


class GroupFigures(Model):
    """What a group would have come to: nodes started, the most at one time, node-hours, and what those cost."""

    name: str
    started: int
    most: int
    node_hours: float
    cost: float


@dataclass(slots=True)
class _Node:
    view: NodeView
    group: ImaginedGroup
    asked: float
    ready: float
    idle_since: float | None = None


class GrowingScheduler(Scheduler):
    """A scheduler whose nodes come for what waits and go when they are idle, by the live decision about both.

    `epoch` is the moment that seconds count from. What waits is looked at no more often than each LOOK_EVERY.
    """

    def __init__(
        self, nodes: Sequence[NodeView], groups: Sequence[ImaginedGroup], epoch: datetime, policy: Policy
    ) -> None:
        self._groups_of_nodes, self._epoch, self._fixed = groups, epoch, tuple(nodes)
        self._alive: dict[str, _Node] = {}
        self._moments: list[float] = []
        self._next_look = 0.0
        self._is_new = self._has_changed = True  # since the last plan, and since the last look at what waits
        self.lives: list[Life] = []
        self._made = 0
        for group in groups:
            for _ in range(group.least):
                self._start(group, 0.0, 0.0)
        super().__init__((*nodes, *self._ready(0.0)), policy)

    def alarm(self) -> float:
        """Return when a plan is due though nothing happens to tasks; infinity if none is."""
        if self._is_new:
            return 0.0
        return self._moments[0] if self._moments else math.inf

    def submit(self, task: WaitingTask) -> None:
        self._has_changed = True
        super().submit(task)

    def forget(self, task_id: str) -> None:
        self._is_new = self._has_changed = True
        super().forget(task_id)

    def plan(self, now: datetime, tell: Collection[str] | None = ()) -> Plan:
        seconds = (now - self._epoch).total_seconds()
        self._is_new = False
        if self._pass_by(seconds):
            self.set_nodes((*self._fixed, *self._ready(seconds)))
        plan = super().plan(now, tell)
        self._note_busy()
        if len(self._waiting) and self._has_changed:
            if seconds >= self._next_look:
                self._look(now, seconds)
            else:
                heapq.heappush(self._moments, self._next_look)
        # Whoever fits nowhere now may fit once nodes have come.
        waits = tuple(replace(wait, refusal=Refusal.BUSY) for wait in plan.waits)
        return replace(plan, waits=waits)

    def finish(self, now: float) -> None:
        """Delete what is left: the replay is over."""
        for name in sorted(self._alive):
            self._end(name, now)

    def _look(self, now: datetime, seconds: float) -> None:
        """Start the nodes that let what waits start at least cost; those on their way are counted."""
        self._next_look, self._has_changed = seconds + LOOK_EVERY, False
        waiting, running = tuple(self._waiting.tasks), tuple(self._running.values())
        nodes = (*self._fixed, *(node.view for node in self._alive.values()))
        offers = [
            Offer(group.name, group.node, group.most - self._alive_of(group), group.boot_seconds)
            for group in self._groups_of_nodes
        ]
        growth = grow(Snapshot(now, nodes, waiting, running, self._projects), offers, self.policy)
        for group in self._groups_of_nodes:
            for _ in growth.add.get(group.name, ()):
                self._start(group, seconds, seconds + group.boot_seconds)
        for name in growth.used & self._alive.keys():
            self._alive[name].idle_since = None

    def _pass_by(self, now: float) -> bool:
        """Note who is idle, and let go who was for long enough; tell whether the nodes that take work have changed."""
        has_changed = False
        while self._moments and self._moments[0] <= now:
            heapq.heappop(self._moments)
            has_changed = True
        held = self._held()
        for name, node in sorted(self._alive.items()):
            if node.ready > now or name in held:
                continue
            if node.idle_since is None:
                node.idle_since = now
                heapq.heappush(self._moments, now + node.group.idle_seconds)
            elif now - node.idle_since >= node.group.idle_seconds and self._alive_of(node.group) > node.group.least:
                self._end(name, now)
                has_changed = True
        return has_changed

    def _note_busy(self) -> None:
        for name in self._held() & self._alive.keys():
            self._alive[name].idle_since = None

    def _held(self) -> frozenset[str]:
        return frozenset(one.node for task in self._running.values() for one in task.allocations)

    def _ready(self, now: float) -> list[NodeView]:
        return [node.view for node in self._alive.values() if node.ready <= now]

    def _alive_of(self, group: ImaginedGroup) -> int:
        return sum(node.group.name == group.name for node in self._alive.values())

    def _start(self, group: ImaginedGroup, now: float, ready: float) -> None:
        self._made += 1
        name = f"{group.name}-{self._made:04}"
        devices = tuple(replace(device, id=f"{name}-{place}") for place, device in enumerate(group.node.devices))
        view = replace(group.node, name=name, devices=devices)
        self._alive[name] = _Node(view, group, now, ready)
        heapq.heappush(self._moments, ready)

    def _end(self, name: str, now: float) -> None:
        node = self._alive.pop(name)
        self.lives.append(Life(node.view, node.group.name, node.asked, node.ready, now))


def figures_of_groups(groups: Collection[ImaginedGroup], lives: Sequence[Life]) -> tuple[GroupFigures, ...]:
    """Return what each group would have come to; a node costs from when it is asked for until it is gone."""
    return tuple(_figures(group, [life for life in lives if life.group == group.name]) for group in groups)


def _figures(group: ImaginedGroup, lives: Sequence[Life]) -> GroupFigures:
    hours = sum(life.gone - life.asked for life in lives) / HOUR
    steps = sorted([(life.asked, 1) for life in lives] + [(life.gone, -1) for life in lives])
    count = most = 0
    for _, step in steps:
        count += step
        most = max(most, count)
    price = group.node.price.per_hour if group.node.price else 0.0
    return GroupFigures(name=group.name, started=len(lives), most=most, node_hours=hours, cost=hours * price)
