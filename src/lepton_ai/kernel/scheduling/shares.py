"""What each project holds, what that leaves it, and whose turn it is: kept true as tasks start and end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lepton_ai.kernel.scheduling.fleet import Bools, Fleet, Ints
from lepton_ai.kernel.scheduling.groups import Choice, Group
from lepton_ai.kernel.scheduling.project_tree import DEVICES, ProjectTree, Vector
from lepton_ai.kernel.scheduling.snapshot import ProjectView, Refusal
from lepton_ai.types.resources import Allocation

FAVOUR_MAX = 4.0  # a project far below its share goes before another's tasks of at most 4 times the index
LOG_FAVOUR_MAX = math.log(FAVOUR_MAX)
LAST = 1e-6  # behind everybody: what starts after a soft bound of the budget


class Cell(NamedTuple):
    """The tasks of one shape in one project; -1 stands for a project that is not in the snapshot."""

    project: int
    group: int


class _Bar(NamedTuple):
    """A project that holds too much of one dimension to hold `more` of it."""

    project: int
    at: int
    more: int


class Shares:
    """Usage by project. With no projects it holds nothing and asks nothing.

    A task of a project that is full is refused without a look at the nodes; all of its cell are, until something of
    that project, or of those above it, is given back.
    """

    def __init__(self, projects: Sequence[ProjectView], fleet: Fleet) -> None:
        self.is_on = bool(projects)
        self.tree = ProjectTree(projects, fleet)
        self.usage = [[0] * (DEVICES + len(self.tree.kinds)) for _ in self.tree.views]
        self.changes = 0  # how often usage rose or fell
        self._promised: dict[int, tuple[int, bool]] = {}  # by cell: what was found, and at which number of changes
        self._fleet = fleet
        self._charges: dict[tuple[int, int], Vector] = {}
        self.held: dict[str, tuple[int, Vector]] = {}  # by task: its project, and what it holds
        self._leaving: set[str] = set()  # tasks that were told to stop
        self.cells: list[Cell] = []
        self._cell_of: dict[Cell, int] = {}
        self.is_barred = np.zeros(64, dtype=np.bool_)  # by cell
        self._bars: dict[int, set[_Bar]] = {}  # by barred cell, one for each choice; none where a budget is used up
        self._fell: set[int] = set()  # projects that gave something back since the bars were last looked at

    def number(self, project: str) -> int:
        """Return the number of a project; -1 for one that is not in the snapshot."""
        return self.tree.number.get(project, -1)

    def cell(self, project: str, group: int) -> int:
        """Return the number of the cell of a task."""
        if not self.is_on:
            return 0
        key = Cell(self.tree.number.get(project, -1), group)
        number = self._cell_of.get(key)
        if number is None:
            number = self._cell_of[key] = len(self.cells)
            self.cells.append(key)
            if number == len(self.is_barred):
                self.is_barred = np.concatenate([self.is_barred, np.zeros_like(self.is_barred)])
        return number

    def hold(self, task_id: str, project: str, allocations: Iterable[Allocation]) -> None:
        """Let a task of `project` hold `allocations`; what it held before, it gives back."""
        if not self.is_on:
            return
        is_leaving = task_id in self._leaving
        self.release(task_id)
        self.set_leaving(task_id, is_leaving=is_leaving)
        row = self.tree.number.get(project, -1)
        charge = self._charge_of(allocations)
        self.held[task_id] = row, charge
        self._add(row, charge, 1)

    def release(self, task_id: str) -> None:
        """Give back what a task holds, if it holds anything."""
        self._leaving.discard(task_id)
        row, charge = self.held.pop(task_id, (-1, ()))
        self._add(row, charge, -1)
        if row >= 0:
            self._fell.update(self.tree.chains[row])

    def set_leaving(self, task_id: str, *, is_leaving: bool) -> None:
        """Say whether a task was told to stop: it holds what it holds, but is not counted on."""
        if is_leaving and self.is_on:
            self._leaving.add(task_id)
        else:
            self._leaving.discard(task_id)

    def left(self, gone: Iterable[str] = ()) -> list[list[int]]:
        """Return what projects will hold once those that were told to stop, and those in `gone`, are gone."""
        usage = [list(used) for used in self.usage]
        for task_id in {*self._leaving, *gone}:
            count(self.tree, usage, self.held.get(task_id, (-1, ())), -1)
        return usage

    def unbar(self) -> None:
        """Lift the bars of cells for which room may have come."""
        if not self._fell:
            return
        usage, most, fell = self.usage, self.tree.most, self._fell
        lifted = [
            cell
            for cell, bars in self._bars.items()
            if any(row in fell and usage[row][at] + more <= most[row][at] for row, at, more in bars)
        ]
        for cell in lifted:
            del self._bars[cell]
            self.is_barred[cell] = False
        self._fell.clear()

    def allowed(self, cell: int, group: Group, choices: Sequence[Choice]) -> Sequence[Choice]:
        """Return those of `choices` that the project may hold (the same object if all are); none bars the cell."""
        row = self.cells[cell].project
        if row < 0:
            return choices
        if self.is_barred[cell]:
            return ()
        kept: list[Choice] = []
        bars: set[_Bar] = set()
        if not self.tree.is_shut[row]:
            for choice in choices:
                if self._is_within(row, group, choice, bars):
                    kept.append(choice)
                else:
                    kept += [one for one in _apart(choice, group) if self._is_within(row, group, one, bars)]
        if not kept:
            self.is_barred[cell], self._bars[cell] = True, bars
        return choices if kept and not bars else kept

    def refusal(self, cell: int) -> Refusal:
        """Return why a cell is barred."""
        return Refusal.BUDGET if self.tree.is_shut[self.cells[cell].project] else Refusal.QUOTA

    def _is_within(self, row: int, group: Group, choice: Choice, bars: set[_Bar]) -> bool:
        """Tell whether a project and all above it may hold what `choice` takes; what keeps them from it is a bar."""
        charge = self.charge(group, choice[1])
        for project in self.tree.chains[row]:
            at = self.excess(project, charge)
            if at >= 0:
                bars.add(_Bar(project, at, charge[at]))
                return False
        return True

    def excess(self, project: int, charge: Vector) -> int:
        """Return the first dimension in which `charge` would lead one project over what it may hold; -1 if none."""
        for at, (used, more, most) in enumerate(zip(self.usage[project], charge, self.tree.most[project], strict=True)):
            if more and used + more > most:
                return at
        return -1

    def is_promised(self, cell: int, group: Group, choices: Sequence[Choice]) -> bool:
        """Tell whether the project is promised what the task would hold, whatever it takes."""
        row = self.cells[cell].project
        if row < 0 or self.tree.promiser[row] < 0 or self.tree.is_shut[row] or self.tree.is_last[row]:
            return False
        known = self._promised.get(cell)
        if known is None or known[0] != self.changes:
            promiser, charges = self.tree.promiser[row], [self.charge(group, choice[1]) for choice in choices]
            known = self.changes, all(within(self, promiser, charge, self.usage) for charge in charges)
            self._promised[cell] = known
        return known[1]

    def charge(self, group: Group, option: int) -> Vector:
        """Return what a task of the group holds at most on one of its options."""
        known = self._charges.get((group.number, option))
        if known is None:
            shape, charge = group.shape, [0] * (DEVICES + len(self.tree.kinds))
            charge[0], charge[1] = shape.cpu_milli * shape.size, shape.memory_bytes * shape.size
            devices = shape.devices * shape.share_milli * shape.size
            for kind in group.options[option].pool.classes if devices else ():
                for at in self.tree.counts(kind):
                    charge[at] = devices
            known = self._charges[group.number, option] = charge
        return known

    def favours(self, waiting: Ints, fairness: float) -> tuple[list[float], list[float]]:
        """Return what the index of each project's tasks is multiplied by, and the share that each is due.

        It is (due / held) ^ fairness, at most FAVOUR_MAX and at least 1 / FAVOUR_MAX. `waiting` tells how many tasks
        of each project wait: those that want nothing count for nothing.
        """
        active = {row for row, used in enumerate(self.usage) if any(used)}
        for row in np.flatnonzero(waiting).tolist():
            active.update(self.tree.chains[row])
        due = self.tree.entitlements(active)
        return [self.favour(row, due[row], fairness) for row in range(len(self.usage))], due

    def favour(self, row: int, due: float, fairness: float) -> float:
        """Return what the index of one project's tasks is multiplied by, given the share that it is due."""
        share = self.tree.share(self.usage[row])
        ratio = due / share if share > 0 else math.inf
        power = fairness * math.log(ratio) if ratio > 0 else -math.inf  # a power itself could overflow
        favour = math.exp(min(max(power, -LOG_FAVOUR_MAX), LOG_FAVOUR_MAX)) if fairness > 0 else 1.0
        return favour * LAST if self.tree.is_last[row] else favour

    def may_go(self, task_ids: Iterable[str], project: str, gone: Iterable[str]) -> list[bool]:
        """Tell of each task whether it alone may be stopped for one of `project`: nobody gets less than is promised."""
        usage, row = self.left(gone), self.number(project)
        return [may_lose(self.tree, usage, self.held.get(task_id, (-1, ())), row) for task_id in task_ids]

    def may_all_go(self, task_ids: Iterable[str], project: str, gone: Iterable[str]) -> bool:
        """Tell whether the tasks may be stopped together for one of `project`, once those that are `gone` are."""
        if not self.is_on:
            return True
        usage = self.left(gone)
        for task_id in task_ids:
            task = self.held.get(task_id, (-1, ()))
            if not may_lose(self.tree, usage, task, self.number(project)):
                return False
            count(self.tree, usage, task, -1)
        return True

    def is_owed(self) -> Bools:
        """Tell, by project, whether it is promised something that it does not hold; False at the end, for none."""
        owed = np.zeros(len(self.usage) + 1, dtype=np.bool_)
        for row, promiser in enumerate(self.tree.promiser):
            if promiser >= 0 and not self.tree.is_shut[row] and not self.tree.is_last[row]:
                pairs = zip(self.usage[promiser], self.tree.promised[promiser], strict=True)
                owed[row] = any(used < promised for used, promised in pairs)
        return owed

    def _add(self, row: int, charge: Vector, sign: int) -> None:
        if row >= 0:
            self.changes += 1
            count(self.tree, self.usage, (row, charge), sign)

    def _charge_of(self, allocations: Iterable[Allocation]) -> Vector:
        charge = [0] * (DEVICES + len(self.tree.kinds))
        for allocation in allocations:
            charge[0] += allocation.cpu_milli
            charge[1] += allocation.memory_bytes
            node = self._fleet.index.get(allocation.node, -1)
            for device in allocation.devices:
                column = self._fleet.columns.get((node, device.device_id), -1)
                # A device that is gone counts as what it was taken for.
                kind = self._fleet.nodes[node].devices[column].kind if column >= 0 else allocation.resource_class
                for at in self.tree.counts(kind):
                    charge[at] += device.share_milli
        return charge


