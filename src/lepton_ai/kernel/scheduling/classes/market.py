"""Keeps who takes part, what has arrived, and the prices; assigns a class to each task, and acts on it pass by pass."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from lepton_ai.kernel.scheduling.classes import arrivals
from lepton_ai.kernel.scheduling.classes.auction import NONE
from lepton_ai.kernel.scheduling.classes.decision import Memory, Rows, Worth, decide, worth
from lepton_ai.kernel.scheduling.classes.members import Member, Members
from lepton_ai.kernel.scheduling.fleet import Bools, Fleet, Ints, Ledger
from lepton_ai.kernel.scheduling.groups import Group
from lepton_ai.kernel.scheduling.snapshot import Policy, RunningTask, WaitingTask

REST = 10  # reassignments are left out while nothing comes or goes, but for every 10th: remaining times shrink


class Assigned(NamedTuple):
    """Where a task is to run (NONE: it is to wait), and the numbers that led to it."""

    column: int
    weight: float
    cost: float  # priced work, in seconds of the whole fleet
    value: tuple[float, ...]  # by class, per second; -inf where it cannot run
    milli: int
    is_overdue: bool = False  # it has waited beyond the bound: nobody goes before it

    @property
    def gain(self) -> float:
        """Return what it is worth where it is to run, per thousandth of a device."""
        return self.per_milli(self.column)

    def per_milli(self, column: int) -> float:
        """Return what it is worth on a class, per thousandth of a device."""
        return math.inf if self.is_overdue else self.value[column] / self.milli


@dataclass(frozen=True, slots=True)
class Prices:
    """What a device of each class costs: `per_second` over the cheapest class, `bids` as the auction left them."""

    kinds: tuple[str, ...]
    per_second: tuple[float, ...]
    bids: tuple[float, ...]


class Market:
    """The state of the decision over classes. What it remembers between decisions is what arrived, and prices."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self.members = policy, Members(Fleet(()), policy)
        self._memory: Memory | None = None
        self._before: float | None = None  # the last decision; until the first, whatever is there is backlog
        self._is_changed = False
        self.going: dict[str, RunningTask] = {}  # who took part, and is being stopped
        self.assigned: dict[str, Assigned] = {}
        self.winners: list[str] = []  # who is to start or to move, first who gains most by it
        self.losers: set[str] = set()  # who runs and is to go
        self.promised: set[str] = set()  # winners for whom others were stopped
        self.fixed: set[str] = set()  # who runs and has to stay
        self.line: list[tuple[str, int]] = []  # who is to wait, with each class; for what is left over
        self.newcomers: set[str] = set()  # who came since the last decision
        self.prices: Prices | None = None

    def set_fleet(self, fleet: Fleet) -> None:
        """Begin with nobody on other nodes; what was learnt holds as long as the classes are the same."""
        known, self.members = self.members.kinds, Members(fleet, self._policy)
        if known != fleet.device_kinds or self._memory is None:
            self._memory = Memory(arrivals.nothing(len(fleet.device_kinds)))
            self.prices = None
            self._forget_assignment()
        self._is_changed = True

    def wait(self, task: WaitingTask, group: Group, *, is_new: bool) -> None:
        """Take note of a task that waits; a new one tells what to expect of the days to come."""
        if task.restart is None:
            return
        member = self.members.wait(task, group)
        if member is not None and task.id not in self.assigned:
            self.newcomers.add(task.id)
        if member is None or not is_new:
            return
        self._is_changed = True
        if self._before is not None and self._memory is not None:
            work = member.milli * np.array(member.seconds)
            self._memory = replace(self._memory, arrivals=arrivals.learn(self._memory.arrivals, work, member.weight))

    def run(self, task: RunningTask, group: Group) -> None:
        """Take note of a task that runs and may be preempted; it may be told again, as what is left of it changes."""
        self.members.drop(task.id)
        self.going.pop(task.id, None)
        self.members.run(task, group)

    def stop(self, task: RunningTask) -> None:
        """Take note of a task that may not be preempted, or not any more: if it took part, it is about to go."""
        if self.has(task.id):
            self.going[task.id] = task
            self.members.drop(task.id)

    def give_up(self, task_id: str) -> None:
        """Leave a task, and the room that it makes, to the walk."""
        self.members.drop(task_id)

    def start(self, task_id: str, column: int, now: float) -> None:
        """Take note that a task that waited starts on a class within this pass."""
        self.members.start(task_id, column, now)
        self.promised.discard(task_id)

    def drop(self, task_id: str, *, is_gone: bool) -> None:
        """Forget who takes part no longer; `is_gone` tells that it will not come back in the same pass."""
        self.members.drop(task_id)
        self.going.pop(task_id, None)
        if is_gone:
            self._is_changed = True  # whether it took part or not: what it held may be free
            self.assigned.pop(task_id, None)
            self.losers.discard(task_id)
            self.promised.discard(task_id)

    @property
    def is_open(self) -> bool:
        return self.members.is_open

    def has(self, task_id: str) -> bool:
        """Tell whether a task takes part."""
        return task_id in self.members.all

    def reassign(self, free: Ledger, now: float) -> None:
        """Decide anew who runs on which class, if it is time to; `free` is what nobody holds, reserved or not."""
        passed = None if self._before is None else now - self._before
        pause = self._policy.reassignment.total_seconds()
        if passed is not None and passed < pause * (1 if self._is_changed else REST):
            return
        assert self._memory is not None
        self._memory = replace(self._memory, arrivals=arrivals.fade(self._memory.arrivals, passed or 0.0))
        self._before, self._is_changed = now, False
        ids, capacity = sorted(self.members.all), self.capacity(free)
        if not ids or not capacity.any():
            self._forget_assignment()
            return
        rows = self.members.rows(ids, capacity, now)
        wait_max = self._policy.starvation_bound.total_seconds()
        classes, found, self._memory = decide(rows, self._memory, wait_max)
        self.prices = _prices(self._memory, self.members.kinds)
        self.assigned = dict(zip(ids, _assigned(rows, found, classes, rows.waited > wait_max), strict=True))
        self._tell_apart(ids, rows, found, classes)

    def _tell_apart(self, ids: Sequence[str], rows: Rows, found: Worth, classes: Ints) -> None:
        """Note who is to start or to go, and in which order those who wait may have what is left over."""
        assert self.prices is not None
        bids, per_milli = self.prices.bids, found.value / rows.milli[:, None]
        wants, runs = (classes != NONE) & (classes != rows.held), rows.held != NONE
        keen = [(bids[self.assigned[name].column] - self.assigned[name].gain, name) for name in _at(ids, wants)]
        self.winners = [name for _, name in sorted(keen)]
        self.promised.intersection_update(self.winners)
        self.fixed = set(_at(ids, rows.is_fixed))
        self.losers = set(_at(ids, runs & (classes != rows.held)))
        waits = np.flatnonzero(classes == NONE)
        best = np.argsort(-per_milli[waits], axis=None, kind="stable")
        row, column = np.divmod(best, per_milli.shape[1])
        can = np.isfinite(per_milli[waits[row], column])
        self.line = list(zip([ids[at] for at in waits[row[can]].tolist()], column[can].tolist(), strict=True))
        self.newcomers.clear()

    def _forget_assignment(self) -> None:
        self.assigned, self.winners, self.losers, self.line = {}, [], set(), []
        self.promised.clear()

    def admit(self, now: float) -> None:
        """Value those who came since the last decision, and put them at the end of the line."""
        ids = sorted(name for name in self.newcomers if name in self.members.all)
        self.newcomers.clear()
        if not ids or self._memory is None or self._memory.prices is None:
            return
        rows = self.members.rows(ids, np.zeros(len(self.members.kinds), dtype=np.int64), now)
        nowhere, late = np.full(len(ids), NONE, dtype=np.int64), np.zeros(len(ids), dtype=np.bool_)
        found = worth(rows, self._memory)
        self.assigned |= dict(zip(ids, _assigned(rows, found, nowhere, late), strict=True))
        order = np.argsort(-found.value, axis=None, kind="stable").tolist()
        pairs = [divmod(at, found.value.shape[1]) for at in order]
        self.line += [(ids[row], column) for row, column in pairs if np.isfinite(found.value[row, column])]

    def capacity(self, free: Ledger) -> Ints:
        """Return thousandths of devices by class: what is free, and what those hold who take part or are to go."""
        fleet = self.members.fleet
        open_to_all = (fleet.device_kind >= 0) & fleet.is_schedulable[:, None]
        amounts = np.where(open_to_all, np.maximum(free.devices, 0), 0).ravel()
        kinds = np.maximum(fleet.device_kind, 0).ravel()
        capacity = np.bincount(kinds, amounts, len(self.members.kinds)).astype(np.int64)
        for member in self.members.all.values():
            if member.held != NONE:
                capacity[member.held] += member.milli
        for allocation in (one for task in self.going.values() for one in task.allocations):
            if allocation.resource_class in self.members.kinds:
                shares = sum(share.share_milli for share in allocation.devices)
                capacity[self.members.kinds.index(allocation.resource_class)] += shares
        return capacity

    def can_pay(self, assigned: Assigned) -> bool:
        """Tell whether a task is worth more than the bid on some class: if it has to wait, it is for want of room."""
        bids = () if self.prices is None else self.prices.bids
        return any(value / assigned.milli > bid for value, bid in zip(assigned.value, bids, strict=True))

    def settle(self, task_id: str, column: int) -> None:
        """Let a task be assigned the class on which it starts, if it was assigned another."""
        if task_id in self.assigned:
            self.assigned[task_id] = self.assigned[task_id]._replace(column=column)

    def let_go(self, task_id: str) -> None:
        """Take back what a running task was assigned."""
        self.assigned[task_id] = self.assigned[task_id]._replace(column=NONE)
        self.losers.add(task_id)

    def leaving(self) -> list[Member]:
        """Return those that run where they are no longer to run."""
        running = [self.members.all[name] for name in sorted(self.losers) if name in self.members.all]
        return [member for member in running if member.held not in (NONE, self.assigned[member.id].column)]


def _at(ids: Sequence[str], wanted: Bools) -> list[str]:
    return [ids[at] for at in np.flatnonzero(wanted).tolist()]


def _assigned(rows: Rows, found: Worth, classes: Ints, late: Bools) -> list[Assigned]:
    columns = (classes, rows.weights, found.cost, found.value, rows.milli, late)
    return [
        Assigned(column, weight, cost, tuple(value), milli, is_late and column != NONE)
        for column, weight, cost, value, milli, is_late in zip(*(array.tolist() for array in columns), strict=True)
    ]


def _prices(memory: Memory, kinds: Collection[str]) -> Prices:
    assert memory.prices is not None
    assert memory.bids is not None
    relative = memory.prices / memory.prices.min()
    return Prices(tuple(kinds), tuple(relative.tolist()), tuple(memory.bids.tolist()))
