"""Acts on the assignment of classes in one pass: who starts now, and who has to go so that others can start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lepton_ai.kernel.scheduling.classes.auction import NONE
from lepton_ai.kernel.scheduling.classes.floor import Floor, Spots, give
from lepton_ai.kernel.scheduling.classes.market import Market
from lepton_ai.kernel.scheduling.classes.members import Member
from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.kernel.scheduling.fleet import Fleet, Ledger
from lepton_ai.kernel.scheduling.groups import Choice
from lepton_ai.kernel.scheduling.score import Scorer
from lepton_ai.kernel.scheduling.seats import take
from lepton_ai.types.resources import Allocation


class Begin(NamedTuple):
    """A task starts now, on this option and these spots."""

    task_id: str
    column: int
    choice: Choice
    spots: Spots


class Stop(NamedTuple):
    """A running task is stopped for another, or, to move, for itself."""

    member: Member
    for_task: Member


class Claim(NamedTuple):
    """Room that a task will take once others are gone."""

    member: Member
    spots: Spots
    shape: Shape


class Moves:
    """One pass over those who take part; `free` is what nobody holds or has reserved."""

    def __init__(self, market: Market, scorer: Scorer, free: Ledger, now: float) -> None:
        self._market, self._free, self._now = market, free.copy(), now
        self._leaving = market.leaving()
        self._going = [task.allocations for _, task in sorted(market.going.items())]
        self._floor = Floor(market.members.fleet, scorer, free, self._going)
        self.begins: list[Begin] = []
        self._claims: list[Claim] = []
        self._scattered: set[tuple[int, int]] = set()  # groups and classes that have no room side by side

    def begin(self, *, only_promised: bool) -> None:
        """Let those start who were assigned a class on which there is room by now."""
        for member, column in self._keen():
            if not only_promised or member.id in self._market.promised:
                self._begin(member, column)

    def go(self) -> None:
        """Let those start, or claim room, who were assigned a class; then let others have what is left over."""
        keen = self._keen()
        unlucky = [one for one in keen if not self._begin(*one) and not self._claim(*one)]
        # Only now may others have to go: what is free, or is about to be, was not enough.
        for member in self._leaving:
            self._floor.give(_allocations(member))
        unlucky = [one for one in unlucky if not self._claim(*one) and not self._claim_over_weaker(*one)]
        self._market.admit(self._now)
        self._fill([(member.id, column) for member, _ in unlucky for column in self._by_value(member)])
        self._fill(self._market.line)

    def stops(self) -> list[Stop]:
        """Return who has to go for the claims: as few as can be, those first who lose least."""
        fleet, left = self._market.members.fleet, self._free.copy()
        for begin in self.begins:
            take(left, begin.spots, self._market.members.all[begin.task_id].group.shape)
        for allocations in self._going:
            give(left, allocations, fleet)
        leaving = sorted(self._leaving, key=lambda member: (self._loss(member), member.id))
        stops: list[Stop] = []
        for claim in self._claims:
            take(left, claim.spots, claim.shape)
            for node in dict.fromkeys(node for node, _ in claim.spots):
                stops += self._make_room(node, claim.member, leaving, left)
        moving = {claim.member.id for claim in self._claims if claim.member.held != NONE}
        return stops + [Stop(member, member) for member in leaving if member.id in moving]

    def _keen(self) -> list[tuple[Member, int]]:
        """Return those who are not where they were assigned to be, with that class; first who gains most by it."""
        all_of, assigned = self._market.members.all, self._market.assigned
        keen = [(all_of[name], assigned[name].column) for name in self._market.winners if name in all_of]
        return [(member, column) for member, column in keen if column not in (NONE, member.held)]

    def _begin(self, member: Member, column: int) -> bool:
        choice = member.choices[column]
        if member.held != NONE or choice is None:
            return False
        spots = self._floor.find(member.group, choice[1], later=False)
        if spots is None:
            return False
        self._floor.start(spots, member.group.shape)
        self.begins.append(Begin(member.id, column, choice, spots))
        return True

    def _claim(self, member: Member, column: int) -> bool:
        choice = member.choices[column]
        spots = None if choice is None else self._floor.find(member.group, choice[1], later=True)
        if spots is None:
            return False
        self._floor.claim(spots, member.group.shape)
        self._claims.append(Claim(member, spots, member.group.shape))
        return True

    def _claim_over_weaker(self, member: Member, column: int) -> bool:
        """Claim spots of those who are worth less per device there, and let these leave.

        The auction counts devices of a class; a gang that needs them side by side may find them scattered.
        """
        key, choice = (member.group.number, column), member.choices[column]
        if key in self._scattered or choice is None:
            return False
        least = self._market.assigned[member.id].per_milli(column)
        weaker = [one for one in self._keepers(column) if self._loss(one) < least]
        left = self._floor.then.left.copy()
        wider = Floor(self._market.members.fleet, self._floor.then.scorer, left, map(_allocations, weaker))
        spots = wider.find(member.group, choice[1], later=True)
        if spots is None:
            self._scattered.add(key)
            return False
        take(left, spots, member.group.shape)
        weaker.sort(key=lambda one: (self._loss(one), one.id))
        for node in dict.fromkeys(node for node, _ in spots):
            for stop in self._make_room(node, member, weaker, left):
                self._leaving.append(stop.member)
                self._floor.give(_allocations(stop.member))
                self._market.let_go(stop.member.id)
        return self._claim(member, column)

    def _keepers(self, column: int) -> list[Member]:
        """Return those who run on a class and are to stay there."""
        gone = {member.id for member in self._leaving}
        found, fixed = self._market.assigned, self._market.fixed
        return [
            member
            for name, member in self._market.members.all.items()
            if member.held == column and member.running is not None and name in found and name not in gone | fixed
        ]

    def _by_value(self, member: Member) -> list[int]:
        value = self._market.assigned[member.id].value
        return sorted(range(len(value)), key=lambda column: -value[column])

    def _fill(self, line: Iterable[tuple[str, int]]) -> None:
        """Start others where room is left, in this order of tasks and classes."""
        if self._floor.is_full():
            return
        all_of, begun = self._market.members.all, {begin.task_id for begin in self.begins}
        for name, column in line:
            member = all_of.get(name)
            if member is not None and name not in begun and self._begin(member, column):
                begun.add(name)
                self._market.settle(name, column)
                if self._floor.is_full():
                    return

    def _make_room(self, node: int, claimant: Member, leaving: list[Member], left: Ledger) -> list[Stop]:
        """Take from `leaving` those on `node` that are in the way of a claim."""
        fleet = self._market.members.fleet
        stops = []
        while (member := _in_the_way(node, leaving, left, fleet)) is not None:
            leaving.remove(member)
            give(left, _allocations(member), fleet)
            stops.append(Stop(member, claimant))
        return stops

    def _loss(self, member: Member) -> float:
        return self._market.assigned[member.id].per_milli(member.held)


def _in_the_way(node: int, leaving: Sequence[Member], left: Ledger, fleet: Fleet) -> Member | None:
    """Return the first of `leaving` that holds something on `node` of which there is too little."""
    lacks = set(np.flatnonzero(left.devices[node] < 0).tolist())
    is_short = left.cpu[node] < 0 or left.memory[node] < 0
    if not lacks and not is_short:
        return None
    name = fleet.names[node]
    for member in leaving:
        for allocation in _allocations(member):
            if allocation.node != name:
                continue
            columns = {fleet.columns.get((node, share.device_id), -1) for share in allocation.devices}
            if is_short or columns & lacks:
                return member
    return None


def _allocations(member: Member) -> Sequence[Allocation]:
    return () if member.running is None else member.running.allocations
