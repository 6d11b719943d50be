"""One scheduling pass: a snapshot in, a plan out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lepton_ai.kernel.scheduling.allocate import Ceilings, Cursor, Spot, allocations_of, cursor_for
from lepton_ai.kernel.scheduling.backlog import Backlog
from lepton_ai.kernel.scheduling.collector import paused_collector
from lepton_ai.kernel.scheduling.fleet import Fleet
from lepton_ai.kernel.scheduling.groups import Choice, Group, grouped
from lepton_ai.kernel.scheduling.occupancy import Occupancy
from lepton_ai.kernel.scheduling.order import ranked
from lepton_ai.kernel.scheduling.reasons import in_words
from lepton_ai.kernel.scheduling.reserve import Claim, Reservation, reserve
from lepton_ai.kernel.scheduling.snapshot import Placement, Plan, Policy, Refusal, Snapshot
from lepton_ai.kernel.scheduling.timeline import Opening
from lepton_ai.kernel.scheduling.waits import Blocked, Outlook, waits_of


def schedule(snapshot: Snapshot, policy: Policy = Policy()) -> Plan:  # noqa: B008 - a frozen value
    """Decide what starts now and where, and why the rest waits. Same snapshot, same plan, in whatever order it lists.

    The queue is walked once from its head (see `order`). A task takes the option on which it is expected to end first,
    be it by waiting for a faster class. The first tasks that find no room get a reservation; after that a task starts
    only if it will have ended (80th percentile) by then, or leaves what is reserved untouched.
    """
    with paused_collector():
        return _Pass(snapshot, policy).run()


_Start = tuple[Choice, list[Spot]]  # where a task could start now
_Later = tuple[Choice, float]  # where a task could start later, and after about how many seconds


class _Pass:
    """What changes while the queue is walked."""

    def __init__(self, snapshot: Snapshot, policy: Policy) -> None:
        self.snapshot, self.policy = snapshot, policy
        self.fleet = Fleet(snapshot.nodes)
        self.occupancy = Occupancy(snapshot, self.fleet)
        self.reservations = self.occupancy.reservations
        self.waiting = sorted(snapshot.waiting, key=lambda task: task.id)
        self.grouped = grouped(self.waiting, self.fleet)
        self.queue = ranked(self.waiting, self.grouped.costs, snapshot.now, policy)
        self.backlog = Backlog(self.occupancy)
        self.placements: list[Placement] = []
        self.blocked: list[Blocked] = []
        self._cursors: dict[tuple[int, int, tuple[int, ...]], Cursor] = {}
        self._whys: dict[tuple[int, int, int], str] = {}
        self._hopeless: set[int] = set()  # groups for which nothing that ends makes room
        self._full: set[int] = set()  # groups that found no room on any option, and will not in this pass
        self._ceilings = Ceilings(self.occupancy.free)

    def run(self) -> Plan:
        for rank, row in enumerate(self.queue.order, start=1):
            group = self.grouped.group_of[row]
            if group.never is not None:
                self.blocked.append(Blocked(row, rank, group.never[0], None, math.inf))
            else:
                self._consider(row, rank, group)
        outlook = Outlook(self.snapshot.now, self.waiting, self.occupancy, self.grouped, self.queue)
        return Plan(tuple(self.placements), waits_of(self.blocked, outlook))

    def _consider(self, row: int, rank: int, group: Group) -> None:
        choices = self.grouped.choices[row]
        start, passed, is_reserved = self._best_start(group, choices)
        later = self.backlog.earliest(group, choices[:passed]) if passed else None
        if start is not None and (later is None or _end(later) >= start[0][0]):
            self._place(row, rank, group, start)
            return
        reservation = None
        if len(self.reservations) < self.policy.reservations and group.number not in self._hopeless:
            exact = self._reserve(row, group, start)
            if exact is not None:
                reservation, later = exact
            elif start is not None:
                self._place(row, rank, group, start)
                return
        if later is not None:
            refusal = Refusal.RESERVED if is_reserved and start is None else Refusal.BUSY
            choice, delay = later
            self.backlog.join(group, choice[1], choice[0])
            self.blocked.append(Blocked(row, rank, refusal, choice, delay, start[0] if start else None, reservation))

    def _best_start(self, group: Group, choices: Sequence[Choice]) -> tuple[_Start | None, int, bool]:
        """Return the first option with room, how many come before it, and whether a reservation alone is in the way."""
        if group.number in self._full:
            return None, len(choices), False
        is_reserved, exhausted = False, 0
        for passed, choice in enumerate(choices):
            free = self._cursors.get((group.number, choice[1], ())) or self._first_look(group, choice[1])
            if free is None or free.at >= len(free.order):
                exhausted += 1
                continue
            # It leaves room for the reservations that it would outlast.
            mask: tuple[int, ...] = ()
            if self.reservations:
                mask = tuple([k for k, kept in enumerate(self.reservations) if choice[2] > kept.seconds])
            spots = (self._cursor(group, choice[1], mask) if mask else free).find()
            if spots is not None:
                return (choice, spots), passed, False
            is_reserved = is_reserved or bool(mask and free.find())
        if exhausted == len(choices):
            self._full.add(group.number)
        return None, len(choices), is_reserved

    def _first_look(self, group: Group, option: int) -> Cursor | None:
        """Return the search over what is free now; None if a glance tells that no node has room."""
        may_fit = self._ceilings.may_fit(group.shape, group.options[option].pool)
        return self._cursor(group, option, ()) if may_fit else None

    def _cursor(self, group: Group, option: int, mask: tuple[int, ...]) -> Cursor:
        key = (group.number, option, mask)
        cursor = self._cursors.get(key)
        if cursor is None:
            cursor = cursor_for(group.shape, group.options[option].pool, self.occupancy.room(mask))
            self._cursors[key] = cursor
        return cursor

    def _place(self, row: int, rank: int, group: Group, start: _Start) -> None:
        task, shape, (choice, spots) = self.waiting[row], group.shape, start
        self.occupancy.start(spots, shape, task.name, choice[2])
        allocations = allocations_of(spots, shape, self.fleet)
        terms = self.queue.terms(row, choice, group.options[choice[1]].share)
        terms["rank"] = float(rank)
        where = f"node {allocations[0].node}" if len(spots) == 1 else f"{len({node for node, _ in spots})} nodes"
        length = "to run until it is stopped," if task.is_service else f"about {in_words(choice[0])}"
        sentence = f"starts on {where}: {length} on {self._why(row, group, choice[1])}"
        self.placements.append(Placement(task.id, allocations, choice[0], sentence, terms))

    def _why(self, row: int, group: Group, taken: int) -> str:
        best = self.grouped.choices[row][0][1]
        why = self._whys.get((group.number, taken, best))
        if why is None:
            why = self._whys[group.number, taken, best] = _why_this(group, taken, best)
        return why

    def _reserve(self, row: int, group: Group, start: _Start | None) -> tuple[Reservation, _Later] | None:
        """Reserve the option on which the task ends first; None if nothing ends, or if starting now is as good."""
        timeline, task = self.occupancy.timeline(), self.waiting[row]
        best: tuple[_Later, Opening] | None = None
        for choice in self.grouped.choices[row]:
            opening = timeline.opening(group.shape, group.options[choice[1]].pool)
            if opening is not None and (best is None or opening.seconds + choice[0] < _end(best[0])):
                best = ((choice, opening.seconds), opening)
        if best is None:
            self._hopeless.add(group.number)
        if best is None or (start is not None and _end(best[0]) >= start[0][0]):
            return None
        choice = best[0][0]
        claim = Claim(task.id, task.name, group.shape, group.options[choice[1]].pool, choice[2])
        reservation = reserve(claim, best[1], timeline, self.fleet)
        if reservation is None:
            return None
        self.occupancy.reserve(reservation)
        return reservation, best[0]


def _end(later: _Later) -> float:
    return later[1] + later[0][0]


def _why_this(group: Group, taken: int, best: int) -> str:
    pool, classes = group.options[taken].pool, len(group.options)
    if classes == 1:
        return f"{pool.name}, the only class that fits"
    if taken == best:
        return f"{pool.name}, the best of {classes} classes that fit"
    busy = "every node without accelerators" if pool.takes_device_room else group.options[best].pool.name
    return f"{pool.name}; {busy} is busy, and waiting for it would take longer"
