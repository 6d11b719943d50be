"""What tasks hold and until when, as columns: what runs, and what a pass has just started."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.expectation import WEIGHT_MAX, expectation_on
from lepton_ai.kernel.scheduling.fleet import Fleet, Ints
from lepton_ai.kernel.scheduling.snapshot import Stake
from lepton_ai.kernel.scheduling.urgency import NOT_DUE
from lepton_ai.types.resources import Allocation

Floats = npt.NDArray[np.float64]

SOON_SECONDS = 1.0  # nothing ends at this very moment: the pass is about what is free now
OVERDUE_SECONDS_MIN = 30.0  # a task that is just overdue is given this long
START_ROWS = 64
_OF_STAKE = ("_weight", "_left", "_as_of", "_since", "_restart", "_resumes", "_due_at")
_COLUMNS = ("_ends", "_node", "_cpu", "_memory", "_class", "_devices", "_id", "_name", *_OF_STAKE)
NO_STAKE = math.nan  # in the column of weights


class Holdings(NamedTuple):
    """Columns of what is held, one row for each replica; `ends_in` is in seconds from now, infinite for what stays."""

    ends_in: Floats
    node: Ints
    cpu: Ints
    memory: Ints
    devices: Ints  # thousandths, one column for each device of the node
    overdue: npt.NDArray[np.bool_]
    names: npt.NDArray[np.object_]
    resource_class: Ints  # codes of `Fleet.class_codes`


class Stakes(NamedTuple):
    """Columns of what may be preempted, one row for each replica; all of a task's rows have the same numbers."""

    id: npt.NDArray[np.object_]
    node: Ints
    cpu: Ints
    memory: Ints
    devices: Ints
    weight: Floats
    left: Floats  # seconds that it is expected to run on
    restart: Floats  # what its restart costs, in seconds of its time
    lost: Floats  # the same and what it did so far, if that is lost
    ran: Floats  # seconds since it was started
    slack: Floats  # between its expected end and the moment by which it is due; infinite without one
    whole: Floats  # seconds that it was expected to run on when that was last asked

    def only(self, rows: npt.NDArray[np.bool_]) -> Stakes:
        """Return those of `rows`."""
        return Stakes._make(column[rows] for column in self)


