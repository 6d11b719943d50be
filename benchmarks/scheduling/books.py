"""The evaluator's own books: what is free on each node, in whole numbers, and a refusal of whatever does not fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.scheduling.openb import WHOLE, Machine, Shape

GPUS_MAX = 8  # per node
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class OvercommitError(Exception):
    """A policy placed a pod where it does not fit."""


class Books:
    """Free amounts per node. Policies read the arrays, which they cannot write to; `take` and `give` change them."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.machines = tuple(machines)
        self._cpu = np.array([m.cpu_milli for m in machines], dtype=np.int64)
        self._memory = np.array([m.memory_mib for m in machines], dtype=np.int64)
        self.gpus: Ints = np.array([m.gpus for m in machines], dtype=np.int64)
        self._gpu = np.where(np.arange(GPUS_MAX) < self.gpus[:, None], WHOLE, 0).astype(np.int64)
        self.cpu, self.memory, self.gpu = _read_only(self._cpu), _read_only(self._memory), _read_only(self._gpu)
        self.cpu_total, self.memory_total = self._cpu.copy(), self._memory.copy()
        self.gpu_milli_total = int(self._gpu.sum())
        self.gpu_milli_used = 0
        self._allowed: dict[frozenset[str], Bools] = {}

    def allowed(self, shape: Shape) -> Bools:
        """Tell which nodes have a GPU model that the shape accepts; all of them for shapes without a GPU."""
        models = shape.models if shape.gpus else frozenset[str]()
        if models not in self._allowed:
            is_in = [not models or machine.model in models for machine in self.machines]
            self._allowed[models] = np.array(is_in, dtype=np.bool_)
        return self._allowed[models]

    def fits(self, shape: Shape, rows: Ints | None = None) -> Bools:
        """Tell on which of `rows` (of all nodes, if None) one pod of the shape would fit now."""
        at = slice(None) if rows is None else rows
        fits = (self._cpu[at] >= shape.cpu_milli) & (self._memory[at] >= shape.memory_mib) & self.allowed(shape)[at]
        if shape.gpus:
            fits &= (self._gpu[at] >= shape.gpu_milli).sum(axis=1) >= shape.gpus
        return np.asarray(fits)

    def take(self, shape: Shape, node: int, columns: Sequence[int]) -> None:
        """Give a pod its resources on `node`, the GPUs in `columns`.

        Raises:
            OvercommitError: it does not fit there, or these are not as many different GPUs as it asked for.
        """
        problem = self._problem(shape, node, columns)
        if problem:
            raise OvercommitError(f"Node {node} cannot take {shape} on GPUs {tuple(columns)}: {problem}.")
        self._move(shape, node, columns, -1)

    def give(self, shape: Shape, node: int, columns: Sequence[int]) -> None:
        """Take back what `take` gave."""
        self._move(shape, node, columns, 1)
        assert self._cpu[node] <= self.cpu_total[node]
        assert self._memory[node] <= self.memory_total[node]
        assert all(self._gpu[node, column] <= WHOLE for column in columns)

    def _problem(self, shape: Shape, node: int, columns: Sequence[int]) -> str:
        if self._cpu[node] < shape.cpu_milli or self._memory[node] < shape.memory_mib:
            return f"{self._cpu[node]} CPU thousandths and {self._memory[node]} MiB are free"
        if not self.allowed(shape)[node]:
            return f"its model is {self.machines[node].model}"
        if len(columns) != shape.gpus or len(set(columns)) != shape.gpus:
            return "not so many GPUs"
        if any(not 0 <= column < self.gpus[node] for column in columns):
            return f"it has {self.gpus[node]} GPUs"
        if any(self._gpu[node, column] < shape.gpu_milli for column in columns):
            return f"free thousandths of its GPUs are {self._gpu[node].tolist()}"
        return ""

    def _move(self, shape: Shape, node: int, columns: Sequence[int], sign: int) -> None:
        self._cpu[node] += sign * shape.cpu_milli
        self._memory[node] += sign * shape.memory_mib
        for column in columns:
            self._gpu[node, column] += sign * shape.gpu_milli
        self.gpu_milli_used -= sign * shape.gpu_milli_total


def _read_only(array: Ints) -> Ints:
    view = array.view()
    view.flags.writeable = False
    return view
