"""Learns how much work arrives per second, and which classes it suits, from the arrivals of the last days."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lepton_ai.kernel.scheduling.held import Floats

MEMORY_SECONDS = 7 * 86_400.0  # an arrival counts 1/e after a week: weekdays and weekends even out
QUIET_SECONDS = 86_400.0  # a scheduler that just started believes that it has seen a day without arrivals
GROUPS_MAX = 256  # 256 groups x 20 classes x 8 bytes = 40 kB
RATIO_STEP = 0.05  # tasks whose relative speeds agree within 5 % are one group

Ratios = tuple[float, ...]


@dataclass(frozen=True)
class Arrivals:
    """What has arrived, each arrival fading with age.

    `work[c, k]` is device-seconds of group c if it all ran on class k (inf: cannot), `weight` the sum of the tasks'
    weights, `seconds` the time that was watched, faded alike; dividing by it gives rates.
    """

    work: Floats
    groups: tuple[Ratios, ...] = ()
    weight: float = 0.0
    seconds: float = 0.0

    def per_second(self) -> tuple[Floats, float]:
        """Return device-seconds per second by group and class, and weight per second."""
        watched = max(self.seconds, QUIET_SECONDS)
        return self.work / watched, self.weight / watched


def nothing(classes: int) -> Arrivals:
    """Return what is known before the first arrival."""
    return Arrivals(np.zeros((0, classes)))


def fade(arrivals: Arrivals, passed_seconds: float) -> Arrivals:
    """Let `passed_seconds` go by."""
    keep = math.exp(-passed_seconds / MEMORY_SECONDS)
    return replace(
        arrivals,
        work=arrivals.work * keep,
        weight=arrivals.weight * keep,
        seconds=arrivals.seconds * keep + passed_seconds,
    )


def learn(arrivals: Arrivals, work: Floats, weight: float) -> Arrivals:
    """Add a task that has arrived; `work` is its devices x seconds by class."""
    ratios: Ratios = tuple(np.round(np.log(work / work.min()) / RATIO_STEP).tolist())
    groups, rows = [*arrivals.groups], [*arrivals.work]
    if ratios in groups:
        rows[groups.index(ratios)] = rows[groups.index(ratios)] + work
    else:
        groups, rows = [*groups, ratios], [*rows, work]
    if len(rows) > GROUPS_MAX:
        least = int(np.argmin([row.min() for row in rows]))
        del groups[least], rows[least]
    return replace(arrivals, work=np.array(rows), groups=tuple(groups), weight=arrivals.weight + weight)
