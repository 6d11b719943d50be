"""What projects have used up, and the moment at which a budget reaches a bound."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from lepton_ai.kernel.change import Change, Note, update
from lepton_ai.kernel.follower import Objects
from lepton_ai.kernel.prices import devices_of
from lepton_ai.types.base import Reason
from lepton_ai.types.identity import Project
from lepton_ai.types.share import BudgetState, Ceiling, Spent
from lepton_ai.types.task import HOUR_SECONDS, Task

LOOK_MIN = timedelta(seconds=1)  # a bound is noticed at most so late
_GRAVITY = (BudgetState.OPEN, BudgetState.SOFT, BudgetState.HARD)


class Settled(Protocol):
    """Knows what the ended tasks of each project have used up."""

    def spent(self) -> Mapping[str, Spent]:
        """Return it by project."""


class Rate(NamedTuple):
    """What a project has used up, and how fast it goes on: per second."""

    spent: Spent
    devices: float
    money: float


class Spending:
    """Looks at the budgets. What is settled is in the store, what runs is reckoned from its start: nothing is lost."""

    def __init__(self, settled: Settled) -> None:
        self._settled = settled

    def review(self, world: Objects, now: datetime) -> tuple[Sequence[Change], datetime | None]:
        """Return the changes that tell of bounds reached (or raised), and when the next may be reached."""
        projects = world.all(Project)
        if not any(not one.spec.budget.is_empty() or one.status.state is not BudgetState.OPEN for one in projects):
            return (), None
        rates = rates_of(projects, world.all(Task), self._settled.spent(), now)
        changes = [change for one in projects if (change := _told(one, rates[one.name])) is not None]
        left = min((_seconds_left(one, rates[one.name]) for one in projects), default=math.inf)
        later = timedelta(days=365).total_seconds()
        return changes, now + max(timedelta(seconds=left), LOOK_MIN) if left < later else None


def rates_of(
    projects: Collection[Project], tasks: Collection[Task], settled: Mapping[str, Spent], now: datetime
) -> Mapping[str, Rate]:
    """Return what each project and all below it have used up, ended tasks (`settled`) and those that run together."""
    known = {one.name: one for one in projects}
    found = {name: Rate(Spent(), 0.0, 0.0) for name in known}
    own = {name: Rate(spent, 0.0, 0.0) for name, spent in settled.items()}
    for task in tasks:
        more, runs = task.spent(now), task.status.started_at is not None
        before = own.get(task.project, Rate(Spent(), 0.0, 0.0))
        own[task.project] = Rate(
            before.spent.plus(more),
            before.devices + (devices_of(task.status.allocations) if runs else 0.0),
            before.money + (task.status.price_per_hour / HOUR_SECONDS if runs else 0.0),
        )
    for name, rate in own.items():
        for above in upwards(name, known):
            had = found[above]
            found[above] = Rate(had.spent.plus(rate.spent), had.devices + rate.devices, had.money + rate.money)
    return found


def upwards(name: str, known: Mapping[str, Project]) -> Sequence[str]:
    """Return a project and those above it; in a circle of parents each stands alone."""
    found: list[str] = []
    above = name
    while above in known:
        if above in found:
            return (name,)
        found.append(above)
        above = known[above].spec.parent
    return found


def _told(project: Project, rate: Rate) -> Change | None:
    """Return the change that tells how far the budget is used up now, if that is news."""
    state, bound, used = max(_reached(project, rate), key=lambda one: _GRAVITY.index(one[0]))
    if state is project.status.state and bound == project.status.bound:
        return None
    sentences = {
        BudgetState.OPEN: f"Project {project.name} is within its budget again.",
        BudgetState.SOFT: f"Project {project.name} has used up {used} and reached the soft bound, {bound}: "
        "its new work waits behind that of others.",
        BudgetState.HARD: f"Project {project.name} has used up {used} and reached the hard bound, {bound}: "
        "nothing new starts.",
    }
    reason = Reason(code=f"budget_{state}", sentence=sentences[state])
    note = Note(reason.code, reason.sentence, project.name)
    return update(project.with_status(state=state, bound=bound, reason=reason), note)


def _reached(project: Project, rate: Rate) -> Iterator[tuple[BudgetState, str, str]]:
    yield BudgetState.OPEN, "", ""
    for name, ceiling, spent, _ in _bounds(project, rate):
        for state, bound in ((BudgetState.SOFT, ceiling.soft), (BudgetState.HARD, ceiling.hard)):
            if bound is not None and spent >= bound:
                yield state, f"its {bound:g} {name}", f"{spent:.4g} {name}"


def _seconds_left(project: Project, rate: Rate) -> float:
    """Return after how long the next bound is reached if all goes on as it is; infinite if none ever is."""
    left = [
        (bound - spent) / speed
        for _, ceiling, spent, speed in _bounds(project, rate)
        for bound in (ceiling.soft, ceiling.hard)
        if bound is not None and spent < bound and speed > 0
    ]
    return min(left, default=math.inf)


def _bounds(project: Project, rate: Rate) -> Iterator[tuple[str, Ceiling, float, float]]:
    """Yield name, bounds, what is used up, and how much more each second."""
    budget = project.spec.budget
    yield "device-hours", budget.device_hours, rate.spent.device_seconds / HOUR_SECONDS, rate.devices / HOUR_SECONDS
    yield "of money", budget.money, rate.spent.money, rate.money
