"""A second turn, where only a dearer kind of device has room: whoever needs just that kind may come first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from lepton_ai.kernel.scheduling.groups import Choice, Group
from lepton_ai.kernel.scheduling.score import Scorer
from lepton_ai.kernel.scheduling.seats import Spot
from lepton_ai.kernel.scheduling.waiting import STARVING, Ranking

LITTLE = 1.001  # as dear, but for rounding


class SecondTurns:
    """Those of a walk that would start on devices that are dearer than others which would do.

    The index of a task stands for the kind on which it costs least, by the prices of `mix`; on another one it is lower
    by as much as that costs more. With that it stands in the queue once more: it still starts in this very walk if
    nobody with a higher index takes the room.
    """

    def __init__(self, ranking: Ranking, scorer: Scorer) -> None:
        self._ranking = ranking
        self._by_kind, self._by_node = scorer.prices.by_kind, scorer.price_cells
        self._key = ranking.second_turns
        self._later: list[tuple[float, float, str, int]] = []  # a heap: the highest key first
        self._is_flat = len(set(self._by_kind)) <= 1

    def merged(self, rows: Iterable[int]) -> Iterator[int]:
        """Return `rows`, which begin at the head of the queue, and between them those who were put off."""
        key, later = self._ranking.key, self._later
        for row in rows:
            while later and -later[0][0] > key[row]:
                yield heapq.heappop(later)[-1]
            yield row
        while later:
            yield heapq.heappop(later)[-1]

    def puts_off(self, row: int, group: Group, choices: Sequence[Choice], start: tuple[Choice, list[Spot]]) -> bool:
        """Tell whether the task of `row`, which could start there, has to let others go first."""
        if self._is_flat or len(group.options) == 1 or not group.shape.devices:
            return False
        first, by_kind = float(self._ranking.key[row]), self._by_kind
        if first >= STARVING:
            return False
        choice, spots = start
        here = choice[0] * max([self._by_node[node] for node, _ in spots])
        least = min([one[0] * by_kind[code] for one in choices for code in group.kinds[one[1]]])
        key = first * min(least / here, 1.0)
        if key * LITTLE >= self._key.get(row, first):
            return False
        self._key[row] = key
        heapq.heappush(self._later, (-key, float(self._ranking.since[row]), self._ranking.tasks[row].id, row))
        return True
