"""The waiting tasks by shape, with what each is expected to take on each option."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from lepton_ai.kernel.scheduling.demand import Option, Shape, options_of, shape_of
from lepton_ai.kernel.scheduling.fleet import Fleet, Pool
from lepton_ai.kernel.scheduling.order import SECONDS_MAX, SECONDS_MIN, expectation_on
from lepton_ai.kernel.scheduling.reasons import impossible
from lepton_ai.kernel.scheduling.snapshot import Expectation, Refusal, WaitingTask

Choice = tuple[float, float, int]  # median and 80th percentile of the seconds on one option, and its number


@dataclass(slots=True)
class Group:
    """All tasks of one shape. `never` says why none of them can run on the cluster as it is."""

    number: int
    shape: Shape
    options: tuple[Option, ...]
    never: tuple[Refusal, str] | None
    members: list[int] = field(default_factory=list)  # rows of the queue


@dataclass(frozen=True, slots=True)
class Grouped:
    """By row of the queue: its group, its options from the most to the least welcome, its least cost."""

    groups: Sequence[Group]
    group_of: Sequence[Group]
    choices: Sequence[Sequence[Choice]]
    costs: Sequence[float]


def grouped(waiting: Sequence[WaitingTask], fleet: Fleet) -> Grouped:
    """Group `waiting`; each shape is matched against the fleet once."""
    by_shape: dict[Shape, Group] = {}
    group_of, all_choices, costs = [], [], []
    for row, task in enumerate(waiting):
        shape = shape_of(task.demand)
        group = by_shape.get(shape)
        if group is None:
            options = options_of(shape, fleet)
            group = by_shape[shape] = Group(len(by_shape), shape, options, impossible(shape, options, fleet))
        group.members.append(row)
        group_of.append(group)
        choices = _choices(task, group.options)
        all_choices.append(choices)
        costs.append(min((c[0] * group.options[c[2]].share for c in choices), default=math.inf))
    return Grouped(tuple(by_shape.values()), group_of, all_choices, costs)


def _choices(task: WaitingTask, options: tuple[Option, ...]) -> list[Choice]:
    """Sort by speed, but CPU work takes nodes with accelerators last: their devices would lie idle for want of CPUs."""
    choices = []
    default = task.expectations.get("")
    for number, option in enumerate(options):
        expectation = _expectation(task, option.pool, default)
        choices.append((expectation.median, expectation.p80, number))
    if len(choices) > 1:
        choices.sort(key=lambda choice: (options[choice[2]].pool.takes_device_room, choice[0], choice[2]))
    return choices


def _expectation(task: WaitingTask, pool: Pool, default: Expectation | None) -> Expectation:
    """Return what `expectation_on` does, sooner in the ordinary case: this is asked for each task and option."""
    if len(pool.classes) == 1:
        expectation = task.expectations.get(pool.classes[0], default)
        if expectation is not None and SECONDS_MIN <= expectation.median <= expectation.p80 <= SECONDS_MAX:
            return expectation
    return expectation_on(task.expectations, pool.classes)
