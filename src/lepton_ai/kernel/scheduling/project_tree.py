"""The projects of a snapshot as numbers: who is below whom, and what each is promised and may hold at most."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from lepton_ai.kernel.scheduling.demand import is_kind
from lepton_ai.kernel.scheduling.fleet import Fleet
from lepton_ai.kernel.scheduling.snapshot import Bounds, ProjectView
from lepton_ai.types.share import BudgetState

PLENTY = 2**62  # no bound
UNSAID = -1  # nothing is promised of this resource
DEVICES = 2  # the first of the dimensions that count devices: those of any kind

Vector = Sequence[int]  # CPU thousandths, bytes of memory, thousandths of devices: of any kind, then of each named kind


class ProjectTree:
    """Projects by number, in the order of their names. An unknown parent, and a circle of parents, count as none.

    What a project is promised (`quota`) holds for it and all below it; where it says nothing of a resource, it is
    promised what those directly below it are.
    """

    def __init__(self, projects: Iterable[ProjectView], fleet: Fleet) -> None:
        self.views = tuple({view.name: view for view in sorted(projects, key=lambda view: view.name)}.values())
        self.number = {view.name: row for row, view in enumerate(self.views)}
        self.kinds = _kinds(self.views)
        self.chains = [_chain(row, self.views, self.number) for row in range(len(self.views))]  # itself, then upwards
        self.children: list[list[int]] = [[] for _ in self.views]
        self.roots: list[int] = []
        for row, chain in enumerate(self.chains):
            (self.children[chain[1]] if len(chain) > 1 else self.roots).append(row)
        self.totals = [fleet.cpu_all, fleet.memory_all, *(_devices_all(kind, fleet) for kind in self.kinds)]
        self.promised = [self._vector(view.quota, UNSAID) for view in self.views]
        self.most = [self._vector(view.limit, PLENTY) for view in self.views]
        for row, view in enumerate(self.views):
            if not view.may_borrow:
                own = self._vector(view.quota, PLENTY)
                self.most[row] = [min(pair) for pair in zip(self.most[row], own, strict=True)]
        for row in sorted(range(len(self.views)), key=lambda row: -len(self.chains[row])):
            self._add_up_promises(row)
        # Whose promise a task in this project falls under first.
        self.promiser = [next((p for p in chain if max(self.promised[p]) > UNSAID), -1) for chain in self.chains]
        self._states = [[self.views[row].budget for row in chain] for chain in self.chains]
        self.is_shut = [BudgetState.HARD in states for states in self._states]
        self.is_last = [BudgetState.SOFT in states for states in self._states]

    def is_spent(self, row: int) -> bool:
        """Tell whether the project's own budget is used up."""
        return self.views[row].budget is BudgetState.HARD

    def counts(self, kind: str) -> tuple[int, ...]:
        """Return the dimensions in which a device of that kind counts."""
        return tuple([DEVICES + at for at, part in enumerate(self.kinds) if is_kind(part, kind)])

    def share(self, amounts: Vector) -> float:
        """Return the dominant share (Ghodsi et al., DRF, NSDI 2011): the largest of the fractions of all there is."""
        return max((a / total for a, total in zip(amounts, self.totals, strict=True) if total > 0), default=0.0)

    def entitlements(self, active: Collection[int]) -> list[float]:
        """Return the share of everything that each project is due while those that are `active` want some.

        Each gets what it is promised, and of what is left at its level a part by weight.
        """
        due = [0.0] * len(self.views)
        self._share_out(1.0, [row for row in self.roots if row in active], active, due)
        return due

    def _share_out(self, whole: float, rows: Sequence[int], active: Collection[int], due: list[float]) -> None:
        promised = [self.share([max(a, 0) for a in self.promised[row]]) for row in rows]
        rest = max(0.0, whole - sum(promised))
        weights = sum(self.views[row].weight for row in rows)
        for row, own in zip(rows, promised, strict=True):
            due[row] = own + rest * self.views[row].weight / weights
            self._share_out(due[row], [child for child in self.children[row] if child in active], active, due)

    def _vector(self, bounds: Bounds, otherwise: int) -> list[int]:
        said = [bounds.cpu_milli, bounds.memory_bytes, *(bounds.devices.get(kind) for kind in self.kinds)]
        return [otherwise if amount is None else max(amount, 0) for amount in said]

    def _add_up_promises(self, row: int) -> None:
        own = self.promised[row]
        for at, amount in enumerate(own):
            below = [self.promised[child][at] for child in self.children[row]]
            if amount == UNSAID and max(below, default=UNSAID) > UNSAID:
                own[at] = sum(max(part, 0) for part in below)


def _kinds(views: Iterable[ProjectView]) -> tuple[str, ...]:
    named = {kind for view in views for bounds in (view.quota, view.limit) for kind in bounds.devices}
    return ("", *sorted(named - {""}))


def _chain(row: int, views: Sequence[ProjectView], number: Mapping[str, int]) -> tuple[int, ...]:
    chain = [row]
    while (above := number.get(views[chain[-1]].parent, -1)) >= 0:
        if above in chain:
            return (row,)
        chain.append(above)
    return tuple(chain)


def _devices_all(part: str, fleet: Fleet) -> int:
    kinds = {code for code, kind in enumerate(fleet.device_kinds) if is_kind(part, kind)}
    return sum(
        total
        for row, is_up in enumerate(fleet.is_schedulable.tolist())
        if is_up
        for code, total in zip(fleet.device_kind[row].tolist(), fleet.device_total[row].tolist(), strict=True)
        if code in kinds
    )
