"""Schedulers to compare with on a stream of gangs: orders of one queue, lengths known, nothing preempted."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.scheduling.philly import Stream
from benchmarks.scheduling.philly_replay import NODE_DEVICES, Setting, Start, devices_each

Place = tuple[int, ...]
Rank = Callable[[int], float]  # of a waiting job, by its number; the lowest goes first


@dataclass(frozen=True, slots=True)
class Rules:
    """`is_strict` stops at the first job that has no room; `reserves` keeps room for it (EASY, Lifka 1995)."""

    is_strict: bool = False
    reserves: bool = False


class Greedy:
    """Starts what fits in the order of one queue, each on the fullest nodes that hold it."""

    def __init__(self, stream: Stream, setting: Setting, rank: Rank, rules: Rules) -> None:
        self._gang, self._seconds = stream.gang.tolist(), stream.seconds.tolist()
        self._rank, self._rules = rank, rules
        self._free = [NODE_DEVICES] * setting.nodes
        self._waiting: list[tuple[float, int]] = []  # sorted
        self._running: dict[int, tuple[int, Place]] = {}  # by job: its end and its nodes

    def submitted(self, job: int, now: int) -> None:
        self._waiting.append((self._rank(job), job))
        self._waiting.sort()

    def finished(self, job: int, now: int) -> None:
        _, nodes = self._running.pop(job)
        for node in nodes:
            self._free[node] += devices_each(self._gang[job])

    def decide(self, now: int) -> Sequence[Start]:
        """Walk the queue once."""
        starts, kept, opening = [], frozenset[int](), 0
        for _, job in self._waiting:
            ends = now + self._seconds[job]
            place = self._place(job, kept if ends > opening else frozenset())
            if place is not None:
                self._running[job] = ends, place
                for node in place:
                    self._free[node] -= devices_each(self._gang[job])
                starts.append(Start(job, place))
            elif self._rules.is_strict:
                break
            elif self._rules.reserves and not kept:
                opening, kept = self._reserve(job)
        begun = {start.job for start in starts}
        self._waiting = [entry for entry in self._waiting if entry[1] not in begun] if begun else self._waiting
        return starts

    def _place(self, job: int, kept: frozenset[int]) -> Place | None:
        each = devices_each(self._gang[job])
        wanted = self._gang[job] // each
        fitting = [(free, node) for node, free in enumerate(self._free) if free >= each and node not in kept]
        return tuple(node for _, node in heapq.nsmallest(wanted, fitting)) if len(fitting) >= wanted else None

    def _reserve(self, job: int) -> tuple[int, frozenset[int]]:
        """Return when the first nodes are free for the job, and which they are."""
        each = devices_each(self._gang[job])
        free = list(self._free)
        open_since = {node: 0 for node, room in enumerate(free) if room >= each}
        for other, (end, nodes) in sorted(self._running.items(), key=lambda item: (item[1][0], item[0])):
            for node in nodes:
                free[node] += devices_each(self._gang[other])
                if free[node] >= each:
                    open_since.setdefault(node, end)
        chosen = heapq.nsmallest(self._gang[job] // each, open_since.items(), key=lambda item: (item[1], item[0]))
        return chosen[-1][1], frozenset(node for node, _ in chosen)


def baselines(stream: Stream, setting: Setting) -> Mapping[str, Callable[[], Greedy]]:
    """Return the schedulers by name. WSPT goes by device-seconds per weight (Smith 1956)."""
    length = stream.seconds.astype(float)
    cost = (length * stream.gang / stream.weight).tolist()
    lengths: Sequence[float] = length.tolist()
    make = partial(Greedy, stream, setting)
    return {
        "FIFO": lambda: make(float, Rules(is_strict=True)),
        "EASY backfill": lambda: make(float, Rules(reserves=True)),
        "SJF": lambda: make(lengths.__getitem__, Rules()),
        "WSPT": lambda: make(cost.__getitem__, Rules()),
    }
