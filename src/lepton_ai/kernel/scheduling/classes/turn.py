"""The turn of those who take part in the decision over classes, in a plan: after the walk, with what it left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from lepton_ai.kernel.scheduling.classes.market import Market
from lepton_ai.kernel.scheduling.classes.moves import Moves
from lepton_ai.kernel.scheduling.classes.words import preemption_of, terms, why_not
from lepton_ai.kernel.scheduling.occupancy import Occupancy
from lepton_ai.kernel.scheduling.snapshot import Preemption, Refusal, Wait
from lepton_ai.kernel.scheduling.waiting import Ranking, Waiting
from lepton_ai.kernel.scheduling.walk import Blocked, Walk


class Turn:
    """One pass. While there is nothing to decide, the walk has everybody and this has nobody."""

    def __init__(self, market: Market, waiting: Waiting, ranking: Ranking) -> None:
        self._market, self._waiting, self._ranking = market, waiting, ranking
        self.preemptions: tuple[Preemption, ...] = ()
        self._begun: set[int] = set()  # rows

    def others(self, rows: Sequence[int]) -> Sequence[int]:
        """Return the rows that the walk has to look at."""
        if not self._market.is_open:
            return rows
        return [row for row in rows if not self._market.has(self._waiting.tasks[row].id)]

    def take_promised(self, walk: Walk, occupancy: Occupancy) -> None:
        """Start those for whom others were stopped before anybody else takes their room."""
        if self._market.is_open:
            moves = Moves(self._market, occupancy.scorer, occupancy.free, self._ranking.now)
            moves.begin()
            self._begin(moves, walk)

    def take(self, walk: Walk, occupancy: Occupancy, told: Collection[int]) -> None:
        """Decide, if it is time to; start those who have room, and say who has to go."""
        if not self._market.is_open:
            return
        for victim in [name for making in walk.making for name in making.exchange.victims]:
            self._market.give_up(victim)
        kept = tuple(range(len(walk.ahead.reservations)))
        free = walk.ahead.room(kept).left
        self._market.reassign(free, self._ranking.now)
        moves = Moves(self._market, occupancy.scorer, free, self._ranking.now)
        moves.go()
        self.preemptions = tuple([preemption_of(stop, self._market) for stop in moves.stops()])
        self._begin(moves, walk)
        for row in told:
            if row not in self._begun and self._market.has(self._waiting.tasks[row].id):
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

    def _begin(self, moves: Moves, walk: Walk) -> None:
        for begin in moves.begins:
            row = self._waiting.row_of[begin.task_id]
            walk.place(row, begin.choice, begin.spots)
            self._market.start(begin.task_id, begin.column, self._ranking.now)
            self._begun.add(row)

    def _blocked(self, row: int, walk: Walk) -> Blocked:
        choice, delay = walk.backlog.earliest(row, self._waiting.groups[row], self._waiting.choices[row], decides=False)
        return Blocked(row, Refusal.BUSY, choice, delay)
