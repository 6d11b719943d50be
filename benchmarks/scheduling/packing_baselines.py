"""Baselines of packing: random, DotProd (Tetris), BestFit, FGD, and first fit in a fixed order.

Scores are those of the artifact of "Beware of Fragmentation" (ATC 2023), whole numbers 0..100 as kube-scheduler wants
them. Its scheduler takes the first in a fixed random order of nodes among equal scores; kube-scheduler takes any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.scheduling.books import GPUS_MAX, Books, Bools, Floats, Ints
from benchmarks.scheduling.openb import Shape
from benchmarks.scheduling.packing import Chooser
from benchmarks.scheduling.score_table import Fixed, Scored, Scorer, ScoreTable, columns_to_try, gpu_after, tightest

CPU_MILLI_MOST, GPU_MILLI_MOST = 128_000, 8_000  # of any node: the artifact's constants


def baselines(seed: int) -> Mapping[str, Callable[[], Chooser]]:
    """Return the policies by name; `seed` is for those that draw lots."""

    def table(scorer: Scorer, *, is_random: bool = False, is_scaled: bool = False) -> Callable[[], Chooser]:
        return lambda: ScoreTable(scorer, np.random.default_rng(seed) if is_random else None, is_scaled=is_scaled)

    return {
        "random": table(Fixed(first_fit), is_random=True),
        "DotProd": table(Fixed(dot_product)),
        "BestFit": table(Fixed(best_fit), is_scaled=True),
        "BestFit, random ties": table(Fixed(best_fit), is_random=True, is_scaled=True),
        "first fit": table(Fixed(first_fit)),
        "FGD": table(Fragmentation()),
        "FGD, random ties": table(Fragmentation(), is_random=True),
    }


def first_fit(books: Books, shape: Shape, rows: Ints) -> Scored:
    """Score all nodes alike."""
    return np.zeros(len(rows)), tightest(books, shape, rows)


def dot_product(books: Books, shape: Shape, rows: Ints) -> Scored:
    """Prefer nodes where what is left is least along what is asked for (Tetris, SIGCOMM 2014)."""
    cpu = books.cpu[rows] / CPU_MILLI_MOST * shape.cpu_milli / CPU_MILLI_MOST
    gpu = books.gpu[rows].sum(axis=1) / GPU_MILLI_MOST * shape.gpu_milli_total / GPU_MILLI_MOST
    return np.floor(100 * (1 - (cpu + gpu) / 2)), tightest(books, shape, rows)


def best_fit(books: Books, shape: Shape, rows: Ints) -> Scored:
    """Prefer nodes that would be left with least, CPUs and GPUs weighing alike."""
    cpu = (books.cpu[rows] - shape.cpu_milli) / CPU_MILLI_MOST
    gpu = (books.gpu[rows].sum(axis=1) - shape.gpu_milli_total) / GPU_MILLI_MOST
    return np.floor(100 * (1 - (cpu + gpu) / 2)), tightest(books, shape, rows)


class Fragmentation:
    """FGD: prefer nodes where the GPU amounts that a typical pod cannot use grow least."""

    def reset(self, books: Books, typical: Mapping[Shape, float]) -> None:
        self.shapes = tuple(typical)
        self.parts = np.array(list(typical.values()))
        self.cpu = np.array([shape.cpu_milli for shape in self.shapes])
        self.gpus = np.array([shape.gpus for shape in self.shapes])
        self.gpu_milli = np.array([shape.gpu_milli for shape in self.shapes])

    def learn(self, shape: Shape) -> bool:
        return False

    def score(self, books: Books, shape: Shape, rows: Ints) -> Scored:
        allowed = np.stack([books.allowed(typical)[rows] for typical in self.shapes], axis=1)
        states = np.column_stack([books.cpu[rows], books.gpu[rows], allowed])
        states, first, back = np.unique(states, axis=0, return_index=True, return_inverse=True)
        cpu, gpu, allowed = states[:, 0], states[:, 1 : 1 + GPUS_MAX], allowed[first]
        before = self.fragment(cpu, gpu, allowed)
        best, at = np.full(len(cpu), -1.0), np.zeros(len(cpu), dtype=np.int64)
        for column in columns_to_try(shape):
            after = gpu_after(shape, gpu, column)
            grown = self.fragment(cpu - shape.cpu_milli, after, allowed) - before
            score = np.floor(100 / (1 + np.exp(grown / 1000)))
            score[(after < 0).any(axis=1)] = -1.0
            at[score > best] = column
            best = np.maximum(best, score)
        back = back.reshape(-1)
        return best[back], at[back]

    def fragment(self, cpu: Ints, gpu: Ints, allowed: Bools) -> Floats:
        """Return the GPU thousandths of each row that a typical pod cannot use, on average over the typical pods."""
        left = gpu.sum(axis=1)
        is_room = gpu[:, None, :] >= self.gpu_milli[None, :, None]
        fits = (is_room.sum(axis=2) >= self.gpus) & (cpu[:, None] >= self.cpu) & allowed & (self.gpus > 0)
        small = np.where(is_room, 0, gpu[:, None, :]).sum(axis=2)
        return np.asarray(np.where(fits, small, left[:, None]) @ self.parts)
