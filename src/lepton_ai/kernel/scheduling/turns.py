"""Whose turn it is while projects share the machines: the order of a walk, which shifts with each task that starts."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from lepton_ai.kernel.scheduling.shares import Shares
from lepton_ai.kernel.scheduling.snapshot import Policy
from lepton_ai.kernel.scheduling.waiting import CLAIMING, STARVING, Ranking, Waiting

_Entry = tuple[float, float, str, int]  # the lowest goes first: key, moment of submission, id, project


def ranking_of(waiting: Waiting, shares: Shares, now: float, policy: Policy) -> Ranking:
    """Return how the rows compare at the moment `now`, favoured as the shares of their projects would have it."""
    if not shares.is_on:
        return waiting.ranking(now, policy)
    favours, due = shares.favours(waiting.by_project(len(shares.usage)), policy.fairness)
    return waiting.ranking(now, policy, favours, due)


class Turns:
    """The rows of a walk: first whom others were stopped for, then who is promised what it wants, then the rest.

    Among each, the highest index goes first, as the shares that the projects hold by then would have it: what a walk
    has started counts at once, or a bulk of tasks would go to whoever comes first.
    """

    def __init__(self, waiting: Waiting, ranking: Ranking, shares: Shares, fairness: float) -> None:
        self._waiting, self._ranking, self._shares, self._fairness = waiting, ranking, shares, fairness
        self._favours: dict[int, tuple[int, float]] = {-1: (0, 1.0)}  # by project, with the number of changes then

    def of(self, order: Sequence[int], is_idle: Callable[[int], bool]) -> Iterable[int]:
        """Return the rows of `order`, which is from the head of the queue, but those that are idle at their turn."""
        return self._in_turn(order, is_idle) if self._shares.is_on else order

    def _in_turn(self, order: Sequence[int], is_idle: Callable[[int], bool]) -> Iterator[int]:
        owed = self._shares.is_owed().tolist()
        cells, known = self._waiting.cells, self._shares.cells
        begun = {row for row in order if self._ranking.key[row] == CLAIMING}
        yield from (row for row in order if row in begun)
        own = [row for row in order if owed[known[cells[row]].project] and row not in begun]
        for row in self._merged(own, self._is_borrowed(is_idle)):
            begun.add(row)
            yield row
        yield from self._merged([row for row in order if row not in begun] if begun else order, is_idle)

    def _is_borrowed(self, is_idle: Callable[[int], bool]) -> Callable[[int], bool]:
        """Return what tells whether a row must wait until those who are promised what they want have had their turn."""
        waiting, borrowed = self._waiting, set[int]()  # cells; within a walk, what is promised only gets less

        def tells(row: int) -> bool:
            cell = waiting.cells[row]
            if cell in borrowed:
                return True
            if not self._shares.is_promised(cell, waiting.groups[row], waiting.choices[row]):
                borrowed.add(cell)
                return True
            return is_idle(row)

        return tells

    def _merged(self, order: Sequence[int], is_idle: Callable[[int], bool]) -> Iterator[int]:
        queues = self._queues(order)
        heap = [self._entry(queue[0], project) for project, queue in queues.items()]
        heapq.heapify(heap)
        # A walk only adds to what projects hold, and so to their keys: an entry that is old is too low at worst.
        while heap:
            project = heap[0][3]
            queue = queues[project]
            while queue and is_idle(queue[0]):
                queue.popleft()
            if not queue:
                heapq.heappop(heap)
                continue
            entry = self._entry(queue[0], project)
            if entry > heap[0]:
                heapq.heapreplace(heap, entry)
                continue
            yield queue.popleft()

    def _queues(self, order: Sequence[int]) -> dict[int, deque[int]]:
        queues: dict[int, deque[int]] = {}
        cells, known = self._waiting.cells, self._shares.cells
        for row in order:
            queues.setdefault(known[cells[row]].project, deque()).append(row)
        return queues

    def _entry(self, row: int, project: int) -> _Entry:
        ranking = self._ranking
        key = float(ranking.key[row])
        if key < STARVING:
            key *= self._favour(project) / ranking.favours[project]
        return -key, float(ranking.since[row]), ranking.tasks[row].id, project

    def _favour(self, project: int) -> float:
        known = self._favours.get(project)
        if project >= 0 and (known is None or known[0] != self._shares.changes):
            favour = self._shares.favour(project, self._ranking.due[project], self._fairness)
            known = self._favours[project] = self._shares.changes, favour
        return known[1] if known else 1.0
