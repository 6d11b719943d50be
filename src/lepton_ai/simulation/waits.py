"""The figures of waits: how long tasks did not get on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lepton_ai.types.base import Model

Floats = npt.NDArray[np.float64]


class Waits(Model):
    """Seconds in which tasks did not get on: in the queue, preempted, restarting."""

    tasks: int
    mean: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    longest: float = 0.0


def waits_of(seconds: Floats) -> Waits:
    """Return the figures of these waits."""
    if not len(seconds):
        return Waits(tasks=0)
    p50, p99 = (float(np.percentile(seconds, percent)) for percent in (50, 99))
    return Waits(tasks=len(seconds), mean=float(seconds.mean()), p50=p50, p99=p99, longest=float(seconds.max()))
