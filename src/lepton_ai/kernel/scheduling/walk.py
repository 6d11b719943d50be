"""One walk along the queue: who starts where, who keeps room for later, and who waits."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple

from lepton_ai.kernel.scheduling.backlog import Backlog
from lepton_ai.kernel.scheduling.groups import Choice, Group
from lepton_ai.kernel.scheduling.occupancy import Ahead, Occupancy
from lepton_ai.kernel.scheduling.preempt import Exchange, Victims, Wanted
from lepton_ai.kernel.scheduling.reserve import Claim, Reservation, reserve
from lepton_ai.kernel.scheduling.seats import Ceilings, Seats, Spot, allocations_of
from lepton_ai.kernel.scheduling.second_turn import SecondTurns
from lepton_ai.kernel.scheduling.snapshot import Refusal
from lepton_ai.kernel.scheduling.timeline import Opening
from lepton_ai.kernel.scheduling.waiting import Ranking, Waiting
from lepton_ai.types.resources import Allocation

HEAD_ROWS = 64  # so many at the head, of those that cannot start, may reserve room or have others stopped
SOON_MAX_SECONDS = 120.0  # longer than most take to stop; whoever was stopped for it may have failed to do so

_Start = tuple[Choice, list[Spot]]  # where a task could start now
_Assigned = Callable[[int], Sequence[Choice] | None]  # by row: the options that somebody else decided on, if any
_Later = tuple[Choice, float]  # where a task could start later, and after about how many seconds


class Started(NamedTuple):
    """A task that starts now."""

    row: int
    choice: Choice
    allocations: tuple[Allocation, ...]


class Blocked(NamedTuple):
    """A task that does not start, as the walk left it. `could` is the slower option that it declined."""

    row: int
    refusal: Refusal
    choice: Choice | None  # the option that it waits for; None if the cluster could never hold it
    delay: float
    could: Choice | None = None
    reservation: Reservation | None = None


class _Found(NamedTuple):
    start: _Start | None
    passed: int  # options that come before it
    is_reserved: bool  # a reservation alone is in the way on one of them
    is_full: bool  # on none of them is there any room


class Making(NamedTuple):
    """Room is being made for the task of `row`: others are stopped."""

    row: int
    exchange: Exchange


class Walk:
    """What changes while the queue is walked once, from its head."""

    def __init__(self, waiting: Waiting, ranking: Ranking, occupancy: Occupancy, victims: Victims) -> None:
        self._waiting, self._ranking, self._now = waiting, ranking, ranking.now
        self._occupancy, self._victims, self._policy = occupancy, victims, victims.policy
        self.ahead = Ahead(occupancy, ranking.now)
        self.backlog = Backlog(waiting, ranking, occupancy, self.ahead)
        self.started: list[Started] = []
        self.blocked: list[Blocked] = []
        self.making: list[Making] = []
        self._behind = 0  # how many could not start, or would rather not
        self.full: set[int] = set()  # numbers of groups that found no room on any option
        self._held_back: dict[int, float] = {}  # by group: whoever would run for longer has no room beside reservations
        self._masked: dict[tuple[int, int, tuple[int, ...]], Seats] = {}
        self._ceilings = Ceilings(occupancy.free)
        self._shares = occupancy.shares
        self._second = SecondTurns(ranking, occupancy.scorer)
        self._hopeless: set[int] = set()  # groups for which nothing that ends makes room

    def go(self, rows: Iterable[int], told: Container[int], seats: _Assigned) -> None:
        """Consider `rows` in this order; those who are `told` why they wait get into `blocked`.

        Some are assigned their options by somebody else (`seats`), who also says why they wait.
        """
        groups, full = self._waiting.groups, self.full
        # Among projects it is their shares that settle whose turn it is.
        for row in rows if self._shares.is_on else self._second.merged(rows):
            group = groups[row]
            if group.never is not None:
                if row in told:
                    self.blocked.append(Blocked(row, group.never[0], None, math.inf))
            elif row in told or self.is_head or (group.number not in full and not self._is_held_back(row, group)):
                assigned = seats(row)
                if assigned is None:
                    self._consider(row, group, is_told=row in told)
                else:
                    self._seat(row, group, assigned)

    def is_idle(self, row: int, told: Container[int]) -> bool:
        """Tell whether nothing would come of a look at a row, by what this walk has seen."""
        group = self._waiting.groups[row]
        if row in told or group.never is not None:
            return False
        is_barred = bool(self._shares.is_barred[self._waiting.cells[row]])
        return is_barred or (group.number in self.full and not self.is_head)

    @property
    def is_head(self) -> bool:
        """Tell whether the next task that finds no room may get a reservation, or others stopped for it."""
        return self._behind < HEAD_ROWS and (self._may_reserve or self._victims.exist)

    @property
    def _may_reserve(self) -> bool:
        return self._behind <= HEAD_ROWS and len(self.ahead.reservations) < self._policy.reservations

    def place(self, row: int, choice: Choice, spots: Sequence[Spot]) -> None:
        """Start a task where somebody else decided that it starts; there must be room."""
        self._place(row, self._waiting.groups[row], (choice, list(spots)))

    def _seat(self, row: int, group: Group, choices: Sequence[Choice]) -> None:
        """Start a task on one of the options that it was assigned, or keep room there for it."""
        if not choices:
            return
        start = self._best_start(group, choices).start
        if start is not None:
            self._place(row, group, start)
            return
        self._behind += 1
        if self._may_reserve and group.number not in self._hopeless:
            self._reserve(row, group, choices, None)

    def _consider(self, row: int, group: Group, *, is_told: bool) -> None:
        choices = offered = self._waiting.choices[row]
        if self._shares.is_on:
            cell = self._waiting.cells[row]
            choices = self._shares.allowed(cell, group, offered)
            if not choices:
                if is_told:
                    self.blocked.append(Blocked(row, self._shares.refusal(cell), None, math.inf))
                return
        found = start, passed, is_reserved, _ = self._best_start(group, choices)
        self._note(group, choices, found, is_all=choices is offered)
        if start is not None and not self._shares.is_on and self._second.puts_off(row, group, choices, start):
            return
        later = None
        if passed and (is_told or start is not None):
            later = self.backlog.earliest(row, group, choices[:passed], decides=start is not None)
        if start is not None and (later is None or _end(later) >= start[0][0]):
            self._place(row, group, start)
            return
        reservation = None
        self._behind += 1
        is_made = start is None and self._make_room(row, group, choices)
        if (self._may_reserve or is_made) and group.number not in self._hopeless:
            exact = self._reserve(row, group, choices, start)
            if exact is not None:
                reservation, later = exact
            elif start is not None:
                self._place(row, group, start)
                return
        if later is not None and is_told:
            refusal = Refusal.RESERVED if is_reserved and start is None else Refusal.BUSY
            choice, delay = later
            self.blocked.append(Blocked(row, refusal, choice, delay, start[0] if start else None, reservation))

    def _make_room(self, row: int, group: Group, choices: Sequence[Choice]) -> bool:
        """Let others be stopped for the task of `row` if that pays; from then on their room is expected soon."""
        task, ranking = self._waiting.tasks[row], self._ranking
        if not self._victims.exist or self._behind > HEAD_ROWS or (task.has_claim and self._opens_soon(row, group)):
            return False
        weight, index = float(ranking.weight[row]), float(ranking.index[row] / ranking.age[row])
        exchange = self._victims.for_(Wanted(group, choices, weight, index, task.project))
        if exchange is None:
            return False
        self.making.append(Making(row, exchange))
        self.ahead.expect_soon(exchange.victims)
        self._hopeless.discard(group.number)
        return True

    def _opens_soon(self, row: int, group: Group) -> bool:
        """Tell whether there will be room shortly, as there is once those were told to stop who make room."""
        timeline = self.ahead.timeline()
        pools = [group.options[choice[1]].pool for choice in self._waiting.choices[row]]
        openings = [timeline.opening(group.shape, pool) for pool in pools]
        return any(opening is not None and opening.seconds <= SOON_MAX_SECONDS for opening in openings)

    def _is_held_back(self, row: int, group: Group) -> bool:
        """Tell whether one of its shape failed before for reservations alone, although it would have ended sooner."""
        limit = self._held_back.get(group.number)
        return limit is not None and min([choice[2] for choice in self._waiting.choices[row]]) >= limit

    def _best_start(self, group: Group, choices: Sequence[Choice]) -> _Found:
        """Return the first option with room, how many come before it, and what is in the way of these."""
        if group.number in self.full:
            return _Found(None, len(choices), is_reserved=False, is_full=True)
        is_reserved, exhausted = False, 0
        for passed, choice in enumerate(choices):
            pool = group.options[choice[1]].pool
            if not self._ceilings.may_fit(group.shape, pool):
                exhausted += 1
                continue
            seats = self._occupancy.seats.of((group.number, choice[1]), group.shape, pool)
            # It leaves room for the reservations that it would outlast.
            mask: tuple[int, ...] = ()
            if self.ahead.reservations:
                mask = tuple([k for k, kept in enumerate(self.ahead.reservations) if choice[2] > kept.seconds])
            spots = seats.find() if not mask else self._masked_seats(group, choice[1], mask).find()
            if spots is not None:
                return _Found((choice, spots), passed, is_reserved=False, is_full=False)
            if mask and seats.has_room():
                is_reserved = True
            else:
                exhausted += 1
        return _Found(None, len(choices), is_reserved, exhausted == len(choices))

    def _note(self, group: Group, choices: Sequence[Choice], found: _Found, *, is_all: bool) -> None:
        """Remember what keeps those of a shape from starting, so that the next of them need not be looked at."""
        if found.is_full and is_all:  # other projects may have less to choose from
            self.full.add(group.number)
        elif found.is_reserved and not found.is_full:
            longest = max([choice[2] for choice in choices])
            self._held_back[group.number] = min(longest, self._held_back.get(group.number, math.inf))

    def _masked_seats(self, group: Group, option: int, mask: tuple[int, ...]) -> Seats:
        key = (group.number, option, mask)
        seats = self._masked.get(key)
        if seats is None:
            seats = self._masked[key] = Seats(group.shape, group.options[option].pool, self.ahead.room(mask))
        return seats

    def _place(self, row: int, group: Group, start: _Start) -> None:
        task, (choice, spots) = self._waiting.tasks[row], start
        allocations = allocations_of(spots, group.shape, self._occupancy.fleet)
        end = math.inf if task.is_service else self._now + choice[2]
        self._occupancy.hold((task.id, task.name), allocations, end)
        self._shares.hold(task.id, task.project, allocations)
        self.ahead.start(spots, group.shape, choice[2])
        self.backlog.start(row)
        self.started.append(Started(row, choice, allocations))

    def _reserve(
        self, row: int, group: Group, choices: Sequence[Choice], start: _Start | None
    ) -> tuple[Reservation, _Later] | None:
        """Reserve the option on which the task ends first; None if nothing ends, or if starting now is as good."""
        timeline, task = self.ahead.timeline(), self._waiting.tasks[row]
        best: tuple[_Later, Opening] | None = None
        for choice in choices:
            opening = timeline.opening(group.shape, group.options[choice[1]].pool)
            if opening is not None and (best is None or opening.seconds + choice[0] < _end(best[0])):
                best = ((choice, opening.seconds), opening)
        if best is None and choices is self._waiting.choices[row]:
            self._hopeless.add(group.number)
        if best is None or (start is not None and _end(best[0]) >= start[0][0]):
            return None
        choice = best[0][0]
        claim = Claim(task.id, task.name, group.shape, group.options[choice[1]].pool, choice[2])
        reservation = reserve(claim, best[1], timeline, (self._occupancy.fleet, self._occupancy.scorer))
        if reservation is None:
            return None
        self.ahead.reserve(reservation)
        return reservation, best[0]


def _end(later: _Later) -> float:
    return later[1] + later[0][0]
