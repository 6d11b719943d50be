"""Which borrowed work is stopped so that a project gets what it is promised, and what a used-up budget ends."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np

from lepton_ai.kernel.scheduling.demand import Option, Shape, rooms_of
from lepton_ai.kernel.scheduling.expectation import SECONDS_MAX, WEIGHT_MAX
from lepton_ai.kernel.scheduling.fleet import Ints, Ledger
from lepton_ai.kernel.scheduling.groups import Group
from lepton_ai.kernel.scheduling.occupancy import Occupancy
from lepton_ai.kernel.scheduling.project_tree import Vector
from lepton_ai.kernel.scheduling.seats import Room, Seats, take
from lepton_ai.kernel.scheduling.shares import count, may_lose, within
from lepton_ai.kernel.scheduling.snapshot import Preemption, RunningTask, WaitingTask
from lepton_ai.kernel.scheduling.waiting import CLAIMING, Ranking, Waiting
from lepton_ai.kernel.scheduling.walk import Making

CLAIMS_MAX = 64  # so many, of those whose project is owed something, are asked whether others must make room
VICTIMS_MAX = 512  # per claim: 512 x 20 us = 10 ms


class Sharing(NamedTuple):
    """What is decided on: who waits and how they compare, what is held, and who runs."""

    waiting: Waiting
    ranking: Ranking
    occupancy: Occupancy
    running: Mapping[str, RunningTask]


def preempted(state: Sharing, making: Sequence[Making], begun: Sequence[int], now: datetime) -> tuple[Preemption, ...]:
    """Return who must stop: for a budget that is used up, or so that a project gets what it is promised.

    For the rows in `making` room is made already; the rows that have `begun` need none.
    """
    if not state.occupancy.shares.is_on:
        return ()
    gone = {victim for one in making for victim in one.exchange.victims}
    found = [one for one in used_up(state.occupancy, state.running) if one.task_id not in gone]
    if state.occupancy.held.stakes(now.timestamp()) is None:
        return tuple(found)
    claims = _claims(state, {*begun, *(one.row for one in making)})
    if claims:
        gone.update(one.task_id for one in found)
        expected = [(row, state.waiting.choices[row][0][1]) for row in _claiming(state, begun)]
        expected += [(one.row, one.exchange.choice[1]) for one in making]
        found += Reclaim(state, expected, gone, now).all(claims)
    return tuple(found)


def _claiming(state: Sharing, begun: Collection[int]) -> Iterator[int]:
    """Yield the rows for which others were stopped before, and that still wait."""
    for row in np.flatnonzero(state.ranking.key == CLAIMING).tolist():
        if row not in begun and state.waiting.choices[row]:
            yield row


def _claims(state: Sharing, busy: Collection[int]) -> Sequence[Claim]:
    waiting, ranking, shares = state.waiting, state.ranking, state.occupancy.shares
    is_owed = waiting.of_projects(shares.is_owed()) & ~waiting.in_cells(shares.is_barred)
    is_owed[list(busy)] = False
    claims = []
    for row in ranking.order(ranking.best(np.flatnonzero(is_owed), CLAIMS_MAX))[:CLAIMS_MAX]:
        task, cell, group = waiting.tasks[row], waiting.cells[row], waiting.groups[row]
        choices = () if group.never or task.has_claim else shares.allowed(cell, group, waiting.choices[row])
        if choices:
            claims.append(Claim(task, cell, group, tuple([choice[1] for choice in choices])))
    return claims


@dataclass(frozen=True, slots=True)
class Claim:
    """A waiting task that found no room, though it may start on any of `options` as far as its project goes."""

    task: WaitingTask
    cell: int
    group: Group
    options: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Borrower:
    task: RunningTask
    project: int
    charge: Vector
    loss: float


class Reclaim:
    """Works out, on copies of what is free and held, which borrowers must go for whom.

    A task is stopped only if its project keeps at least what it is promised of everything that the task holds, and so
    does each project above it up to the one that it shares with who wants its own back; and he gets no more than he is
    promised. So who was stopped has no claim to come back by the same means, and nothing swings to and fro.
    """

    def __init__(
        self, state: Sharing, expected: Iterable[tuple[int, int]], gone: Collection[str], now: datetime
    ) -> None:
        self._occupancy, self._running, self._now = state.occupancy, state.running, now
        self._shares, self._tree = self._occupancy.shares, self._occupancy.shares.tree
        self._free = self._occupancy.free.copy()
        self._usage = self._shares.left(gone)
        for row, option in expected:  # who waits for room that is being made
            charge = self._shares.charge(state.waiting.groups[row], option)
            count(self._tree, self._usage, (self._tree.number.get(state.waiting.tasks[row].project, -1), charge), 1)
        self._gone = set(gone)
        self._failed: set[int] = set()  # cells for which nothing can be done

    def all(self, claims: Iterable[Claim]) -> Iterator[Preemption]:
        """Yield what must stop for each claim, in this order of the claims; nothing for one that is no claim."""
        for claim in claims:
            if claim.cell in self._failed or not self._is_promised(claim):
                continue
            if not self._settle(claim):
                chosen = self._cheapest(claim)
                for one in chosen:
                    self._let_go(one.task.id)
                    yield self._preemption(one, claim)
                if chosen:
                    self._settle(claim)
                else:
                    self._failed.add(claim.cell)

    def _is_promised(self, claim: Claim) -> bool:
        promiser = self._tree.promiser[self._tree.number[claim.task.project]]
        charges = [self._shares.charge(claim.group, option) for option in claim.options]
        return promiser >= 0 and all(within(self._shares, promiser, charge, self._usage) for charge in charges)

    def _settle(self, claim: Claim) -> bool:
        """Give the task of `claim` room in the copies, if there is some now."""
        for number in claim.options:
            shape, pool = claim.group.shape, claim.group.options[number].pool
            spots = Seats(shape, pool, Room(self._occupancy.scorer, self._free, [])).find()
            if spots is not None:
                take(self._free, spots, shape)
                row = self._tree.number[claim.task.project]
                self._count(row, self._shares.charge(claim.group, number), 1)
                return True
        return False

    def _cheapest(self, claim: Claim) -> Sequence[_Borrower]:
        """Return the borrowers whose going costs least and makes room for the claim; none if that cannot be had."""
        best: Sequence[_Borrower] = ()
        for number in claim.options:
            option = claim.group.options[number]
            found = self._enough(claim, option, self._shares.charge(claim.group, number))
            if found and (not best or _total(found) < _total(best)):
                best = found
        return best

    def _enough(self, claim: Claim, option: Option, charge: Vector) -> Sequence[_Borrower]:
        row, shape = self._tree.number[claim.task.project], claim.group.shape
        room = _RoomMade(shape, option, self._free)
        chosen: list[_Borrower] = []
        for one in self._borrowers(row, charge, option):
            if room.is_enough():
                break
            if self._may_go(one, row):
                chosen.append(one)
                self._count(one.project, one.charge, -1)
                room.change(self._occupancy.held.of(one.task.id), 1)
        enough = room.is_enough()
        for one in reversed(list(chosen)):  # the dearest first
            room.change(self._occupancy.held.of(one.task.id), -1)
            if not enough or room.is_enough():
                chosen.remove(one)
                self._count(one.project, one.charge, 1)
            else:
                room.change(self._occupancy.held.of(one.task.id), 1)
        for one in chosen:  # they are let go for good by whoever takes this choice
            self._count(one.project, one.charge, 1)
        return chosen

    def _borrowers(self, row: int, wanted: Vector, option: Option) -> Sequence[_Borrower]:
        """Return who may be stopped and would give back some of what is wanted there, the least loss first."""
        found = []
        for task_id, (project, charge) in self._shares.held.items():
            task = self._running.get(task_id)
            if task is None or task.stake is None or task_id in self._gone or project == row:
                continue
            if not any(a and b for a, b in zip(wanted, charge, strict=True)):
                continue
            if any(option.pool.nodes[node] for node, *_ in self._occupancy.held.of(task_id)):
                one = _Borrower(task, project, charge, loss(task, self._tree.share(charge), self._now))
                if self._may_go(one, row):
                    found.append(one)
        return sorted(found, key=lambda one: (one.loss, one.task.id))[:VICTIMS_MAX]

    def _may_go(self, one: _Borrower, row: int) -> bool:
        """Tell whether the projects that `one` runs for keep what they are promised."""
        return may_lose(self._tree, self._usage, (one.project, one.charge), row)

    def _let_go(self, task_id: str) -> None:
        self._gone.add(task_id)
        project, charge = self._shares.held[task_id]
        self._count(project, charge, -1)
        for node, cpu, memory, devices in self._occupancy.held.of(task_id):
            self._free.cpu[node] += cpu
            self._free.memory[node] += memory
            self._free.devices[node] += devices

    def _count(self, row: int, charge: Vector, sign: int) -> None:
        count(self._tree, self._usage, (row, charge), sign)

    def _preemption(self, one: _Borrower, claim: Claim) -> Preemption:
        owner = self._tree.views[self._tree.promiser[self._tree.number[claim.task.project]]].name
        sentence = (
            f"makes room for '{claim.task.name}' on what project {one.task.project or 'none'} has borrowed and project "
            f"{owner} is promised"
        )
        return Preemption(one.task.id, claim.task.id, sentence, {"loss": one.loss}, for_project=owner)


class _RoomMade:
    """How many replicas of a shape fit in one pool once some tasks are gone."""

    def __init__(self, shape: Shape, option: Option, free: Ledger) -> None:
        self._shape, self._pool, self._left = shape, option.pool, free.copy()
        self._rooms = self._rooms_on(self._pool.rows)

    def is_enough(self) -> bool:
        return int(self._rooms.sum()) >= self._shape.size

    def change(self, held: Iterable[tuple[int, int, int, Ints]], sign: int) -> None:
        """Give back (1) or take again (-1) what a task holds."""
        nodes = []
        for node, cpu, memory, devices in held:
            self._left.cpu[node] += sign * cpu
            self._left.memory[node] += sign * memory
            self._left.devices[node] += sign * devices
            if self._pool.place[node] >= 0:
                nodes.append(node)
        if nodes:
            rows = np.array(sorted(set(nodes)), dtype=np.int64)
            self._rooms[self._pool.place[rows]] = self._rooms_on(rows)

    def _rooms_on(self, rows: Ints) -> Ints:
        left, eligible = self._left, self._pool.eligible
        amounts = left.cpu[rows], left.memory[rows], left.devices[rows]
        return rooms_of(self._shape, *amounts, None if eligible is None else eligible[rows])


def used_up(occupancy: Occupancy, running: Mapping[str, RunningTask]) -> Iterator[Preemption]:
    """Yield what must stop because a budget is used up: what may be preempted, and all else where it says so."""
    shares, tree = occupancy.shares, occupancy.shares.tree
    for task_id in sorted(shares.held) if any(tree.is_shut) else ():
        project, _ = shares.held[task_id]
        task = running.get(task_id)
        if project < 0 or task is None or task.is_stopping or not tree.is_shut[project]:
            continue
        shut = [tree.views[row] for row in tree.chains[project] if tree.is_spent(row)]
        if task.stake is not None or any(view.stops for view in shut):
            sentence = f"ends because project {shut[0].name} has used up {shut[0].budget_text}"
            yield Preemption(task_id, f"project/{shut[0].name}", sentence)


def loss(task: RunningTask, share: float, now: datetime) -> float:
    """Return what stopping a task throws away: weight x seconds of work x dominant share; infinite without a stake."""
    stake = task.stake
    if stake is None:
        return math.inf
    restart = stake.restart
    lost = 0.0 if restart.resumes else max((now - stake.since).total_seconds(), 0.0)
    weight = min(stake.weight, WEIGHT_MAX) if stake.weight > 0 else 0.0
    again = min(restart.seconds, SECONDS_MAX) if restart.seconds > 0 else 0.0  # NaN is not above 0
    return weight * (again + lost) * share


def _total(borrowers: Iterable[_Borrower]) -> float:
    return sum(one.loss for one in borrowers)
