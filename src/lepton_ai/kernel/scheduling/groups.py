"""Tasks of one shape: what could hold them, what has room now, and what each is expected to take on each option."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from lepton_ai.kernel.scheduling.costs import Levels
from lepton_ai.kernel.scheduling.demand import Option, Shape, numbers_of, option_of, options_of, shape_of
from lepton_ai.kernel.scheduling.expectation import expectation_on, is_usable
from lepton_ai.kernel.scheduling.fleet import Fleet, Ledger
from lepton_ai.kernel.scheduling.reasons import impossible
from lepton_ai.kernel.scheduling.snapshot import Demand, Expectation, Refusal, WaitingTask
from lepton_ai.kernel.scheduling.timeline import share_of_class

# Median of the seconds on one option, its number, and the 80th percentile: sorted as it is, the fastest comes first.
Choice = tuple[float, int, float]


_ANYWHERE = frozenset({""})
_NOWHERE = ("",)
NOTHING_KNOWN: Mapping[str, Expectation] = MappingProxyType({})


class Tier(NamedTuple):
    """Options as welcome as each other, and the one (by number) that joins them all."""

    options: tuple[tuple[int, str, float], ...]  # number, class ("" for several) and share
    joined: tuple[int, float]  # number and share


@dataclass(slots=True)
class Group:
    """All tasks of one shape. `never` says why none of them can run on the cluster as it is.

    CPU work takes nodes with accelerators last, whatever their speed: their devices would lie idle for want of CPUs.
    Hence the two `tiers` of options. `options` ends with those that join several, which are for tasks that run as long
    on one as on the other.
    """

    number: int
    shape: Shape
    options: tuple[Option, ...]
    never: tuple[Refusal, str] | None
    tiers: tuple[Tier, ...]
    lines: tuple[tuple[int, float], ...]  # by option: code of the class, and the share of it that the gang takes
    kinds: tuple[tuple[int, ...], ...]  # by option: codes of the kinds of its devices


class Groups:
    """Every shape that was ever asked for on this fleet; each is matched against the fleet once."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.all: list[Group] = []
        self._by_shape: dict[Shape, Group] = {}
        self._by_numbers: dict[tuple[object, ...], Group] = {}
        self._levels: dict[int, Levels] = {}  # by number of the group without ceilings

    def of(self, demand: Demand, expectations: Mapping[str, Expectation] = NOTHING_KNOWN) -> Group:
        """Return the group of the tasks that ask for that; `expectations` matter to what a task costs."""
        group = self._of(demand)
        return group if demand.money is None else self._affordable(group, demand.money, expectations)

    def _affordable(self, plain: Group, money: float, expectations: Mapping[str, Expectation]) -> Group:
        levels = self._levels.get(plain.number)
        if levels is None:
            levels = self._levels[plain.number] = Levels.of(plain.shape, self.fleet)
        ceilings = levels.ceilings(money, expectations, plain.shape.size)
        if not ceilings or plain.never is not None:
            return plain
        shape = plain.shape._replace(ceilings=ceilings)
        group = self._by_shape.get(shape)
        if group is None:
            group = _group(len(self.all), shape, self.fleet)
            group.never = None if group.options else (Refusal.TOO_DEAR, "")  # what is said depends on the task
            self._by_shape[shape] = group
            self.all.append(group)
        return group

    def _of(self, demand: Demand) -> Group:
        numbers = numbers_of(demand)
        group = self._by_numbers.get(numbers)
        if group is None:
            shape = shape_of(demand)
            group = self._by_shape.get(shape)
            if group is None:
                group = self._by_shape[shape] = _group(len(self.all), shape, self.fleet)
                self.all.append(group)
            self._by_numbers[numbers] = group
        return group


def choices_of(task: WaitingTask, group: Group) -> tuple[list[Choice], float]:
    """Return the options from the most to the least welcome, and the least cost (seconds x share) of any."""
    choices: list[Choice] = []
    least = math.inf
    expectations = task.expectations
    default = expectations.get("")
    for tier in group.tiers:
        found: list[Choice] = []
        if len(tier.options) > 1 and expectations.keys() <= _ANYWHERE:
            anywhere = expectation_on(expectations, _NOWHERE)
            choices.append((anywhere.median, tier.joined[0], anywhere.p80))
            least = min(least, (anywhere.mean or anywhere.median) * tier.joined[1])
            continue
        for number, resource_class, share in tier.options:
            expected = expectations.get(resource_class, default) if resource_class else None
            if expected is None or not is_usable(expected):
                expected = expectation_on(expectations, group.options[number].pool.classes)
            found.append((expected.median, number, expected.p80))
            cost = (expected.mean or expected.median) * share
            if cost < least:  # noqa: PLR1730 - twice as fast as min()
                least = cost
        if len(found) > 1:
            found.sort()
        choices += found
    return choices, least


def fits_one_of(group: Group, free: Ledger, nodes: Iterable[int]) -> bool:
    """Tell whether one replica fits on any of `nodes`, by what is free there."""
    shape = group.shape
    for node in nodes:
        if shape.cpu_milli > free.cpu_cells[node] or shape.memory_bytes > free.memory_cells[node]:
            continue
        if not shape.devices:
            return not (shape.where or shape.ceilings) or any(option.pool.place[node] >= 0 for option in group.options)
        amounts = free.devices_of(node)
        for option in group.options:
            fitting = sum(amounts[column] >= shape.share_milli for column in option.pool.columns[node])
            if fitting >= (shape.devices if shape.share_milli == 1000 else 1):
                return True
    return False


def _group(number: int, shape: Shape, fleet: Fleet) -> Group:
    options = list(options_of(shape, fleet))
    tiers = []
    for takes_device_room in (False, True):
        alike = [
            (at, option) for at, option in enumerate(options) if option.pool.takes_device_room == takes_device_room
        ]
        if alike:
            entries = tuple((at, one.pool.name if len(one.pool.classes) == 1 else "", one.share) for at, one in alike)
            joined = entries[0][0], entries[0][2]
            if len(alike) > 1:
                option = option_of(shape, fleet, fleet.joined([one.pool for _, one in alike]))
                joined = len(options), option.share
                options.append(option)
            tiers.append(Tier(entries, joined))
    never = None if shape.ceilings else impossible(shape, tuple(options), fleet)
    lines = tuple(_line(shape, option, fleet) for option in options)
    codes = {name: code for code, name in enumerate(fleet.device_kinds)} if shape.devices else {}
    kinds = tuple([tuple([codes[name] for name in one.pool.classes if name in codes]) for one in options])
    return Group(number, shape, tuple(options), never, tuple(tiers), lines, kinds)


def _line(shape: Shape, option: Option, fleet: Fleet) -> tuple[int, float]:
    name = option.pool.classes[0]
    devices = shape.devices * shape.share_milli
    share = share_of_class(shape.cpu_milli, shape.memory_bytes, devices, fleet.class_size(name))
    return fleet.class_codes[name], shape.size * share