def within(shares: Shares, project: int, charge: Vector, usage: Sequence[Vector]) -> bool:
    """Tell whether one project is promised `charge` beside what it holds: all of it of which anything is said."""
    is_said = False
    for used, more, promised in zip(usage[project], charge, shares.tree.promised[project], strict=True):
        if more and promised >= 0:
            is_said = True
            if used + more > promised:
                return False
    return is_said


def count(tree: ProjectTree, usage: Sequence[list[int]], task: tuple[int, Vector], sign: int) -> None:
    """Add to `usage` (1), or take from it (-1), what a task of some project holds."""
    row, charge = task
    for project in tree.chains[row] if row >= 0 else ():
        used = usage[project]
        for at, amount in enumerate(charge):
            used[at] += sign * amount


def may_lose(tree: ProjectTree, usage: Sequence[Vector], task: tuple[int, Vector], row: int) -> bool:
    """Tell whether a task (its project, and what it holds) may be stopped for one of project `row`.

    It may if its project keeps what it is promised of all that the task holds, and so does each one above it, up to the
    first that is above `row` as well: what is promised to that one is settled within it.
    """
    project, charge = task
    above = tree.chains[row] if row >= 0 else ()
    for one in tree.chains[project] if project >= 0 else ():
        if one in above:
            return True
        parts = zip(usage[one], charge, tree.promised[one], strict=True)
        if any(held and promised >= 0 and used - held < promised for used, held, promised in parts):
            return False
    return True


def _apart(choice: Choice, group: Group) -> list[Choice]:
    """Return the options that a joined one joins, each as a choice of its own; none if it is not joined."""
    for tier in group.tiers:
        if len(tier.options) > 1 and choice[1] == tier.joined[0]:
            return [(choice[0], number, choice[2]) for number, _, _ in tier.options]
    return []
