"""Baselines that solve a linear program at each arrival and end: Gavel's max-min and max-sum of throughputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from benchmarks.scheduling.gavel import Floats, Ints
from benchmarks.scheduling.rounds import NONE, Queue

Program = Callable[[Queue], Floats]
RECENT = 1e-3  # rounds that a pair is taken to have had before its first, so that shares can be divided by it


def max_min(queue: Queue) -> Floats:
    """Return shares x (job, class) that make the smallest normalised speed largest (Gavel, section 4.1).

    Normalised by what an equal share of every class would give, and by gang size, as the published code does.
    """
    rates = 1.0 / queue.seconds
    equal = rates @ (queue.capacity / queue.capacity.sum())
    gain = rates / equal[:, None] * queue.gangs[:, None] / queue.weights[:, None]
    n, k = gain.shape
    floor = sparse.hstack([-_by_job(n, k).multiply(gain.reshape(1, -1)), np.ones((n, 1))])
    limits = sparse.hstack([_limits(queue), np.zeros((n + k, 1))])
    cost = np.zeros(n * k + 1)
    cost[-1] = -1.0
    bounds = np.concatenate([np.zeros(n), np.ones(n), queue.capacity])
    return _solve(cost, sparse.vstack([floor, limits]), bounds)[:-1].reshape(n, k)


def max_sum(queue: Queue) -> Floats:
    """Return shares that make the sum of speeds, each relative to the job's fastest class, largest."""
    return _worth_most(queue, queue.gangs[:, None] * queue.seconds.min(axis=1)[:, None] / queue.seconds)


class Rounds:
    """Turns shares into rounds by Gavel's mechanism: the pair furthest behind its share goes first (section 5)."""

    def __init__(self, program: Program, *, each_round: bool = False) -> None:
        self.program, self.each_round = program, each_round
        self.jobs: tuple[int, ...] = ()
        self.shares: Floats = np.zeros((0, 0))
        self.had: Floats = np.zeros((0, 0))
        self.rounds = 0

    def decide(self, queue: Queue) -> Ints:
        jobs = tuple(queue.jobs.tolist())
        if self.each_round or jobs != self.jobs:
            self.jobs, self.shares = jobs, self.program(queue)
            self.had, self.rounds = np.zeros_like(self.shares), 0
        behind = self.shares / (self.had + RECENT) * (self.rounds + 1)
        classes = _fill(queue, np.where(self.shares > 1e-6, behind, 0.0))
        placed = classes != NONE
        self.had[np.flatnonzero(placed), classes[placed]] += 1.0
        self.rounds += 1
        return classes


def _fill(queue: Queue, rank: Floats) -> Ints:
    """Give each pair its devices in the order of `rank`; what is then left goes to the fastest pairs."""
    classes = np.full(len(rank), NONE, dtype=np.int64)
    free = queue.capacity.copy()
    pace = queue.seconds.min(axis=1)[:, None] / queue.seconds
    for pair in np.lexsort((-pace.ravel(), -rank.ravel())):
        row, k = divmod(int(pair), rank.shape[1])
        if classes[row] == NONE and queue.gangs[row] <= free[k] and pace[row, k] > 0:
            classes[row] = k
            free[k] -= queue.gangs[row]
    return classes


def _worth_most(queue: Queue, value: Floats) -> Floats:
    n, k = value.shape
    bounds = np.concatenate([np.ones(n), queue.capacity])
    return _solve(-value.ravel() / value.max(), _limits(queue), bounds).reshape(n, k)


def _by_job(n: int, k: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(n * k), (np.repeat(np.arange(n), k), np.arange(n * k))), shape=(n, n * k))


def _limits(queue: Queue) -> sparse.csr_matrix:
    """Return rows: a job runs at most all the time; a class gives at most its devices."""
    n, k = queue.seconds.shape
    pairs = np.arange(n * k)
    devices = sparse.csr_matrix((np.repeat(queue.gangs, k).astype(float), (pairs % k, pairs)), shape=(k, n * k))
    return sparse.vstack([_by_job(n, k), devices]).tocsr()


def _solve(cost: Floats, rows: sparse.csr_matrix, bounds: Floats) -> Floats:
    found = linprog(cost, A_ub=rows, b_ub=bounds, method="highs")
    if found.status:
        raise RuntimeError(found.message)
    return np.asarray(found.x)
