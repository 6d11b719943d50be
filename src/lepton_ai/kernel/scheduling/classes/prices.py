"""Shadow prices of the classes: what a device-second of each is worth when all work in sight has to be done."""

from __future__ import annotations

import numpy as np

from lepton_ai.kernel.scheduling.fleet import Ints
from lepton_ai.kernel.scheduling.held import Floats

SOFTNESS = 0.1  # work whose cost on two classes differs by less than about 10 % is split between them
STEP = 0.02  # of the log of a price, per log of the class's load over the mean load
STEPS_FIRST, STEPS = 300, 3  # prices start from nothing once; then they follow
CHEAPEST = 1e-3  # of the dearest: a class that nobody can use still costs something, so that no task is for free


def follow(work: Floats, capacity: Ints, before: Floats | None) -> Floats:
    """Return prices y > 0 with sum(capacity x y) = 1, moved from `before` to where all classes are as busy.

    They are the dual of the linear program "finish `work` soonest" (max sum_c min_k y_k work[c, k]): every group goes
    where it costs least, and a class that gets more than its part becomes dearer. Multiplicative steps with soft
    choices need no solver; with the same work they end within `SOFTNESS` of the program's dual.
    """
    logs = np.zeros(len(capacity)) if before is None else np.log(before)
    work = work[(np.isfinite(work) & (work > 0)).any(axis=1)]  # the rest can run nowhere, or is nothing
    can = np.isfinite(work) & (work > 0)
    with np.errstate(divide="ignore"):
        log_work = np.where(can, np.log(np.where(can, work, 1.0)), np.inf)
    devices = np.maximum(capacity, 1e-9)
    for _ in range(STEPS_FIRST if before is None else STEPS):
        cost = log_work + logs
        share = np.exp((cost.min(axis=1, keepdims=True) - cost) / SOFTNESS)
        share /= share.sum(axis=1, keepdims=True)
        load = (share * np.where(can, work, 0.0)).sum(axis=0) / devices
        excess = np.log(np.maximum(load, 1e-12 * load.max()))
        logs = logs + STEP * np.clip(excess - excess.mean(), -3.0, 3.0)
        logs = np.maximum(logs, logs.max() + np.log(CHEAPEST))
    prices: Floats = np.exp(logs - logs.max())
    return prices / float(capacity @ prices)
