"""Says in a sentence with numbers which bound of which project keeps a task waiting, and until when."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from lepton_ai.kernel.scheduling.groups import Group
from lepton_ai.kernel.scheduling.occupancy import Occupancy
from lepton_ai.kernel.scheduling.project_tree import DEVICES, Vector
from lepton_ai.kernel.scheduling.reasons import in_words
from lepton_ai.types.quantity import format_bytes


class Barred(NamedTuple):
    """Why a project's tasks of one shape may not start, and in how many seconds they may (infinite: unknown)."""

    sentence: str
    seconds: float


class Bars:
    """Why cells are barred at one moment (`now`, in seconds since 1970); each bound is looked at once."""

    def __init__(self, occupancy: Occupancy, now: float) -> None:
        self._occupancy, self._now = occupancy, now
        self._shares, self._tree = occupancy.shares, occupancy.shares.tree
        self._known: dict[int, Barred] = {}
        self._ends: dict[tuple[int, int], tuple[list[int], list[tuple[float, str]]]] = {}

    def of(self, cell: int, group: Group) -> Barred:
        """Return what stands in the way of all tasks of a cell."""
        known = self._known.get(cell)
        if known is None:
            known = self._known[cell] = self._of(self._shares.cells[cell].project, group)
        return known

    def _of(self, project: int, group: Group) -> Barred:
        tree = self._tree
        if tree.is_shut[project]:
            view = next(tree.views[row] for row in tree.chains[project] if tree.is_spent(row))
            step = f"it starts once there is more: lepton project set {view.name} --budget ..."
            return Barred(f"project {view.name} has used up {view.budget_text}; {step}", math.inf)
        charge = min((self._shares.charge(group, number) for number in range(len(group.options))), key=tuple)
        for row in tree.chains[project]:
            at = self._shares.excess(row, charge)
            if at >= 0:
                return self._full(row, at, charge)
        # Each option goes beyond another bound.
        return Barred("its project may hold none of the devices that it could run on", math.inf)

    def _full(self, row: int, at: int, charge: Vector) -> Barred:
        shares, tree = self._shares, self._tree
        view, used, most = tree.views[row], shares.usage[row][at], tree.most[row][at]
        kinds = tree.kinds
        is_quota = not view.may_borrow and tree.promised[row][at] == most
        bound = "quota" if is_quota else "limit"
        step = f"lepton project set {view.name} --{bound} {_setting(at, used + charge[at], kinds)}"
        if charge[at] > most:
            text = f"asks for {_amount(at, charge[at], kinds)}; project {view.name} may hold {_number(at, most)} in all"
            return Barred(f"{text}; it starts after: {step}", math.inf)
        seconds, name = self._end(row, at, used + charge[at] - most)
        text = f"project {view.name} holds {_number(at, used)} of its {_amount(at, most, kinds)}"
        text = f"{text}, and this task asks for {_number(at, charge[at])} more"
        if seconds == math.inf:
            return Barred(f"{text}; nobody can say when it gives some back; or: {step}", seconds)
        return Barred(f"{text}; it may start in {in_words(seconds)} when '{name}' ends, or after: {step}", seconds)

    def _end(self, row: int, at: int, missing: int) -> tuple[float, str]:
        """Return in how many seconds a project has given back what is `missing`, and whose end that is."""
        known = self._ends.get((row, at))
        if known is None:
            chains, ends = self._tree.chains, []
            for task_id, (project, charge) in self._shares.held.items():
                if project >= 0 and charge[at] and row in chains[project]:
                    name, moment = self._occupancy.held.end_of(task_id)
                    ends.append((max(moment - self._now, 1.0), name, charge[at]))
            ends.sort()
            given = list(accumulate(amount for _, _, amount in ends))
            known = self._ends[row, at] = given, [(seconds, name) for seconds, name, _ in ends]
        place = bisect_left(known[0], missing)
        return known[1][place] if place < len(known[0]) else (math.inf, "")


def _amount(at: int, amount: int, kinds: Sequence[str]) -> str:
    if at == 0:
        return f"{amount / 1000:g} CPU{'' if amount == 1000 else 's'}"
    if at < DEVICES:
        return f"{format_bytes(amount)} of memory"
    kind = kinds[at - DEVICES]
    return f"{amount / 1000:g} {kind}" if kind else f"{amount / 1000:g} accelerator{'' if amount == 1000 else 's'}"


def _number(at: int, amount: int) -> str:
    return format_bytes(amount) if at == 1 else f"{amount / 1000:g}"


def _setting(at: int, amount: int, kinds: Sequence[str]) -> str:
    if at == 0:
        return f"cpu={amount / 1000:g}"
    if at < DEVICES:
        return f"memory={-(-amount // 10**9)}GB"
    return f"{kinds[at - DEVICES] or 'gpu'}={amount / 1000:g}"
