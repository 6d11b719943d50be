"""How welcome a node is to a task: what that choice costs all others. Least is best; ties go to the first node."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.kernel.scheduling.fleet import Fleet, Ints, Pool
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI

Floats = npt.NDArray[np.float64]
IDLE = 1e6  # an idle node is broken last
WHOLE = 1e4  # then a whole device


def scores(shape: Shape, pool: Pool, fleet: Fleet, rows: Ints, left: tuple[Ints, Ints, Ints]) -> Floats:
    """Return the cost of one replica of `shape` on each of `rows`, where `left` (CPU, memory, devices) is free."""
    cpu, _, devices = left
    idle: npt.NDArray[np.bool_] = cpu == fleet.cpu_total[rows]
    if not shape.devices or pool.eligible is None:
        return np.asarray(idle * IDLE)
    idle &= (devices == fleet.device_total[rows]).all(axis=1)
    cost: Floats = np.asarray(idle * IDLE)
    if shape.share_milli < WHOLE_DEVICE_MILLI:
        fits = (devices >= shape.share_milli) & pool.eligible[rows]
        tightest = np.where(fits, devices, WHOLE_DEVICE_MILLI + 1).min(axis=1)
        cost += np.where(tightest < WHOLE_DEVICE_MILLI, tightest - shape.share_milli, WHOLE)
    return cost
