"""Random worlds by seed, from whole numbers alone, so that every machine and every Python makes the same ones."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import (
    Demand,
    Expectation,
    NodeView,
    Policy,
    RunningTask,
    Snapshot,
    WaitingTask,
)
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import GB, KINDS, NOW, node

WANTED = ("", "h100", "t4", "nvidia", "tpu-v5e", "mi300")
CPU_CLASSES = ("cpu-avx2", "cpu-arm")


def policy_of(seed: int) -> Policy:
    """Return a policy with none to four reservations."""
    return Policy(reservations=seed % 5)


def snapshot_of(seed: int) -> Snapshot:
    """Return a cluster of up to 40 nodes on which an earlier queue runs, and up to 160 tasks that wait."""
    rng = Random(seed)
    nodes = tuple(_node(rng, row) for row in range(rng.randint(1, 40)))
    earlier = tuple(_task(rng, f"r{row}") for row in range(rng.randint(0, 120)))
    started = schedule(Snapshot(NOW, nodes, earlier, ()), Policy(reservations=0)).placements
    ends = (None, *(NOW + timedelta(seconds=rng.randint(-1000, 10_000)) for _ in range(20)))
    running = tuple(RunningTask(p.task_id, p.task_id, p.allocations, rng.choice(ends)) for p in started)
    waiting = tuple(_task(rng, f"t{row}") for row in range(rng.randint(0, 160)))
    return Snapshot(NOW, nodes, waiting, running)


def _node(rng: Random, row: int) -> NodeView:
    kinds = [rng.choice(KINDS)] * rng.choice((0, 0, 1, 4, 8))
    is_up = rng.randint(0, 15) > 0
    return node(f"n{row}", rng.choice((2, 8, 32)), *kinds, cpu_class=rng.choice(CPU_CLASSES), is_schedulable=is_up)


def _task(rng: Random, name: str) -> WaitingTask:
    demand = Demand(rng.choice((0, 500, 1000, 4000)), rng.randint(0, 8) * GB, _accelerator(rng), _size(rng))
    classes = rng.sample(("", *KINDS, *CPU_CLASSES), rng.randint(0, 3))
    expectations = {name: _expectation(rng) for name in classes}
    submitted = NOW - timedelta(seconds=rng.randint(-10, 100_000))
    weight = float(rng.choice((0, 1, 3, 10)))
    return WaitingTask(name, name, demand, weight, submitted, expectations, rng.randint(0, 9) == 0)


def _accelerator(rng: Random) -> AcceleratorRequest | None:
    if rng.randint(0, 1):
        return None
    share = rng.choice((1000, 1000, 250, 333, 500))
    least = rng.choice((0, 0, 0, 16, 24)) * GB
    count = rng.choice((1, 1, 2, 4)) if share == 1000 else 1
    return AcceleratorRequest(kind=rng.choice(WANTED), count=count, share_milli=share, memory_bytes_min=least)


def _size(rng: Random) -> int:
    return rng.choice((1, 1, 1, 1, 2, 3, 8))


def _expectation(rng: Random) -> Expectation:
    median = float(rng.choice((0, 1, 10, 60, 600, 3600, rng.randint(1, 20_000))))
    return Expectation(median, median * rng.choice((1, 2, 5)), "stated")
