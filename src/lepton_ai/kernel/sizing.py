"""Pure: how much memory a new task asks for: what its owner said, what such tasks needed, or more than did not do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from lepton_ai.kernel.change import Change, Note, Verb
from lepton_ai.kernel.scheduling.estimate import Estimate
from lepton_ai.types.quantity import format_bytes
from lepton_ai.types.task import ExitKind, Task

RUNS_MIN = 5.0  # before so many, what such tasks needed says too little to replace the default
GROWTH = 1.5  # what ran out of memory gets so many times what it had
MARGIN = 1.2  # over the 95th percentile of what such tasks needed at their peaks
Z95 = 1.6448536269514722  # of the standard normal distribution
SIGMA_MIN = 0.05  # equal runs differ by a few per cent
LEARNT_BYTES_MIN = 64 * 10**6  # an interpreter that starts; peaks of short runs are seen too late
ROUND_BYTES = 10**6


def peak_bytes(peaks: Estimate | None) -> int:
    """Return the 95th percentile of the peaks that were seen (in MB, log-normal); 0 before there are enough."""
    if peaks is None or peaks.count < RUNS_MIN * 0.9:  # forgetting has taken a little of each run
        return 0
    spread = max(math.sqrt(max(peaks.variance_log, 0.0)), SIGMA_MIN)
    return round(math.exp(peaks.mean_log + Z95 * spread) * 1e6)


def sized(change: Change, earlier: Sequence[Task], peak: int, largest: int) -> Change:
    """Return the creation of a task with the memory that it should have; any other change as it is, services' too.

    `earlier` are the tasks of the same owner, `peak` is what such tasks needed (0: not known), `largest` what the
    largest node has (0: not known). What the owner stated holds until it has proved too little.
    """
    task = change.object
    if change.verb is not Verb.CREATE or not isinstance(task, Task) or task.spec.is_service:
        return change
    wanted, bound = task.spec.resources.memory, largest or 2**62
    learnt = max(round(peak * MARGIN), LEARNT_BYTES_MIN) if peak else 0
    too_little = [one for one in earlier if one.spec.index == task.spec.index and _ran_out(one)]
    if too_little:
        had = max(one.spec.resources.memory for one in too_little)
        asks = _rounded(max(min(max(wanted, learnt, round(had * GROWTH)), bound), had))
        why = f"Asks for {format_bytes(asks)} of memory: {format_bytes(had)} were too little."
        why += f" No node has more than {format_bytes(largest)}." if asks >= bound else ""
    elif learnt and not task.spec.resources.memory_is_stated:
        asks = _rounded(min(learnt, bound))
        why = f"Asks for {format_bytes(asks)} of memory: such tasks needed up to {format_bytes(peak)}."
    else:
        return change
    if asks == wanted:
        return change
    resources = task.spec.resources.replace(memory=asks)
    note = Note("memory", why)
    return replace(
        change, object=task.replace(spec=task.spec.replace(resources=resources)), notes=(*change.notes, note)
    )


def _ran_out(task: Task) -> bool:
    return task.status.outcome is ExitKind.OUT_OF_MEMORY


def _rounded(amount: int) -> int:
    return math.ceil(amount / ROUND_BYTES) * ROUND_BYTES
