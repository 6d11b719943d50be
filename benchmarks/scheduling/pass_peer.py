"""Plays one seeded queue twice on a virtual clock: by the product's scheduler, and by naive first-fit FIFO.

The measure is the sum of weight x completion time over all tasks, the one that the scheduler is built to make small.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import (
    Demand,
    DeviceView,
    Expectation,
    NodeView,
    RunningTask,
    Snapshot,
    WaitingTask,
)
from lepton_ai.types.resources import AcceleratorRequest, Allocation, DeviceShare

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GB = 10**9
T4, H100 = "nvidia-t4-16gb", "nvidia-h100-80gb"
TASKS = 600
SPACING_SECONDS = 8.0  # mean time between arrivals: a queue builds up, and drains after the last
ERROR_SIGMA = 0.7  # log-normal error of what the scheduler is told of a duration; FIFO needs no durations

Decide = Callable[[Snapshot], list[tuple[str, tuple[Allocation, ...]]]]


@dataclass(frozen=True)
class Arrival:
    """A task, when it comes, and how long it really runs on each class."""

    second: float
    task: WaitingTask
    seconds: dict[str, float]


def nodes() -> tuple[NodeView, ...]:
    def devices(name: str, kind: str, memory: int, count: int) -> tuple[DeviceView, ...]:
        return tuple(DeviceView(f"{name}-{i}", kind, memory * GB) for i in range(count))

    cpu = [NodeView(f"cpu-{i}", "cpu-avx2", 32_000, 128 * GB) for i in range(6)]
    slow = [NodeView(f"t4-{i}", "cpu-avx2", 32_000, 128 * GB, devices(f"t4-{i}", T4, 16, 4)) for i in range(4)]
    fast = [NodeView(f"h100-{i}", "cpu-avx2", 64_000, 512 * GB, devices(f"h-{i}", H100, 80, 4)) for i in range(2)]
    return (*cpu, *slow, *fast)


def arrivals(seed: int) -> list[Arrival]:
    rng = random.Random(seed)
    found, second = [], 0.0
    for row in range(TASKS):
        second += rng.expovariate(1 / SPACING_SECONDS)
        base, told = rng.lognormvariate(5.5, 1.3), rng.lognormvariate(0, ERROR_SIGMA)
        gain = rng.uniform(1.5, 8)
        seconds = {"": base, T4: base, H100: base / gain}
        spread = 2.718 ** (0.84 * ERROR_SIGMA)
        expected = {name: Expectation(s * told, s * told * spread, "inferred") for name, s in seconds.items()}
        submitted = NOW + timedelta(seconds=second)
        weight = rng.choices((10.0, 50.0, 90.0), (2, 6, 2))[0]
        found.append(
            Arrival(second, WaitingTask(f"t{row:04}", f"t{row}", _demand(rng), weight, submitted, expected), seconds)
        )
    return found


def play(seed: int, decide: Decide) -> float:
    """Return the sum of weight x (finish - arrival), in weighted seconds."""
    world, queue = nodes(), arrivals(seed)
    running: dict[str, RunningTask] = {}
    events = [(arrival.second, "") for arrival in queue]
    heapq.heapify(events)
    by_id = {arrival.task.id: arrival for arrival in queue}
    waiting: dict[str, WaitingTask] = {}
    total, following = 0.0, iter(queue)
    while events:
        second, ended = heapq.heappop(events)
        if ended:
            del running[ended]
        else:
            arrived = next(following).task
            waiting[arrived.id] = arrived
        now = NOW + timedelta(seconds=second)
        for task_id, held in decide(Snapshot(now, world, tuple(waiting.values()), tuple(running.values()))):
            arrival = by_id[task_id]
            real = max(arrival.seconds.get(a.resource_class, arrival.seconds[""]) for a in held)
            expected = max(_expected(arrival.task, a.resource_class).p80 for a in held)
            running[task_id] = RunningTask(task_id, arrival.task.name, held, now + timedelta(seconds=expected))
            heapq.heappush(events, (second + real, task_id))
            total += arrival.task.weight * (second + real - arrival.second)
            del waiting[task_id]
    return total


def ours(snapshot: Snapshot) -> list[tuple[str, tuple[Allocation, ...]]]:
    return [(placement.task_id, placement.allocations) for placement in schedule(snapshot).placements]


class FirstFit:
    """FIFO that skips what does not fit and takes the first node that does: the naive peer."""

    def __call__(self, snapshot: Snapshot) -> list[tuple[str, tuple[Allocation, ...]]]:
        cpu = {node.name: node.cpu_milli for node in snapshot.nodes}
        devices = {(node.name, device.id): 1000 for node in snapshot.nodes for device in node.devices}
        for busy in snapshot.running:
            for held in busy.allocations:
                _take(held, cpu, devices)
        placed = []
        for task in sorted(snapshot.waiting, key=lambda t: (t.submitted_at, t.id)):
            gang: list[Allocation] = []
            for rank in range(task.demand.size):
                spot = next((s for n in snapshot.nodes if (s := _spot(task.demand, rank, n, cpu, devices))), None)
                if spot is None:
                    break
                _take(spot, cpu, devices)
                gang.append(spot)
            if len(gang) == task.demand.size:
                placed.append((task.id, tuple(gang)))
            else:
                for spot in gang:
                    _take(spot, cpu, devices, sign=-1)
        return placed


def compare(seeds: tuple[int, ...] = (1, 2, 3)) -> None:
    """Print weighted completion time per seed, and the ratio."""
    print(
        f"{TASKS} tasks on {len(nodes())} unlike nodes, virtual clock, durations known to a factor of e^{ERROR_SIGMA}"
    )
    print(
        f"{'seed':>6} {'first-fit FIFO':>16} {'scheduler':>16} {'ratio':>7}   (sum of weight x completion time, hours)"
    )
    for seed in seeds:
        fifo, own = play(seed, FirstFit()), play(seed, ours)
        print(f"{seed:6} {fifo / 3600:16,.0f} {own / 3600:16,.0f} {fifo / own:6.2f}x")


def _demand(rng: random.Random) -> Demand:
    draw = rng.random()
    if draw < 0.5:
        return Demand(rng.choice((1, 2, 4, 8)) * 1000, 4 * GB)
    if draw < 0.85:
        share = rng.choice((250, 500, 1000, 1000))
        return Demand(4000, 16 * GB, AcceleratorRequest(kind="nvidia", share_milli=share))
    if draw < 0.95:
        return Demand(8000, 16 * GB, AcceleratorRequest(kind="nvidia", count=4))
    return Demand(16_000, 16 * GB, None, rng.choice((2, 4)))


def _expected(task: WaitingTask, resource_class: str) -> Expectation:
    return task.expectations.get(resource_class, task.expectations[""])


def _spot(
    demand: Demand, rank: int, node: NodeView, cpu: dict[str, int], devices: dict[tuple[str, str], int]
) -> Allocation | None:
    """Memory is plentiful in this world; CPU and devices are what is fought for."""
    if cpu[node.name] < demand.cpu_milli:
        return None
    wanted = demand.accelerator
    if wanted is None:
        return Allocation(rank, node.name, demand.cpu_milli, demand.memory_bytes, node.cpu_class)
    free = [d for d in node.devices if devices[node.name, d.id] >= wanted.share_milli][: wanted.count]
    if len(free) < wanted.count:
        return None
    shares = tuple(DeviceShare(device.id, wanted.share_milli) for device in free)
    return Allocation(rank, node.name, demand.cpu_milli, demand.memory_bytes, free[0].kind, shares)


def _take(held: Allocation, cpu: dict[str, int], devices: dict[tuple[str, str], int], sign: int = 1) -> None:
    cpu[held.node] -= sign * held.cpu_milli
    for share in held.devices:
        devices[held.node, share.device_id] -= sign * share.share_milli


if __name__ == "__main__":
    compare()
