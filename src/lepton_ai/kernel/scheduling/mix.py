"""What is asked for at large: how much CPU goes with a device, and how sought each kind of device is."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.demand import Shape, is_kind
from lepton_ai.kernel.scheduling.fleet import Fleet

LEAST = 1e-6  # nothing is free of charge: a price of 0 has no logarithm
STEPS = 4  # values move in steps of 2^(1/4), so that small changes leave the scores of all nodes as they are


@dataclass(frozen=True, slots=True)
class Prices:
    """`cpu_per_device` is in thousandths of a CPU for each thousandth of a device; `by_kind` is by code of the kind.

    The price of a kind is what one of its devices takes away from all who could use it: the sum, over the groups of
    tasks that accept it, of their share of the demand x (all devices / devices that they accept). 1 where everybody
    accepts everything; more for a kind that some accept nothing but.
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
        self._by_wish: Counter[tuple[str, int, int]] = Counter()

    def add(self, shape: Shape, sign: int = 1) -> None:
        """Count a task in, or out (`sign` -1)."""
        if shape.devices:
            devices = shape.size * shape.devices * shape.share_milli
            self._devices += sign * devices
            self._cpu += sign * shape.size * shape.cpu_milli
            self._by_wish[shape.kind, shape.device_memory_min, shape.device_memory_max] += sign * devices

    def prices(self) -> Prices:
        """Return the prices of what is asked for now, rounded to steps."""
        fleet = self._fleet
        totals = [fleet.device_pool(kind, 0, 0).devices_milli for kind in fleet.device_kinds]
        if not sum(totals):
            return Prices(1.0, ())
        if not self._devices:
            with_devices = fleet.has_devices
            return Prices(_stepped(float(fleet.cpu_total[with_devices].sum()) / sum(totals)), (1.0,) * len(totals))
        prices = [0.0] * len(totals)
        for (kind, least, most), devices in sorted(self._by_wish.items()):
            bounds = (least, most)
            able = [
                is_kind(kind, name) and fleet.device_pool(name, *bounds).devices_milli > 0
                for name in fleet.device_kinds
            ]
            accepted = sum(total for total, fits in zip(totals, able, strict=True) if fits)
            for code, fits in enumerate(able):
                if fits and devices > 0:
                    prices[code] += devices / self._devices * sum(totals) / accepted
        return Prices(_stepped(self._cpu / self._devices), tuple([_stepped(price) for price in prices]))


def _stepped(value: float) -> float:
    return math.pow(2.0, round(math.log2(max(value, LEAST)) * STEPS) / STEPS)