class Held:
    """One row for each replica. The last row moves into the place of one that leaves, so that there are no gaps."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._count = 0
        self._rows_of: dict[str, list[int]] = {}
        self._ends = np.zeros(START_ROWS)
        self._id, self._name = (np.empty(START_ROWS, dtype=np.object_) for _ in range(2))  # of the task
        self._node, self._cpu, self._memory, self._class = (np.zeros(START_ROWS, dtype=np.int64) for _ in range(4))
        self._devices = np.zeros((START_ROWS, fleet.device_total.shape[1]), dtype=np.int64)
        self._weight, self._left, self._as_of, self._since, self._restart = (np.zeros(START_ROWS) for _ in range(5))
        self._resumes, self._due_at = np.zeros(START_ROWS, dtype=np.bool_), np.zeros(START_ROWS)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._rows_of

    def add(self, task: tuple[str, str], allocations: Sequence[Allocation], ends_at: float) -> list[int]:
        """Let the task (id, name) hold `allocations` until `ends_at`; returns the nodes that it takes from.

        What is on nodes or devices that are gone is left out.
        """
        rows = self._rows_of.setdefault(task[0], [])
        for allocation in allocations:
            node = self._fleet.index.get(allocation.node, -1)
            if node >= 0:
                rows.append(self._append(task, node, allocation, ends_at))
        return [int(self._node[row]) for row in rows]

    def _append(self, task: tuple[str, str], node: int, allocation: Allocation, ends_at: float) -> int:
        if self._count == len(self._node):
            self._double()
        row, self._count = self._count, self._count + 1
        self._node[row], self._ends[row] = node, ends_at
        self._cpu[row], self._memory[row] = allocation.cpu_milli, allocation.memory_bytes
        self._class[row] = self._fleet.class_codes.get(allocation.resource_class, -1)
        self._devices[row] = 0
        for share in allocation.devices:
            column = self._fleet.columns.get((node, share.device_id), -1)
            if column >= 0:
                self._devices[row, column] += share.share_milli
        self._id[row], self._name[row] = task
        self._weight[row] = NO_STAKE
        return row

    def _double(self) -> None:
        for name in _COLUMNS:
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros_like(column)]))

    def remove(self, task_id: str) -> list[tuple[int, int, int, Ints]]:
        """Forget what the task holds; returns node, CPU, memory and devices of each replica."""
        given = []
        for row in sorted(self._rows_of.pop(task_id), reverse=True):
            given.append((int(self._node[row]), int(self._cpu[row]), int(self._memory[row]), self._devices[row].copy()))
            self._count -= 1
            last = self._count
            if row == last:
                continue
            for name in _COLUMNS:
                column = getattr(self, name)
                column[row] = column[last]
            rows = self._rows_of[self._id[row]]
            rows[rows.index(last)] = row
        return given

    def of(self, task_id: str) -> list[tuple[int, int, int, Ints]]:
        """Return node, CPU, memory and devices of each replica of the task."""
        rows = self._rows_of.get(task_id, ())
        return [(int(self._node[r]), int(self._cpu[r]), int(self._memory[r]), self._devices[r]) for r in rows]

    def end_of(self, task_id: str) -> tuple[str, float]:
        """Return the name of the task, and when it is expected to end; unknown if none of its nodes is there."""
        rows = self._rows_of.get(task_id)
        return (str(self._name[rows[0]]), float(self._ends[rows[0]])) if rows else ("", math.inf)

    def set_end(self, task_id: str, ends_at: float) -> None:
        """Change when the task is expected to end."""
        self._ends[self._rows_of[task_id]] = ends_at

    def set_stake(self, task_id: str, stake: Stake | None) -> None:
        """Say what the task stands to lose if it is preempted; None: it must not be."""
        for row in self._rows_of[task_id]:
            if stake is None:
                self._weight[row] = NO_STAKE
                continue
            code = int(self._class[row])
            expected = expectation_on(stake.expectations, (self._fleet.class_names[code] if code >= 0 else "",))
            self._weight[row] = min(max(stake.weight, 0.0), WEIGHT_MAX)
            self._left[row], self._as_of[row] = expected.median, stake.as_of.timestamp()
            self._since[row], self._restart[row] = stake.since.timestamp(), max(stake.restart.seconds, 0.0)
            self._resumes[row] = stake.restart.resumes
            self._due_at[row] = NOT_DUE if stake.due_at is None else stake.due_at.timestamp()

    def stakes(self, now: float) -> Stakes | None:
        """Return who may be preempted, or None if nobody may."""
        rows = np.flatnonzero(~np.isnan(self._weight[: self._count]))
        if not len(rows):
            return None
        left, ran = self._left[rows] - (now - self._as_of[rows]), np.maximum(now - self._since[rows], 0.0)
        left = np.where(left < 0, np.maximum(-left, OVERDUE_SECONDS_MIN), np.maximum(left, SOON_SECONDS))
        restart = self._restart[rows]
        return Stakes(
            self._id[rows],
            self._node[rows],
            self._cpu[rows],
            self._memory[rows],
            self._devices[rows],
            self._weight[rows],
            left,
            restart,
            np.where(self._resumes[rows], restart, restart + ran),
            ran,
            self._due_at[rows] - self._as_of[rows] - self._left[rows],
            self._left[rows],
        )

    def at(self, now: float) -> Holdings:
        """Return all that is held, with ends as they are expected now.

        A task that is overdue by some time is assumed to need that time once more (at least OVERDUE_SECONDS_MIN):
        durations have heavy tails, so the longer a task has outlived its estimate, the longer it is likely to go on.
        """
        n = self._count
        left = self._ends[:n] - now
        overdue = left < 0
        ends_in = np.where(overdue, np.maximum(-left, OVERDUE_SECONDS_MIN), np.maximum(left, SOON_SECONDS))
        return Holdings(
            ends_in,
            self._node[:n],
            self._cpu[:n],
            self._memory[:n],
            self._devices[:n],
            overdue,
            self._name[:n],
            self._class[:n],
        )


def together(parts: Sequence[Holdings]) -> Holdings:
    """Return the rows of all parts."""
    if len(parts) == 1:
        return parts[0]
    return Holdings(
        np.concatenate([part.ends_in for part in parts]),
        np.concatenate([part.node for part in parts]),
        np.concatenate([part.cpu for part in parts]),
        np.concatenate([part.memory for part in parts]),
        np.concatenate([part.devices for part in parts]),
        np.concatenate([part.overdue for part in parts]),
        np.concatenate([part.names for part in parts]),
        np.concatenate([part.resource_class for part in parts]),
    )
