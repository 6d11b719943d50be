"""Betters an assignment of tasks to classes by single moves and by swaps of two tasks, as long as the value rises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lepton_ai.kernel.scheduling.fleet import Ints
from lepton_ai.kernel.scheduling.held import Floats

SWAPS_MAX = 60  # a warm start needs 0 to 5; 60 x 0.2 ms bounds the worst pass
LEAST_GAIN = 1e-6  # of the largest value: below it is rounding


@dataclass(frozen=True)
class Move:
    """The task of its size that gains most, or loses least, by going from one class to another."""

    row: int
    source: int
    target: int
    size: int
    gain: float


Moves = Mapping[tuple[int, int], Sequence[Move]]


def better(value: Floats, gangs: Ints, capacity: Ints, classes: Ints) -> Ints:
    """Return `classes` after the best moves and swaps; whoever waits is on a class without limit and of no worth.

    Only the best mover of each (class, size, target) can be part of the best swap, so a step costs tasks x classes.
    """
    n, count = value.shape
    worth = np.column_stack([value, np.zeros(n)])
    where = np.where(classes < 0, count, classes)
    used = np.bincount(where, gangs, count + 1)[:count].astype(np.int64)
    free = [*(capacity - used).tolist(), int(gangs.sum())]
    least = LEAST_GAIN * max(float(value.max()), 0.0)
    for _ in range(SWAPS_MAX):
        step = _best_step(_movers(worth, gangs, where), free, least)
        for move in step:
            where[move.row] = move.target
            free[move.source] += move.size
            free[move.target] -= move.size
        if not step:
            break
    return np.where(where == count, -1, where)


def _movers(worth: Floats, gangs: Ints, where: Ints) -> Moves:
    """Return the best movers by (source, target)."""
    gain = worth - worth[np.arange(len(where)), where][:, None]
    moves = defaultdict(list)
    kinds = np.unique(where * (int(gangs.max()) + 1) + gangs)
    for source, size in (divmod(kind, int(gangs.max()) + 1) for kind in kinds.tolist()):
        rows = np.flatnonzero((where == source) & (gangs == size))
        best = gain[rows].argmax(axis=0)
        gains = gain[rows[best], np.arange(worth.shape[1])].tolist()
        for target, (at, most) in enumerate(zip(best.tolist(), gains, strict=True)):
            if target != source and most > -np.inf:
                moves[source, target].append(Move(int(rows[at]), source, target, size, most))
    return moves


def _best_step(moves: Moves, free: Sequence[int], least: float) -> tuple[Move, ...]:
    """Return the move or the pair of opposite moves that gains most and fits, or nothing."""
    best: tuple[Move, ...] = ()
    most = least
    for (source, target), there in moves.items():
        backs = moves.get((target, source), ()) if source < target else ()
        for move in there:
            if move.gain > most and free[target] >= move.size:
                best, most = (move,), move.gain
            for back in backs:
                gain, grows = move.gain + back.gain, move.size - back.size
                if gain > most and free[target] >= grows and free[source] >= -grows:
                    best, most = (move, back), gain
    return best
