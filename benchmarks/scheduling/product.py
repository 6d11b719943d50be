"""The product's own scheduler behind the evaluators' interfaces: no copy, no constants of its own.

`Scheduler` is told what arrives and what ends, and plans; each class below translates to and fro, nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks.scheduling.books import Books
from benchmarks.scheduling.live_queue import Start, Task
from benchmarks.scheduling.openb import Machine, Shape
from benchmarks.scheduling.packing import Placement
from benchmarks.scheduling.philly import Floats, Stream
from benchmarks.scheduling.philly_replay import NODE_DEVICES, Setting, Stop, devices_each
from benchmarks.scheduling.philly_replay import Start as JobStart
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import Demand, DeviceView, Expectation, NodeView, Plan, Restart, WaitingTask
from lepton_ai.kernel.scheduling.snapshot import Placement as Placed
from lepton_ai.kernel.scheduling.statement import Z80
from lepton_ai.types.resources import AcceleratorRequest

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
MIB, GB = 2**20, 10**9


class Packer:
    """Places pods that never leave, one by one."""

    def reset(self, books: Books, typical: Mapping[Shape, float]) -> None:
        self.scheduler = Scheduler(nodes_of(books.machines))
        self.count = 0

    def choose(self, shape: Shape) -> Placement | None:
        self.count += 1
        name = f"{self.count:06}"
        expected = {"": Expectation(600.0, 600.0, "stated")}
        self.scheduler.submit(WaitingTask(name, name, demand_of(shape), 1.0, EPOCH, expected, is_service=True))
        plan = self.scheduler.plan(EPOCH)
        if plan.placements:
            return placement_of(plan.placements[0])
        self.scheduler.forget(name)
        return None

    def learn(self, shape: Shape) -> None:
        """Nothing to do: the scheduler sees what it is asked for."""

    def changed(self, node: int) -> None:
        """Nothing to do: the scheduler keeps its own books."""


class LiveQueue:
    """Serves a queue of pods that come and go."""

    def reset(self, books: Books, sigma: float) -> None:
        self.scheduler = Scheduler(nodes_of(books.machines))
        self.p80 = math.exp(Z80 * sigma)

    def decide(self, now: float, arrived: Sequence[Task], ended: Sequence[int]) -> Iterator[Start]:
        for number in ended:
            self.scheduler.forget(f"{number:06}")
        for task in arrived:
            name, demand = f"{task.number:06}", demand_of(task.shape)
            expected = {"": Expectation(task.expected, task.expected * self.p80, "stated")}
            since = EPOCH + timedelta(seconds=task.arrived)
            self.scheduler.submit(WaitingTask(name, name, demand, float(task.weight), since, expected))
        for placed in self.scheduler.plan(EPOCH + timedelta(seconds=now)).placements:
            yield Start(int(placed.task_id), placement_of(placed))


class JobReplay:
    """Runs gangs of jobs on nodes of eight devices, with `expected` seconds for each job and a spread of `sigma`.

    Where the setting lets jobs be preempted, they resume where they were, and stop at once.
    """

    def __init__(self, stream: Stream, setting: Setting, expected: Floats, sigma: float) -> None:
        self.stream, self.left, self.p80 = stream, expected.copy(), math.exp(Z80 * sigma)
        seconds = setting.restart_seconds
        self.restart = None if seconds is None else Restart(float(seconds), grace_seconds=0.0)
        self.scheduler = Scheduler(nodes_of([Machine(8_000, 8_000, NODE_DEVICES, "gpu")] * setting.nodes))
        self.waits: dict[int, WaitingTask] = {}
        self.since: dict[int, float] = {}

    def submitted(self, job: int, now: int) -> None:
        name, gang = f"{job:06}", int(self.stream.gang[job])
        each = devices_each(gang)
        demand = Demand(each * 1000, each * GB, AcceleratorRequest(kind="gpu", count=each), gang // each)
        at, weight = EPOCH + timedelta(seconds=now), float(self.stream.weight[job])
        expected = {"": self.expect(job, now)}
        self.waits[job] = WaitingTask(name, name, demand, weight, at, expected, restart=self.restart)
        self.scheduler.submit(self.waits[job])

    def expect(self, job: int, now: int) -> Expectation:
        """Return what is expected of a job that waits."""
        seconds = float(self.left[job])
        return Expectation(seconds, seconds * self.p80, "stated")

    def finished(self, job: int, now: int) -> None:
        self.scheduler.forget(f"{job:06}")

    def decide(self, now: int) -> Iterator[JobStart | Stop]:
        """Carry out one plan after the other, until nobody is preempted for anybody."""
        is_settled = False
        while not is_settled:
            plan: Plan = self.scheduler.plan(EPOCH + timedelta(seconds=now))
            for placed in plan.placements:
                job = int(placed.task_id)
                self.since[job] = now
                yield JobStart(job, tuple(int(a.node) for a in placed.allocations))
            for preemption in plan.preemptions:
                yield self.stop(int(preemption.task_id), now)
            is_settled = not plan.preemptions

    def stop(self, job: int, now: int) -> Stop:
        """Let a job wait for the rest of what was expected of it, or as long again as it is overdue."""
        left = self.left[job] - (now - self.since[job])
        self.left[job] = max(left, -left, 1.0) + (self.restart.seconds if self.restart else 0.0)
        self.waits[job] = replace(self.waits[job], expectations={"": self.expect(job, now)})
        self.scheduler.submit(self.waits[job])
        return Stop(job)


def nodes_of(machines: Sequence[Machine]) -> list[NodeView]:
    """Return the machines as nodes that are named by their number."""
    return [
        NodeView(
            f"{row:05}",
            "cpu",
            machine.cpu_milli,
            machine.memory_mib * MIB,
            tuple(DeviceView(str(column), machine.model.lower(), 16 * GB) for column in range(machine.gpus)),
        )
        for row, machine in enumerate(machines)
    ]


def demand_of(shape: Shape) -> Demand:
    """Return what a pod of that shape asks for."""
    accelerator = None
    if shape.gpus:
        kind = "|".join(sorted(model.lower() for model in shape.models))
        accelerator = AcceleratorRequest(kind=kind, count=shape.gpus, share_milli=shape.gpu_milli)
    return Demand(shape.cpu_milli, shape.memory_mib * MIB, accelerator)


def placement_of(placed: Placed) -> Placement:
    """Return the node and the columns of the GPUs that a task of one replica got."""
    allocation = placed.allocations[0]
    return Placement(int(allocation.node), tuple(int(device.device_id) for device in allocation.devices))
