"""Packing at saturation: pods arrive one by one until 130 % of all GPUs has been asked for, and none ever leaves.

The protocol is that of Weng et al., "Beware of Fragmentation" (ATC 2023), section 6: shuffle the pods of a mix, add
pods drawn with replacement, place each as it comes; a pod without room is lost. The figure is the share of all GPUs
that is allocated when 130 % has arrived.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from benchmarks.scheduling.books import Books
from benchmarks.scheduling.openb import Machine, Pod, Shape

OFFERED = 1.3  # times the GPUs that there are
TYPICAL_SHARE = 0.95  # of the pods: the most frequent shapes that make it up are the typical ones
MARKS = (90, 100, 110, 120, 130)  # per cent that has arrived


class Placement(NamedTuple):
    """Where one pod goes."""

    node: int
    columns: tuple[int, ...]  # of its GPUs


class Chooser(Protocol):
    """A policy: it chooses a node for one pod at a time. Nodes are numbered in one fixed random order."""

    def reset(self, books: Books, typical: Mapping[Shape, float]) -> None:
        """Start on empty nodes. `typical` is what the pods will be like, as parts of 1; a policy need not read it."""

    def learn(self, shape: Shape) -> None:
        """Take note that a pod of this shape has arrived."""

    def choose(self, shape: Shape) -> Placement | None:
        """Return where the pod goes, or None if there is no room."""

    def changed(self, node: int) -> None:
        """Take note that what is free on `node` is another amount now."""


@dataclass(frozen=True)
class Packed:
    """What came of one run. Shares are per cent of all GPUs."""

    allocated: Mapping[int, float]  # by the per cent that had arrived
    lost: Mapping[int, int]  # pods without room, by the GPUs that they asked for
    declined: int  # pods for which there was room, and the policy placed them nowhere
    seconds: float  # all decisions together
    decisions: int


def pack(machines: Sequence[Machine], pods: Sequence[Pod], chooser: Chooser, seed: int) -> Packed:
    """Run `chooser` on the mix `pods`; `seed` sets the order of the pods and of the nodes.

    Raises:
        OvercommitError: the policy placed a pod where it does not fit.
    """
    rng = np.random.default_rng(seed)
    books = Books([machines[row] for row in rng.permutation(len(machines))])
    stream = arrivals(pods, books.gpu_milli_total, rng)
    chooser.reset(books, typical_shapes(pods))
    arrived, spent, declined = 0, 0.0, 0
    lost: Counter[int] = Counter()
    levels: dict[int, list[float]] = {}
    for shape in stream:
        arrived += shape.gpu_milli_total
        began = time.perf_counter()
        chooser.learn(shape)
        placement = chooser.choose(shape)
        spent += time.perf_counter() - began
        if placement is None:
            lost[shape.gpus] += 1
            declined += bool(books.fits(shape).any())
        else:
            books.take(shape, *placement)
            chooser.changed(placement.node)
        mark = round(100 * arrived / books.gpu_milli_total)
        levels.setdefault(mark, []).append(100 * books.gpu_milli_used / books.gpu_milli_total)
    allocated = {mark: float(np.mean(levels[mark])) for mark in MARKS}
    return Packed(allocated, dict(lost), declined, spent, len(stream))


def arrivals(pods: Sequence[Pod], capacity_milli: int, rng: np.random.Generator) -> Sequence[Shape]:
    """Return the shapes in the order of their arrival: all pods, shuffled, and then pods drawn with replacement."""
    stream = [pods[row].shape for row in rng.permutation(len(pods))]
    total = sum(shape.gpu_milli_total for shape in stream)
    while True:
        shape = pods[int(rng.integers(len(pods)))].shape
        # The original compares with the thousandths of one GPU, and adds those of all; so do we.
        if total + shape.gpu_milli > OFFERED * capacity_milli:
            return stream
        total += shape.gpu_milli_total
        stream.append(shape)


def typical_shapes(pods: Sequence[Pod]) -> Mapping[Shape, float]:
    """Return the most frequent shapes (memory aside) that make up 95 % of the pods, and the part of 1 that each is."""
    counts = Counter(pod.shape._replace(memory_mib=0) for pod in pods)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0][:4], sorted(item[0].models)))
    typical: dict[Shape, float] = {}
    for shape, count in ranked:
        if sum(typical.values()) >= TYPICAL_SHARE * len(pods):
            break
        typical[shape] = float(count)
    total = sum(typical.values())
    return {shape: count / total for shape, count in typical.items()}
