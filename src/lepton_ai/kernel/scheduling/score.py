"""How welcome a node is to a task: what that choice costs all others. Least is best; ties go to the first node."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.kernel.scheduling.fleet import Fleet, Ints
from lepton_ai.kernel.scheduling.mix import Prices

Floats = npt.NDArray[np.float64]
POSITION = 3200.0  # thousandths of a device, between the first and the last node of the fixed order


class Scorer:
    """Scores nodes by what a task takes from others there, in thousandths of a device.

    1. What it strands: a node's devices are worth as much as its CPUs can feed, min(free devices, free CPU / CPU per
       device); a task costs what that falls by.
    2. What it takes of a sought kind: its devices x the price of their kind (see `mix`).
    3. The place of the node in one fixed, mixed order, so that work gathers at one end and whole nodes stay free at
       the other. In packing, this alone is worth 5 points of utilisation over random ties.

    Weng et al., "Beware of Fragmentation" (ATC 2023), count fragments by the shapes that are asked for; a fluid
    measure does as well at a fraction of the time.
    """

    def __init__(self, fleet: Fleet, prices: Prices) -> None:
        self.prices = prices
        self._position = fleet.mixed_order * (POSITION / max(len(fleet.nodes), 1))
        self._price = prices.of_devices(fleet)
        self.price_cells: list[float] = self._price.tolist()  # by node

    def scores(self, shape: Shape, rows: Ints, left: tuple[Ints, Ints]) -> Floats:
        """Return the cost of one replica on each of `rows`, where `left` (CPU, devices) is free."""
        cpu, devices = left
        taken = shape.devices * shape.share_milli
        free = devices.sum(axis=1)
        need = self.prices.cpu_per_device
        before, after = np.minimum(free, cpu / need), np.minimum(free - taken, (cpu - shape.cpu_milli) / need)
        cost: Floats = before - after + self._position[rows]
        if shape.devices:
            cost += taken * self._price[rows]
        return cost
