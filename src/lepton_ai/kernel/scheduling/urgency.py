"""How the weight of a task rises as the moment comes near by which it is due."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.snapshot import Policy

Floats = npt.NDArray[np.float64]

LOOK_AHEAD = 2.0  # the k of the source; 1.5 to 4.5 do about as well there
NOT_DUE = np.inf  # the slack of a task that is due at no time


def urgency(slack: Floats, seconds: Floats, policy: Policy) -> Floats:
    """Return by how much weights are multiplied: 1 with much slack or without a due moment, at most `policy.urgency`.

    `slack` is due - now - expected `seconds`. The rule is that of Apparent Tardiness Cost (Vepsalainen and Morton,
    "Priority rules for job shops with weighted tardiness costs", Management Science 33:8, 1987),
    exp(-slack / (k x mean length)), raised so that it never falls below 1, with the task's own length in place of the
    queue's mean: no arrival moves the others.
    """
    horizon = LOOK_AHEAD * np.maximum(seconds, policy.foresight.total_seconds())
    raised: Floats = 1.0 + max(policy.urgency - 1.0, 0.0) * np.exp(-np.maximum(slack, 0.0) / horizon)
    return raised
