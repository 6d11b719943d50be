"""The waiting tasks by shape, with what each is expected to take on each option."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lepton_ai.kernel.scheduling.demand import Option, Shape, numbers_of, options_of, shape_of
from lepton_ai.kernel.scheduling.fleet import Fleet
from lepton_ai.kernel.scheduling.order import SECONDS_MAX, SECONDS_MIN, expectation_on
from lepton_ai.kernel.scheduling.reasons import impossible
from lepton_ai.kernel.scheduling.snapshot import Refusal, WaitingTask

# Median of the seconds on one option, its number, and the 80th percentile: sorted as it is, the fastest comes first.
Choice = tuple[float, int, float]
Tier = tuple[tuple[int, str, float], ...]  # number, class ("" for a joined pool) and share of options as welcome


@dataclass(slots=True)
class Group:
    """All tasks of one shape. `never` says why none of them can run on the cluster as it is.

    CPU work takes nodes with accelerators last, whatever their speed: their devices would lie idle for want of CPUs.
    Hence the two `tiers` of options.
    """

    number: int
    shape: Shape
    options: tuple[Option, ...]
    never: tuple[Refusal, str] | None
    tiers: tuple[Tier, ...]


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
    by_numbers: dict[tuple[object, ...], Group] = {}
    group_of, all_choices, costs = [], [], []
    for task in waiting:
        numbers = numbers_of(task.demand)
        group = by_numbers.get(numbers)
        if group is None:
            shape = shape_of(task.demand)
            group = by_numbers[numbers] = by_shape.get(shape) or _group(len(by_shape), shape, fleet)
            by_shape[shape] = group
        choices, least = _choices(task, group)
        group_of.append(group)
        all_choices.append(choices)
        costs.append(least)
    return Grouped(tuple(by_shape.values()), group_of, all_choices, costs)


def _group(number: int, shape: Shape, fleet: Fleet) -> Group:
    options = options_of(shape, fleet)
    welcome: list[tuple[int, str, float]] = []
    last: list[tuple[int, str, float]] = []
    for position, (pool, share) in enumerate(options):
        tier = last if pool.takes_device_room else welcome
        tier.append((position, pool.name if len(pool.classes) == 1 else "", share))
    return Group(number, shape, options, impossible(shape, options, fleet), (tuple(welcome), tuple(last)))


def _choices(task: WaitingTask, group: Group) -> tuple[list[Choice], float]:
    """Return the options from the most to the least welcome, and the least cost (seconds x share) of any."""
    choices: list[Choice] = []
    least = math.inf
    expectations = task.expectations
    default = expectations.get("")
    for tier in group.tiers:
        found: list[Choice] = []
        for number, resource_class, share in tier:
            expected = expectations.get(resource_class, default) if resource_class else None
            if expected is None or not SECONDS_MIN <= expected.median <= expected.p80 <= SECONDS_MAX:
                expected = expectation_on(expectations, group.options[number].pool.classes)
            median = expected.median
            found.append((median, number, expected.p80))
            if median * share < least:  # noqa: PLR1730 - twice as fast as min()
                least = median * share
        if len(found) > 1:
            found.sort()
        choices += found
    return choices, least
