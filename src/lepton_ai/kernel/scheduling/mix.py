"""What is asked for at large: how much CPU goes with a device, and how sought each kind of device is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.demand import Shape, is_kind
from lepton_ai.kernel.scheduling.fleet import Fleet

LEAST = 1e-6  # nothing is free of charge: a price of 0 has no logarithm
STEPS = 4  # values move in steps of 2^(1/4), so that small changes leave the scores of all nodes as they are


Wish = tuple[str, int, int]  # what is asked of a device: its kind, the least and the most memory


@dataclass(frozen=True, slots=True)
class Prices:
    """`cpu_per_device` is in thousandths of a CPU for each thousandth of a device; `by_kind` is by code of the kind.

    The price of a kind is what one of its devices takes away from all who could use it: the sum, over the groups of
    tasks that accept it, of their share of the demand x (all devices / devices that they accept). 1 where everybody
    accepts everything; more for a kind that some accept nothing but. It is multiplied by the square of the same sum
    over those who wait alone, as a multiple of the least: a queue for one kind says that this one is short now.
    """

    cpu_per_device: float
    by_kind: tuple[float, ...]

    def of_devices(self, fleet: Fleet) -> npt.NDArray[np.float64]:
        """Return the price of the devices of each node (0 for a node without)."""
        return np.append(np.array(self.by_kind), 0.0)[fleet.device_kind[:, 0]]


class Mix:
    """Sums over the tasks that wait or run, in whole numbers, so that the order in which they came leaves no trace."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._cpu = self._devices = 0
        self._by_wish: Counter[Wish] = Counter()
        self._totals = [fleet.device_pool(kind, 0, 0).devices_milli for kind in fleet.device_kinds]
        self._accepted: dict[Wish, tuple[tuple[int, ...], int]] = {}  # codes of kinds, and thousandths of their devices

    def add(self, shape: Shape, sign: int = 1) -> None:
        """Count a task in, or out (`sign` -1)."""
        if shape.devices:
            wish, devices = wish_of(shape)
            self._devices += sign * devices
            self._cpu += sign * shape.size * shape.cpu_milli
            self._by_wish[wish] += sign * devices

    def prices(self, waiting: Mapping[Wish, int] = MappingProxyType({})) -> Prices:
        """Return the prices of what is asked for now, rounded to steps; `waiting` are devices that tasks wait for."""
        fleet, totals = self._fleet, self._totals
        if not sum(totals):
            return Prices(1.0, ())
        if not self._devices:
            with_devices = fleet.has_devices
            return Prices(_stepped(float(fleet.cpu_total[with_devices].sum()) / sum(totals)), (1.0,) * len(totals))
        at_large, queued = self._by_kind(self._by_wish), self._by_kind(waiting)
        least = min([price for price in queued if price > 0], default=1.0)
        prices = [price * (max(short, least) / least) ** 2 for price, short in zip(at_large, queued, strict=True)]
        return Prices(_stepped(self._cpu / self._devices), tuple([_stepped(price) for price in prices]))

    def _by_kind(self, wishes: Mapping[Wish, int]) -> list[float]:
        """Return the price of each kind for those who ask for `wishes`, in thousandths of a device."""
        prices, everything = [0.0] * len(self._totals), sum(self._totals)
        asked = sum(wishes.values())
        for wish, devices in sorted(wishes.items()):
            codes, accepted = self._accepted.get(wish) or self._accept(wish)
            if devices > 0:
                for code in codes:
                    prices[code] += devices / asked * everything / accepted
        return prices

    def _accept(self, wish: Wish) -> tuple[tuple[int, ...], int]:
        kind, *bounds = wish
        fleet = self._fleet
        codes = tuple(
            code
            for code, name in enumerate(fleet.device_kinds)
            if is_kind(kind, name) and fleet.device_pool(name, *bounds).devices_milli > 0
        )
        found = self._accepted[wish] = codes, sum(self._totals[code] for code in codes)
        return found


def wish_of(shape: Shape) -> tuple[Wish, int]:
    """Return what a shape asks of its devices, and thousandths of how many it takes."""
    wish = shape.kind, shape.device_memory_min, shape.device_memory_max
    return wish, shape.size * shape.devices * shape.share_milli


def _stepped(value: float) -> float:
    return math.pow(2.0, round(math.log2(max(value, LEAST)) * STEPS) / STEPS)
