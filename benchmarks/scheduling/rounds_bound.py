"""A lower bound on the weighted completion time of a batch: the interval-indexed linear program, preemption free."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from benchmarks.scheduling.gavel import Floats, Stream

INTERVALS = 100


def interval_bound(stream: Stream, capacity: tuple[int, ...], intervals: int = INTERVALS) -> float:
    """Return a lower bound in hours on the sum of weight x completion time of jobs that all wait at time zero.

    x[j, k, t] = seconds that job j runs on class k within interval t. A job does all its work, never more than the
    interval's length in it; a class gives at most its devices. C_j >= the mean time of its work + half its fastest run
    (Schulz and Skutella 2002); within an interval work counts from the interval's start, so that the bound is valid.
    """
    edges = _edges(stream, capacity, intervals)
    n = len(stream)
    jobs, classes = np.nonzero(np.isfinite(stream.seconds))
    pairs, spans = len(jobs), np.diff(edges)
    share = 1.0 / stream.seconds[jobs, classes]
    cost = ((stream.weights[jobs] * share)[:, None] * edges[None, :-1]).ravel()
    column = np.arange(pairs * intervals)
    pair, at = np.divmod(column, intervals)
    whole = sparse.csr_matrix((np.repeat(share, intervals), (jobs[pair], column)), shape=(n, len(column)))
    own = sparse.csr_matrix((np.ones(len(column)), (jobs[pair] * intervals + at, column)))
    used = sparse.csr_matrix((stream.gangs[jobs[pair]].astype(float), (classes[pair] * intervals + at, column)))
    limits = np.concatenate([np.tile(spans, n), np.outer(capacity, spans).ravel()])
    found = linprog(cost, A_ub=sparse.vstack([own, used]), b_ub=limits, A_eq=whole, b_eq=np.ones(n), method="highs-ipm")
    if found.status:
        raise RuntimeError(found.message)
    # Where nothing runs in the last interval, no limit there has a price, and still later work would only cost more.
    if found.x.reshape(pairs, intervals)[:, -1].max() > 1e-6 * spans[-1]:
        raise RuntimeError(f"{intervals} intervals end at {edges[-1]:,.0f} s, too early for this batch.")
    half = float(stream.weights @ stream.seconds.min(axis=1)) / 2.0
    return (float(found.fun) + half) / 3600.0


def _edges(stream: Stream, capacity: tuple[int, ...], intervals: int) -> Floats:
    """Return interval ends that grow by a constant factor from the shortest job's length to a time late enough."""
    fastest = stream.seconds.min(axis=1)
    horizon = 2.0 * float(fastest @ stream.gangs) / sum(capacity) + float(fastest.max())
    return np.concatenate([[0.0], np.geomspace(fastest.min(), horizon, intervals)])
