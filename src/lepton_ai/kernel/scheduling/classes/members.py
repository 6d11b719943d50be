"""Who takes part in the decision over classes: tasks that may be preempted and ask for devices."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from lepton_ai.kernel.scheduling.classes.auction import NONE
from lepton_ai.kernel.scheduling.classes.decision import Rows
from lepton_ai.kernel.scheduling.expectation import SECONDS_MAX, SECONDS_MIN, WEIGHT_MAX
from lepton_ai.kernel.scheduling.fleet import Fleet, Ints
from lepton_ai.kernel.scheduling.groups import Choice, Group, choices_of
from lepton_ai.kernel.scheduling.held import OVERDUE_SECONDS_MIN, SOON_SECONDS
from lepton_ai.kernel.scheduling.snapshot import Policy, RunningTask, WaitingTask
from lepton_ai.kernel.scheduling.urgency import NOT_DUE, Floats, urgency

WEIGHT_MIN = 1e-9  # a task of no weight still has a place in the order
Options = Mapping[int, int]  # the number of an option: the column of its class


@dataclass(frozen=True, slots=True)
class Member:
    """A task as the decision sees it.

    `choices[k]` is its option on class k, with seconds as of the moment `since`; None where it cannot run. `waited` is
    how long it had not run by then. What it did in the `done` seconds before `since` is lost if it is stopped.
    """

    id: str
    name: str
    group: Group
    weight: float
    milli: int
    choices: tuple[Choice | None, ...]
    since: float
    waited: float = 0.0
    held: int = NONE
    began: float = 0.0
    restart_seconds: float = 0.0
    done: float = 0.0  # 0 for a task that resumes
    running: RunningTask | None = None
    due_at: float = NOT_DUE

    @property
    def seconds(self) -> tuple[float, ...]:
        return tuple([math.inf if choice is None else choice[0] for choice in self.choices])

    @property
    def is_unlike(self) -> bool:
        """Tell whether it makes a difference on which class the task runs."""
        return len({choice[0] for choice in self.choices if choice is not None}) > 1


class Members:
    """Who takes part, on one fleet. `kinds` are the classes: those of the devices that may be allocated.

    Nobody is moved before it ran `policy.preemption_pause` times what its restart costs.
    """

    def __init__(self, fleet: Fleet, policy: Policy) -> None:
        self.fleet, self.kinds, self._policy = fleet, fleet.device_kinds, policy
        self.all: dict[str, Member] = {}
        self._columns: dict[int, Options | None] = {}
        self._unlike: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Tell whether there is anything to decide: more than one class, and a task that runs faster on some."""
        return len(self.kinds) > 1 and bool(self._unlike)

    def wait(self, task: WaitingTask, group: Group) -> Member | None:
        """Let a waiting task take part, if it may be preempted once it runs and asks for devices of one class."""
        columns = self._options(group)
        if columns is None or task.restart is None or task.is_service:
            return None
        member = self._member(task, group, columns)
        self._add(member)
        return member

    def run(self, task: RunningTask, group: Group) -> Member | None:
        """Let a running task take part, if it may be preempted and holds devices of one class."""
        columns, stake, demand = self._options(group), task.stake, task.demand
        if columns is None or stake is None or demand is None:
            return None
        held = self._held(task)
        as_if = WaitingTask(task.id, task.name, demand, stake.weight, stake.as_of, stake.expectations)
        member = self._member(as_if, group, columns)
        if held == NONE or member.choices[held] is None:
            return None
        member = replace(
            member,
            held=held,
            waited=stake.waited_seconds,
            restart_seconds=_usable(stake.restart.seconds),
            began=stake.since.timestamp(),
            due_at=_moment(stake.due_at),
            done=0.0 if stake.restart.resumes else max((stake.as_of - stake.since).total_seconds(), 0.0),
            running=task,
        )
        self._add(member)
        return member

    def start(self, task_id: str, column: int, now: float) -> None:
        """Let a task that waited hold a class from `now` on."""
        member = self.all[task_id]
        waited = max(now - member.since, 0.0)
        self.all[task_id] = replace(member, held=column, since=now, began=now, waited=waited)

    def drop(self, task_id: str) -> None:
        """Forget a task."""
        self._unlike.discard(task_id)
        self.all.pop(task_id, None)

    def rows(self, ids: Sequence[str], capacity: Ints, now: float) -> Rows:
        """Return the members `ids` as columns, as they are at `now` (seconds since 1970)."""
        members = [self.all[name] for name in ids]
        held = np.array([member.held for member in members], dtype=np.int64)
        given = np.array([member.seconds for member in members])
        since = np.array([member.since for member in members])
        runs, at = held != NONE, np.arange(len(members))
        whole = np.where(runs, given[at, held], 1.0)
        passed = np.maximum(now - since, 0.0)
        left = np.where(passed > whole, np.maximum(passed - whole, OVERDUE_SECONDS_MIN), whole - passed)
        left = np.where(runs, np.maximum(left, SOON_SECONDS), 1.0)
        seconds = np.where(runs, left / whole, 1.0)[:, None] * given
        # A task that does not resume takes as long again as it was expected to take when it started.
        done = np.array([member.done for member in members])
        again = np.where(done > 0.0, (whole + done) / whole, left / whole)
        restart = np.array([member.restart_seconds for member in members])
        began = np.array([member.began for member in members])
        is_new = np.array([member.running is None for member in members])  # starts in this very pass, if it runs
        afresh = np.where(runs, again, 1.0)[:, None] * given + restart[:, None]
        return Rows(
            weights=self._weights(members, np.where(runs, since, now), np.where(runs, whole, given.min(axis=1))),
            milli=np.array([member.milli for member in members], dtype=np.int64),
            seconds=seconds,
            afresh=afresh,
            held=held,
            is_fixed=runs & (is_new | (now - began < restart * self._policy.preemption_pause)),
            waited=np.array([member.waited for member in members]) + np.where(runs, 0.0, passed),
            capacity=capacity,
        )

    def _weights(self, members: Sequence[Member], begins: Floats, seconds: Floats) -> Floats:
        """Return the weights of members that run for `seconds` from `begins` on, as far as they are due raised."""
        weights, due_at = np.array([member.weight for member in members]), np.array([one.due_at for one in members])
        if not np.isfinite(due_at).any():
            return weights
        raised: Floats = weights * urgency(due_at - begins - seconds, seconds, self._policy)
        return raised

    def _add(self, member: Member) -> None:
        self.all[member.id] = member
        if member.is_unlike:
            self._unlike.add(member.id)
        else:
            self._unlike.discard(member.id)

    def _member(self, task: WaitingTask, group: Group, columns: Options) -> Member:
        choices: list[Choice | None] = [None] * len(self.kinds)
        for median, number, p80 in choices_of(task, group)[0]:
            for option, column in columns.items() if number not in columns else ((number, columns[number]),):
                if choices[column] is None:
                    choices[column] = (max(median, SECONDS_MIN), option, p80)
        weight = min(max(task.weight, WEIGHT_MIN), WEIGHT_MAX) if task.weight > 0 else WEIGHT_MIN  # NaN is not above 0
        shape, since = group.shape, task.submitted_at.timestamp()
        milli = shape.size * shape.devices * shape.share_milli
        due_at = _moment(task.due_at)
        return Member(task.id, task.name, group, weight, milli, tuple(choices), since, due_at=due_at)

    def _options(self, group: Group) -> Options | None:
        """Return the classes of a group's options, or None if no single class of devices could hold it."""
        if group.number not in self._columns:
            self._columns[group.number] = self._look(group)
        return self._columns[group.number]

    def _look(self, group: Group) -> Options | None:
        names = {number: name for tier in group.tiers for number, name, _ in tier.options}
        if not group.shape.devices or group.never is not None or not names:
            return None
        if any(name not in self.kinds for name in names.values()):
            return None
        return {number: self.kinds.index(name) for number, name in names.items()}

    def _held(self, task: RunningTask) -> int:
        """Return the class whose devices the task holds, or NONE if it is not one, or on a node that is closed."""
        rows = [self.fleet.index.get(allocation.node, -1) for allocation in task.allocations]
        classes: Collection[str] = {allocation.resource_class for allocation in task.allocations}
        if len(classes) != 1 or min(rows) < 0 or not self.fleet.is_schedulable[rows].all():
            return NONE
        name = next(iter(classes))
        return self.kinds.index(name) if name in self.kinds else NONE


def _moment(due_at: datetime | None) -> float:
    return NOT_DUE if due_at is None else due_at.timestamp()


def _usable(seconds: float) -> float:
    """Return seconds that can be reckoned with; nonsense costs nothing."""
    return min(seconds, SECONDS_MAX) if seconds > 0 else 0.0  # NaN is not above 0
