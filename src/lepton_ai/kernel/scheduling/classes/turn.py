"""The turn of those who take part in the decision over classes: their places in the walk, then what it left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from lepton_ai.kernel.scheduling.classes.auction import NONE
from lepton_ai.kernel.scheduling.classes.market import Market
from lepton_ai.kernel.scheduling.classes.members import Member
from lepton_ai.kernel.scheduling.classes.moves import Moves
from lepton_ai.kernel.scheduling.classes.words import preemption_of, terms, why_not
from lepton_ai.kernel.scheduling.groups import Choice
from lepton_ai.kernel.scheduling.occupancy import Occupancy
from lepton_ai.kernel.scheduling.snapshot import Preemption, Refusal, Wait
from lepton_ai.kernel.scheduling.waiting import STARVING, Ranking, Waiting
from lepton_ai.kernel.scheduling.walk import Blocked, Started, Walk


class Turn:
    """One pass. While there is nothing to decide, the walk has everybody and this has nobody.

    Otherwise it has those who take part, but for one thing: as long as others wait too, each has its place in the walk
    on the class that it was assigned, so that nobody behind it takes that room.
    """

    def __init__(self, market: Market, waiting: Waiting, ranking: Ranking, order: Sequence[int]) -> None:
        self._market, self._waiting, self._ranking, self._order = market, waiting, ranking, order
        self._has_others = market.is_open and any(
            waiting.groups[row].never is None and not self._takes_part(row) for row in order
        )
        self.preemptions: tuple[Preemption, ...] = ()
        self._begun: set[int] = set()  # rows
        self._emptying: set[int] = set()  # classes that some are to leave

    def rows(self) -> Sequence[int]:
        """Return the rows that the walk has to look at: all, as long as one that could ever start takes no part."""
        if not self._market.is_open or self._has_others:
            return self._order
        return [row for row in self._order if not self._takes_part(row)]

    def seats(self, row: int) -> Sequence[Choice] | None:
        """Return on which options a row may start or reserve in the walk; None if that is for the walk to say."""
        if not self._market.is_open or not self._takes_part(row):
            return None
        if row in self._begun:
            return ()
        member = self._market.members.all[self._waiting.tasks[row].id]
        is_starving = bool(self._ranking.key[row] >= STARVING)
        choices = [member.choices[column] for column in self._columns(member, is_starving=is_starving)]
        return [choice for choice in choices if choice is not None]

    def _columns(self, member: Member, *, is_starving: bool) -> Sequence[int]:
        """Return the classes on which a task may start or keep room in the walk, the best first."""
        assigned = self._market.assigned.get(member.id)
        if assigned is None:  # it came since the last decision
            return sorted(range(len(member.choices)), key=lambda column: member.seconds[column])
        if assigned.column == NONE and not is_starving and not self._market.can_pay(assigned):
            return ()
        if assigned.column in self._emptying:
            return (assigned.column,)  # others make room there
        return sorted(
            range(len(assigned.value)), key=lambda column: (column != assigned.column, -assigned.value[column])
        )

    def decide(self, occupancy: Occupancy) -> None:
        """Decide anew who runs on which class, if it is time to."""
        if self._market.is_open:
            self._market.reassign(occupancy.free, self._ranking.now)
            self._emptying = {member.held for member in self._market.leaving()}

    def take_promised(self, walk: Walk, occupancy: Occupancy) -> None:
        """Start those for whom others were stopped before anybody else takes their room.

        While all take part, also those who were merely assigned a class; otherwise these have their turn in the walk,
        behind whoever is before them there and keeps room.
        """
        if self._market.is_open:
            moves = Moves(self._market, occupancy.scorer, occupancy.free, self._ranking.now)
            moves.begin(only_promised=self._has_others)
            self._begin(moves, walk)

    def take(self, walk: Walk, occupancy: Occupancy, told: Collection[int]) -> None:
        """Start those who have room, and say who has to go."""
        if not self._market.is_open:
            return
        for started in walk.started:
            self._note(started)
        for victim in [name for making in walk.making for name in making.exchange.victims]:
            self._market.give_up(victim)
        kept = tuple(range(len(walk.ahead.reservations)))
        free = walk.ahead.room(kept).left
        moves = Moves(self._market, occupancy.scorer, free, self._ranking.now)
        moves.go()
        stops = moves.stops()
        self.preemptions = tuple([preemption_of(stop, self._market) for stop in stops])
        self._market.promised |= {stop.for_task.id for stop in stops}
        self._begin(moves, walk)
        for row in told:
            if row not in self._begun and self._takes_part(row):
                walk.blocked.append(self._blocked(row, walk))

    def in_words(self, waits: Sequence[Wait]) -> tuple[Wait, ...]:
        """Return the waits with the reasons of those who wait for their turn."""
        return tuple([self._in_words(wait) for wait in waits]) if self._market.is_open else tuple(waits)

    def _in_words(self, wait: Wait) -> Wait:
        numbers = terms(self._market, wait.task_id)
        if not numbers:
            return wait
        sentence = why_not(self._market, wait.task_id) or wait.sentence
        return replace(wait, sentence=sentence, terms={**wait.terms, **numbers})

    def _takes_part(self, row: int) -> bool:
        return self._market.has(self._waiting.tasks[row].id)

    def _note(self, started: Started) -> None:
        """Take note of one who started in the walk, if it takes part."""
        name = self._waiting.tasks[started.row].id
        member = self._market.members.all.get(name)
        if member is None or started.row in self._begun:
            return
        column = next(
            at for at, choice in enumerate(member.choices) if choice is not None and choice[1] == started.choice[1]
        )
        self._market.settle(name, column)
        self._market.start(name, column, self._ranking.now)
        self._begun.add(started.row)

    def _begin(self, moves: Moves, walk: Walk) -> None:
        for begin in moves.begins:
            row = self._waiting.row_of[begin.task_id]
            walk.place(row, begin.choice, begin.spots)
            self._market.start(begin.task_id, begin.column, self._ranking.now)
            self._begun.add(row)

    def _blocked(self, row: int, walk: Walk) -> Blocked:
        choice, delay = walk.backlog.earliest(row, self._waiting.groups[row], self._waiting.choices[row], decides=False)
        return Blocked(row, Refusal.BUSY, choice, delay)
