"""A policy that scores nodes: one table of scores per shape, of which only rows that changed are scored again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.scheduling.books import Books, Floats, Ints
from benchmarks.scheduling.openb import WHOLE, Shape
from benchmarks.scheduling.packing import Placement

NOWHERE = -np.inf
# Scores of a shape on some nodes, higher is better; the columns are those of the one GPU that a sharing pod would get.
Scored = tuple[Floats, Ints]


class Scorer(Protocol):
    """Scores nodes for a shape."""

    def reset(self, books: Books, typical: Mapping[Shape, float]) -> None:
        """Start on empty nodes."""

    def learn(self, shape: Shape) -> bool:
        """Take note of an arrival; tell whether all scores given so far have become stale."""

    def score(self, books: Books, shape: Shape, rows: Ints) -> Scored:
        """Score `rows`, on all of which the shape fits."""


@dataclass
class Fixed:
    """A scorer that is no more than a function."""

    function: Callable[[Books, Shape, Ints], Scored]

    def reset(self, books: Books, typical: Mapping[Shape, float]) -> None:
        return

    def learn(self, shape: Shape) -> bool:
        return False

    def score(self, books: Books, shape: Shape, rows: Ints) -> Scored:
        return self.function(books, shape, rows)


class ScoreTable:
    """Chooses the node of the highest score, and of several such the first in the fixed order (any, if `rng` is set).

    `is_scaled` maps the scores of the nodes with room to whole numbers 0..100 before they are compared, as
    kube-scheduler's NormalizeScore does.
    """

    def __init__(self, scorer: Scorer, rng: np.random.Generator | None = None, *, is_scaled: bool = False) -> None:
        self.scorer, self.rng, self.is_scaled = scorer, rng, is_scaled

    def reset(self, books: Books, typical: Mapping[Shape, float]) -> None:
        self.books = books
        self.log: list[int] = []  # nodes in the order in which they changed
        self.tables: dict[Shape, Scored] = {}
        self.read: dict[Shape, int] = {}  # how much of the log a table has taken in
        self.scorer.reset(books, typical)

    def changed(self, node: int) -> None:
        self.log.append(node)

    def learn(self, shape: Shape) -> None:
        if self.scorer.learn(shape):
            self.tables.clear()

    def choose(self, shape: Shape) -> Placement | None:
        scores, columns = self.table(shape)
        best = scores.max()
        if best == NOWHERE:
            return None
        if self.is_scaled:
            scores = _scaled(scores)
            best = scores.max()
        node = int(scores.argmax()) if self.rng is None else int(self.rng.choice(np.flatnonzero(scores == best)))
        return Placement(node, columns_for(self.books, shape, node, int(columns[node])))

    def table(self, shape: Shape) -> Scored:
        """Return the scores of all nodes, NOWHERE for those without room."""
        count = len(self.books.machines)
        if shape not in self.tables:
            self.tables[shape] = np.full(count, NOWHERE), np.zeros(count, dtype=np.int64)
            rows = np.arange(count)
        else:
            rows = np.unique(np.array(self.log[self.read[shape] :], dtype=np.int64))
        self.read[shape] = len(self.log)
        scores, columns = self.tables[shape]
        if len(rows):
            scores[rows] = NOWHERE
            rows = rows[self.books.fits(shape, rows)]
        if len(rows):
            scores[rows], columns[rows] = self.scorer.score(self.books, shape, rows)
        return scores, columns


def columns_for(books: Books, shape: Shape, node: int, shared: int) -> tuple[int, ...]:
    """Return the GPUs that a pod gets: the column `shared` if it shares one, or the first that are whole."""
    if not shape.gpus:
        return ()
    if shape.gpu_milli < WHOLE:
        return (shared,)
    return tuple(np.flatnonzero(books.gpu[node] == WHOLE)[: shape.gpus].tolist())


def tightest(books: Books, shape: Shape, rows: Ints) -> Ints:
    """Return the column of the fullest GPU of each row on which the shape fits."""
    left = books.gpu[rows]
    return np.asarray(np.where(left >= max(shape.gpu_milli, 1), left, WHOLE + 1).argmin(axis=1))


def gpu_after(shape: Shape, gpu: Ints, column: int) -> Ints:
    """Return what is left of each row with the pod on the GPU `column`, or (if that is -1) on the first whole ones."""
    after = gpu.copy()
    if column >= 0:
        after[:, column] -= shape.gpu_milli
    elif shape.gpus:
        is_whole = gpu == WHOLE
        after[is_whole & (is_whole.cumsum(axis=1) <= shape.gpus)] = 0
    return after


def columns_to_try(shape: Shape) -> tuple[int, ...]:
    """Return the columns that a pod may get, or (-1,) if it takes whole GPUs or none."""
    return tuple(range(8)) if shape.gpus and shape.gpu_milli < WHOLE else (-1,)


def _scaled(scores: Floats) -> Floats:
    fit = scores > NOWHERE
    low, high = scores[fit].min(), scores[fit].max()
    span = max(high - low, 1e-300)
    return np.where(fit, np.floor((np.where(fit, scores, low) - low) * 100 / span), NOWHERE)
