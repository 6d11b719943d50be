"""Baselines of the live queue: an order of the queue, and for each task in that order the node of the best score.

A task without room is passed over, as kube-scheduler does, not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from benchmarks.scheduling.books import Books, Ints
from benchmarks.scheduling.live_queue import QueuePolicy, Start, Task
from benchmarks.scheduling.openb import Shape
from benchmarks.scheduling.packing_baselines import best_fit, first_fit
from benchmarks.scheduling.score_table import Fixed, Scored, ScoreTable, tightest

Key = Callable[[Task, Books], tuple[float, ...]]  # least first
Score = Callable[[Books, Shape, Ints], Scored]


class Listed:
    """Takes the queue in the order of `key`, which does not change as tasks wait."""

    def __init__(self, key: Key, score: Score) -> None:
        self.key, self.score = key, score

    def reset(self, books: Books, sigma: float) -> None:
        self.books = books
        self.table = ScoreTable(Fixed(self.score))
        self.table.reset(books, {})
        self.queue: list[tuple[tuple[float, ...], Task]] = []
        self.nodes: dict[int, int] = {}

    def decide(self, now: float, arrived: Sequence[Task], ended: Sequence[int]) -> Iterator[Start]:
        for number in ended:
            self.table.changed(self.nodes.pop(number))
        self.queue = sorted(self.queue + [((*self.key(task, self.books), task.number), task) for task in arrived])
        full: set[Shape] = set()
        left = []
        for entry in self.queue:
            task = entry[1]
            placement = None if task.shape in full else self.table.choose(task.shape)
            if placement is None:
                full.add(task.shape)
                left.append(entry)
                continue
            self.nodes[task.number] = placement.node
            yield Start(task.number, placement)
            self.table.changed(placement.node)
        self.queue = left


def baselines() -> Mapping[str, Callable[[], QueuePolicy]]:
    """Return the policies by name, those of the research file."""
    pairs = {
        "FIFO / best-fit": (fifo, best_fit),
        "FIFO / spread": (fifo, spread),
        "strict priority / spread": (priority, spread),
        "SJF / best-fit": (shortest, best_fit),
        "WSPT / best-fit": (weighted_shortest, best_fit),
        "WSPT / first-fit": (weighted_shortest, first_fit),
    }
    return {name: partial(Listed, key, score) for name, (key, score) in pairs.items()}


def fifo(task: Task, books: Books) -> tuple[float, ...]:
    return (task.arrived,)


def priority(task: Task, books: Books) -> tuple[float, ...]:
    return -task.weight, task.arrived


def shortest(task: Task, books: Books) -> tuple[float, ...]:
    return (task.expected,)


def weighted_shortest(task: Task, books: Books) -> tuple[float, ...]:
    """Least resource time per weight first (Smith 1956); the resource is the one of which it asks the largest share."""
    gpu = task.shape.gpu_milli_total / books.gpu_milli_total
    share = max(gpu, task.shape.cpu_milli / int(books.cpu_total.sum()))
    return (share * task.expected / task.weight,)


def spread(books: Books, shape: Shape, rows: Ints) -> Scored:
    """Prefer the nodes that would be left emptiest (kube-scheduler's LeastAllocated over CPUs and GPUs)."""
    cpu = (books.cpu[rows] - shape.cpu_milli) / np.maximum(books.cpu_total[rows], 1)
    gpu = (books.gpu[rows].sum(axis=1) - shape.gpu_milli_total) / np.maximum(books.gpus[rows] * 1000, 1)
    return np.floor(100 * (cpu + gpu) / 2), tightest(books, shape, rows)
