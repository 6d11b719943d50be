"""The nodes of a snapshot as arrays: what they have (Fleet), and what is free (Ledger)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.snapshot import NodeView
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Ledger:
    """Free amounts per node; `rows`, if given, are the only nodes on which it says anything.

    The cells are the same memory as the arrays: single reads of them are 3 times as fast. Those of the devices are one
    row after another, each `width` long.
    """

    __slots__ = ("cpu", "cpu_cells", "device_cells", "devices", "memory", "memory_cells", "rows", "width")

    def __init__(self, cpu: Ints, memory: Ints, devices: Ints, rows: frozenset[int] = frozenset()) -> None:
        self.rows = rows
        self.cpu, self.memory, self.devices = cpu, memory, devices
        self.cpu_cells, self.memory_cells = memoryview(cpu.data), memoryview(memory.data)
        self.device_cells, self.width = memoryview(devices.reshape(-1).data), devices.shape[1]

    def copy(self) -> Ledger:
        return Ledger(self.cpu.copy(), self.memory.copy(), self.devices.copy())

    def devices_of(self, node: int) -> list[int]:
        """Return what is free of each device of `node`."""
        start = node * self.width
        return self.device_cells[start : start + self.width].tolist()


@dataclass(frozen=True, slots=True)
class Pool:
    """The nodes and devices of one resource class (of several only for a gang that no single class can hold)."""

    classes: tuple[str, ...]
    nodes: Bools  # which nodes count
    rows: Ints  # the same as numbers
    place: Ints  # of each node among `rows`; -1 elsewhere
    eligible: Bools | None  # which devices of each node; None for CPU work
    columns: Sequence[tuple[int, ...]]  # the same for one node at a time
    devices_milli: int  # thousandths of all devices
    takes_device_room: bool  # CPU work on nodes with accelerators: the last resort
    makes: tuple[tuple[Make, int], ...]  # the different machines, and how many there are of each
    name: str


class Make(NamedTuple):
    """An empty machine as a pool sees it: equal machines are counted, not looked at one by one."""

    cpu_milli: int
    memory_bytes: int
    devices: tuple[int, ...]  # thousandths of each eligible device


class Fleet:
    """What the nodes have, in the order of their names: the one fixed order that breaks every tie."""

    def __init__(self, nodes: Sequence[NodeView]) -> None:
        self.nodes = tuple({node.name: node for node in sorted(nodes, key=lambda n: n.name)}.values())
        self.names = tuple(node.name for node in self.nodes)
        self.index = {name: row for row, name in enumerate(self.names)}
        self.is_schedulable = np.array([node.is_schedulable for node in self.nodes], dtype=np.bool_)
        self.cpu_total = np.array([max(node.cpu_milli, 0) for node in self.nodes], dtype=np.int64)
        self.memory_total = np.array([max(node.memory_bytes, 0) for node in self.nodes], dtype=np.int64)
        self.cpu_all = int(self.cpu_total[self.is_schedulable].sum())
        self.memory_all = int(self.memory_total[self.is_schedulable].sum())
        self.cpu_classes = tuple(sorted({node.cpu_class for node in self.nodes if node.is_schedulable}))
        codes = {name: code for code, name in enumerate(self.cpu_classes)}
        self.cpu_class = np.array([codes.get(node.cpu_class, -1) for node in self.nodes], dtype=np.int64)
        self.class_names = self._class_names()
        self.class_codes = {name: code for code, name in enumerate(self.class_names)}
        # The names' checksums mix nodes of all makes, whatever the names are; a node keeps its place when others join.
        by_checksum = sorted(range(len(self.nodes)), key=lambda row: (crc32(self.names[row].encode()), row))
        self.mixed_order = np.empty(len(self.nodes))
        self.mixed_order[by_checksum] = np.arange(len(self.nodes))
        self.no_columns: Sequence[tuple[int, ...]] = ((),) * len(self.nodes)
        self._read_devices()
        self._joined: dict[tuple[int, ...], Pool] = {}
        self._parts: dict[tuple[int, bytes], Pool] = {}
        self._device_pools: dict[tuple[str, int, int], Pool] = {}
        self._cpu_pools: dict[bool, tuple[Pool, ...]] = {}
        self._sizes: dict[str, tuple[int, int, int]] = {}

    def _class_names(self) -> list[str]:
        return sorted({n.cpu_class for n in self.nodes} | {d.kind for n in self.nodes for d in n.devices})

    def _read_devices(self) -> None:
        width = max((len(node.devices) for node in self.nodes), default=0) or 1
        everywhere = [
            (row, column, device) for row, node in enumerate(self.nodes) for column, device in enumerate(node.devices)
        ]
        self.device_kinds = tuple(sorted({d.kind for row, _, d in everywhere if self.nodes[row].is_schedulable}))
        codes = {name: code for code, name in enumerate(self.device_kinds)}
        self.device_kind = np.full((len(self.nodes), width), -1, dtype=np.int64)
        self.device_memory = np.zeros((len(self.nodes), width), dtype=np.int64)
        self.device_total = np.zeros((len(self.nodes), width), dtype=np.int64)
        self.columns: dict[tuple[int, str], int] = {}
        for row, column, device in everywhere:
            self.device_kind[row, column] = codes.get(device.kind, -1)
            self.device_memory[row, column] = device.memory_bytes
            self.device_total[row, column] = min(max(device.share_milli, 0), WHOLE_DEVICE_MILLI)
            self.columns[row, device.id] = column
        self.device_sum = self.device_total.sum(axis=1)
        self.has_devices: Bools = np.asarray((self.device_total > 0).any(axis=1))

    def ledger(self) -> Ledger:
        """Return a ledger on which everything is free."""
        return Ledger(self.cpu_total.copy(), self.memory_total.copy(), self.device_total.copy())

    def device_pool(self, kind: str, memory_min: int, memory_max: int) -> Pool:
        """Return the devices of `kind` on schedulable nodes with at least and (unless 0) at most so much memory."""
        key = (kind, memory_min, memory_max)
        if key not in self._device_pools:
            eligible = (self.device_kind == self.device_kinds.index(kind)) & (self.device_memory >= memory_min)
            eligible &= self.is_schedulable[:, None] & (self.device_total > 0)
            if memory_max:
                eligible &= self.device_memory <= memory_max
            columns = [tuple(c for c, is_in in enumerate(row) if is_in) for row in eligible.tolist()]
            self._device_pools[key] = self._pool((kind,), eligible.any(axis=1), eligible, columns)
        return self._device_pools[key]

    def cpu_pools(self, *, apart: bool) -> tuple[Pool, ...]:
        """Return a pool for each CPU class; nodes with and without accelerators `apart`, if so wished."""
        if apart not in self._cpu_pools:
            pools = []
            for code, name in enumerate(self.cpu_classes):
                members = self.is_schedulable & (self.cpu_class == code)
                for nodes in (members & ~self.has_devices, members & self.has_devices) if apart else (members,):
                    if nodes.any():
                        pools.append(self._pool((name,), nodes, None, self.no_columns))
            self._cpu_pools[apart] = tuple(pools)
        return self._cpu_pools[apart]

    def part(self, pool: Pool, nodes: Bools) -> Pool:
        """Return what of `pool`, which must be one of this fleet, is on `nodes`.

        Its shares are still reckoned of the whole class: being choosy changes nobody's place in the queue.
        """
        key = id(pool), nodes.tobytes()
        if key not in self._parts:
            eligible = None if pool.eligible is None else pool.eligible & nodes[:, None]
            columns = [own if is_in else () for own, is_in in zip(pool.columns, nodes.tolist(), strict=True)]
            part = self._pool(pool.classes, pool.nodes & nodes, eligible, columns)
            self._parts[key] = replace(part, devices_milli=pool.devices_milli)
        return self._parts[key]

    def joined(self, pools: Sequence[Pool]) -> Pool:
        """Return one pool of all of `pools`, which must be pools of this fleet."""
        key = tuple([id(pool) for pool in pools])
        if key not in self._joined:
            self._joined[key] = self._join(pools)
        return self._joined[key]

    def _join(self, pools: Sequence[Pool]) -> Pool:
        nodes = np.logical_or.reduce([pool.nodes for pool in pools])
        classes = tuple(sorted({name for pool in pools for name in pool.classes}))
        masks = [pool.eligible for pool in pools if pool.eligible is not None]
        if not masks:
            return self._pool(classes, nodes, None, self.no_columns)
        milli = sum(pool.devices_milli for pool in pools)
        columns = [tuple(sorted(sum(parts, ()))) for parts in zip(*(pool.columns for pool in pools), strict=True)]
        return replace(self._pool(classes, nodes, np.logical_or.reduce(masks), columns), devices_milli=milli)

    def _pool(
        self, classes: tuple[str, ...], nodes: Bools, eligible: Bools | None, columns: Sequence[tuple[int, ...]]
    ) -> Pool:
        makes: Counter[Make] = Counter()
        cpu, memory, totals = self.cpu_total.tolist(), self.memory_total.tolist(), self.device_total.tolist()
        for row in np.flatnonzero(nodes).tolist():
            devices = tuple([totals[row][column] for column in columns[row]])
            makes[Make(cpu[row], memory[row], devices)] += 1
        milli = 0 if eligible is None else int(self.device_total[eligible].sum())
        takes = eligible is None and bool(self.has_devices[nodes].any())
        rows = np.flatnonzero(nodes)
        place = np.full(len(nodes), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        makers = tuple(makes.items())
        return Pool(classes, nodes, rows, place, eligible, columns, milli, takes, makers, "+".join(classes))

    def class_size(self, resource_class: str) -> tuple[int, int, int]:
        """Return CPU, memory and device thousandths of the nodes that have `resource_class`."""
        if resource_class not in self._sizes:
            self._sizes[resource_class] = self._class_size(resource_class)
        return self._sizes[resource_class]

    def _class_size(self, resource_class: str) -> tuple[int, int, int]:
        if resource_class in self.device_kinds:
            pool = self.device_pool(resource_class, 0, 0)
            nodes, devices = pool.nodes, pool.devices_milli
        else:
            code = self.cpu_classes.index(resource_class) if resource_class in self.cpu_classes else -2
            nodes, devices = self.is_schedulable & (self.cpu_class == code), 0
        return int(self.cpu_total[nodes].sum()), int(self.memory_total[nodes].sum()), devices
