"""The waiting tasks as columns: the order of the whole queue is one expression over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.expectation import SECONDS_MIN, WEIGHT_MAX
from lepton_ai.kernel.scheduling.fleet import Bools, Ints
from lepton_ai.kernel.scheduling.groups import Choice, Group, choices_of
from lepton_ai.kernel.scheduling.mix import Wish, wish_of
from lepton_ai.kernel.scheduling.snapshot import Policy, WaitingTask
from lepton_ai.kernel.scheduling.urgency import NOT_DUE, urgency

Floats = npt.NDArray[np.float64]

START_ROWS = 64
_OF_DUE = ("_due_at", "_seconds")
_OF_PLACE = ("_group", "_line", "_claims", "_cell", "_project")
_COLUMNS = ("_weight", "_cost", "_since", "_share", "_work", "_kept_for", *_OF_PLACE, *_OF_DUE)
STARVING = 1e30  # above every index: WEIGHT_MAX / (SECONDS_MIN x SHARE_MIN) x age < 1e25 for a hundred years of waiting
CLAIMING = 1e35  # above all who starve
RANKED_MAX = 64  # so many ranks are counted one by one; for more, the whole queue is sorted
LONGEST_WAIT = 1e10  # in seconds; keeps those who starve in the order of their waits


class Waiting:
    """One row for each task. The last row moves into the place of one that leaves, so that there are no gaps."""

    def __init__(self) -> None:
        self.tasks: list[WaitingTask] = []
        self.groups: list[Group] = []
        self.choices: list[Sequence[Choice]] = []
        self.cells: list[int] = []  # numbers of what has one project and one shape
        self.row_of: dict[str, int] = {}
        self.wishes: Counter[Wish] = Counter()  # thousandths of devices that they ask for in all
        self._weight, self._cost, self._since = (np.zeros(START_ROWS) for _ in range(3))
        self._share, self._work = np.zeros(START_ROWS), np.zeros(START_ROWS)  # in the line of the first choice
        self._kept_for = np.zeros(START_ROWS)  # seconds for which what it gets cannot be taken back
        self._group, self._line, self._cell, self._project = (np.zeros(START_ROWS, dtype=np.int64) for _ in range(4))
        self._claims = np.zeros(START_ROWS, dtype=np.bool_)
        self._due_at, self._seconds = np.full(START_ROWS, np.inf), np.zeros(START_ROWS)
        self.dues = 0  # how many have a moment by which they are due

    def __len__(self) -> int:
        return len(self.tasks)

    def add(self, task: WaitingTask, group: Group, cell: int = 0, project: int = -1) -> None:
        """Let a task wait; its id must be new."""
        row = self.row_of[task.id] = len(self.tasks)
        if row == len(self._weight):
            for name in _COLUMNS:
                column = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.zeros_like(column)]))
        choices, least = choices_of(task, group)
        self._wish(group, 1)
        self.tasks.append(task)
        self.groups.append(group)
        self.choices.append(choices)
        self.cells.append(cell)
        self._cell[row], self._project[row] = cell, project
        weight = task.weight
        self._weight[row] = min(weight, WEIGHT_MAX) if weight > 0 else 0.0  # NaN is not above 0
        self._cost[row], self._since[row], self._group[row] = least, task.submitted_at.timestamp(), group.number
        self._line[row], self._claims[row], self._kept_for[row] = -1, task.has_claim, 0.0
        self._due_at[row] = NOT_DUE
        if task.due_at is not None:
            self._due_at[row], self.dues = task.due_at.timestamp(), self.dues + 1
            self._seconds[row] = min(choice[0] for choice in choices) if choices else 0.0
        if choices:
            self._line[row], share = group.lines[choices[0][1]]
            self._share[row], self._work[row] = share, share * choices[0][0]
            self._kept_for[row] = 0.0 if task.restart else choices[0][0]

    def remove(self, task_id: str) -> None:
        """Forget a task."""
        row, last = self.row_of.pop(task_id), len(self.tasks) - 1
        self._wish(self.groups[row], -1)
        task, group, choices, cell = self.tasks.pop(), self.groups.pop(), self.choices.pop(), self.cells.pop()
        self.dues -= self._due_at[row] < NOT_DUE
        if row != last:
            self.tasks[row], self.groups[row], self.choices[row], self.cells[row] = task, group, choices, cell
            for name in _COLUMNS:
                column = getattr(self, name)
                column[row] = column[last]
            self.row_of[task.id] = row

    def _wish(self, group: Group, sign: int) -> None:
        if group.shape.devices and group.never is None:
            wish, devices = wish_of(group.shape)
            self.wishes[wish] += sign * devices
            if not self.wishes[wish]:
                del self.wishes[wish]

    def line(self, code: int) -> tuple[Ints, Floats, Floats]:
        """Return the rows whose first choice is that class; their shares of it, and those times seconds."""
        rows = np.flatnonzero(self._line[: len(self)] == code)
        return rows, self._share[rows], self._work[rows]

    def place_in_line(self, row: int) -> tuple[int, float, float]:
        """Return class, share and share-seconds of the first choice of one row."""
        return int(self._line[row]), float(self._share[row]), float(self._work[row])

    def in_groups(self, wanted: Bools) -> Ints:
        """Return the rows of the groups (by number) that are `wanted`."""
        return np.flatnonzero(wanted[self._group[: len(self)]])

    def in_cells(self, wanted: Bools) -> Bools:
        """Tell of each row whether its cell is `wanted`."""
        return np.asarray(wanted[self._cell[: len(self)]])

    def of_projects(self, wanted: Bools) -> Bools:
        """Tell of each row whether its project is `wanted`; the last of those stands for none."""
        return np.asarray(wanted[self._project[: len(self)]])

    def by_project(self, projects: int) -> Ints:
        """Count those who wait, by project."""
        counts = np.bincount(self._project[: len(self)] + 1, minlength=projects + 1)
        return np.asarray(counts[1:], dtype=np.int64)

    def ranking(self, now: float, policy: Policy, favours: Sequence[float] = (), due: Sequence[float] = ()) -> Ranking:
        """Return how the rows compare at the moment `now` (seconds since 1970).

        Smith's rule (1956) on dominant shares: index = weight / (expected seconds x share) x (1 + wait / (tau + kept)).
        What a task gets is kept for all its expected seconds, unless it may be preempted: then a start that age brought
        about costs the others little. The weight rises (see `urgency`) as the moment comes near by which a task is due.
        A task that waits longer than the bound goes before everything younger, oldest first, whatever its index; one
        that others were stopped for before all. Impossible tasks cost infinity. `favours` multiply the index, by
        project; `due` are the shares that they rest on.
        """
        n = len(self)
        waits = np.maximum(now - self._since[:n], 0.0)
        age = 1.0 + waits / (max(policy.ageing_tau.total_seconds(), SECONDS_MIN) + self._kept_for[:n])
        weight, slack, raised = self._weight[:n], None, None
        if self.dues:
            slack = self._due_at[:n] - now - self._seconds[:n]
            raised = urgency(slack, self._seconds[:n], policy)
            weight = weight * raised
        index = weight / self._cost[:n] * age
        favour = None
        if favours:
            favour = np.array([*favours, 1.0])[self._project[:n]]
            index = index * favour
        is_starving = waits > policy.starvation_bound.total_seconds()
        key = np.where(is_starving, STARVING * (1.0 + waits / LONGEST_WAIT), index)
        key = np.where(self._claims[:n], CLAIMING, key)
        return Ranking(
            self.tasks,
            now,
            key,
            self._since[:n],
            weight,
            age,
            index,
            is_starving,
            favour,
            (*favours, 1.0),
            due,
            slack,
            raised,
        )


@dataclass(frozen=True, slots=True)
class Ranking:
    """The columns of one moment (`now`, in seconds since 1970), by row."""

    tasks: Sequence[WaitingTask]
    now: float
    key: Floats  # the highest goes first
    since: Floats
    weight: Floats  # as it is now
    age: Floats
    index: Floats
    is_starving: Bools
    favour: Floats | None = None  # what the index was multiplied by for the sake of fairness; None for no projects
    favours: Sequence[float] = (1.0,)  # the same by project, and 1 for those of none
    due: Sequence[float] = ()  # by project, of everything
    slack: Floats | None = None  # seconds that are left until it must start to be in time; None where nobody is due
    urgency: Floats | None = None  # what `weight` was multiplied by for the sake of that
    second_turns: dict[int, float] = field(default_factory=dict)  # by row: the key of its last turn (see `SecondTurns`)

    def order(self, rows: Ints) -> list[int]:
        """Sort rows from the head of the queue: by key, then by age, then by id."""
        by = rows[np.lexsort((self.since[rows], -self.key[rows]))]
        key, since = self.key[by], self.since[by]
        ties = np.flatnonzero((key[1:] == key[:-1]) & (since[1:] == since[:-1]))
        order: list[int] = by.tolist()
        if not len(ties):
            return order
        starts = ties[np.diff(ties, prepend=-2) > 1]
        ends = ties[np.diff(ties, append=ties[-1] + 2) > 1] + 2
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            order[start:end] = sorted(order[start:end], key=lambda row: self.tasks[row].id)
        return order

    def best(self, rows: Ints, count: int) -> Ints:
        """Return the `count` rows with the highest keys, and those that tie with the last of them."""
        if len(rows) <= count:
            return rows
        keys = self.key[rows]
        least = np.partition(keys, len(keys) - count)[len(keys) - count]
        head: Ints = rows[keys >= least]
        return head

    def rank(self, row: int) -> int:
        """Return the place in the queue, from 1."""
        key, since, name = self.key[row], self.since[row], self.tasks[row].id
        equals = np.flatnonzero(self.key == key)
        older = int(np.count_nonzero(self.since[equals] < since))
        twins = equals[self.since[equals] == since].tolist()
        before = sum(self.tasks[twin].id < name for twin in twins) if len(twins) > 1 else 0
        return 1 + int(np.count_nonzero(self.key > key)) + older + before

    def ranks(self, asked: int) -> Callable[[int], int]:
        """Return what tells the rank of a row: counted if few are `asked` for, else read off the sorted queue."""
        if asked <= RANKED_MAX:
            return self.rank
        places = {row: rank for rank, row in enumerate(self.order(np.arange(len(self.key))), start=1)}
        return places.__getitem__

    def terms(self, row: int, choice: Choice | None = None, share: float = 0.0) -> dict[str, float]:
        """Return the numbers that reproduce a place.

        index = weight x urgency x age x favour / least of (seconds x share), where what is not named is 1.
        """
        terms = {"weight": float(self.weight[row]), "age": float(self.age[row]), "index": float(self.index[row])}
        if choice is not None:
            terms |= {"expected_seconds": choice[0], "expected_seconds_p80": choice[2], "share": share}
        if self.favour is not None:
            terms["favour"] = float(self.favour[row])
        if self.slack is not None and self.urgency is not None and self.slack[row] < NOT_DUE:
            raised = float(self.urgency[row])
            terms |= {"weight": terms["weight"] / raised, "urgency": raised, "slack_seconds": float(self.slack[row])}
        if self.is_starving[row]:
            terms["starving"] = 1.0
        if row in self.second_turns:
            terms["index_second_turn"] = self.second_turns[row]
        return terms
