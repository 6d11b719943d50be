"""Small clusters and queues for the scheduler's tests, random ones too, and a clock that plays plans out."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import (
    Demand,
    DeviceView,
    Expectation,
    NodeView,
    Plan,
    Policy,
    Price,
    Restart,
    RunningTask,
    Snapshot,
    Wait,
    WaitingTask,
)
from lepton_ai.types.resources import AcceleratorRequest, Allocation, DeviceShare
from lepton_ai.types.where import read_where

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GB = 10**9
KINDS = ("nvidia-h100-80gb", "nvidia-t4-16gb", "tpu-v5e")


def node(name: str, cpus: int, *kinds: str, cpu_class: str = "cpu-avx2", is_schedulable: bool = True) -> NodeView:
    """A node with 4 GB per CPU and one device of each of `kinds`."""
    devices = tuple(DeviceView(f"{name}-{i}", kind, 16 * GB) for i, kind in enumerate(kinds))
    return NodeView(name, cpu_class, cpus * 1000, cpus * 4 * GB, devices, is_schedulable)


def task(
    name: str, cpus: float = 1, *, gpu: AcceleratorRequest | None = None, size: int = 1, **more: float
) -> WaitingTask:
    """A task of 1 GB that is expected to run for `seconds`; `age` is how long it waits, `weight` defaults to 1."""
    seconds = more.get("seconds", 60.0)
    expectations = {"": Expectation(seconds, more.get("p80", seconds), "stated")}
    submitted = NOW - timedelta(seconds=more.get("age", 0.0))
    demand = Demand(round(cpus * 1000), GB, gpu, size)
    return WaitingTask(name, name, demand, more.get("weight", 1.0), submitted, expectations)


def running(name: str, where: NodeView, cpus: int, *, ends_in: float | None, devices: int = 0) -> RunningTask:
    shares = tuple(DeviceShare(device.id) for device in where.devices[:devices])
    resource_class = where.devices[0].kind if devices else where.cpu_class
    held = Allocation(0, where.name, cpus * 1000, GB, resource_class, shares)
    return RunningTask(name, name, (held,), None if ends_in is None else NOW + timedelta(seconds=ends_in))


def plan_of(
    nodes: Sequence[NodeView],
    waiting: Sequence[WaitingTask],
    busy: Sequence[RunningTask] = (),
    policy: Policy = Policy(),  # noqa: B008 - a frozen value
) -> Plan:
    return schedule(Snapshot(NOW, tuple(nodes), tuple(waiting), tuple(busy)), policy)


def places(plan: Plan) -> dict[str, list[str]]:
    """Return the nodes of each placement, by task."""
    return {p.task_id: [allocation.node for allocation in p.allocations] for p in plan.placements}


def wait_of(plan: Plan, name: str) -> Wait:
    return next(wait for wait in plan.waits if wait.task_id == name)


def overcommitments(nodes: Iterable[NodeView], held: Iterable[Allocation]) -> list[str]:
    """Return every amount of which more is held than there is, reckoned without the scheduler's own code."""
    cpu: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    shares: Counter[tuple[str, str]] = Counter()
    for allocation in held:
        cpu[allocation.node] += allocation.cpu_milli
        memory[allocation.node] += allocation.memory_bytes
        for device in allocation.devices:
            shares[allocation.node, device.device_id] += device.share_milli
    known = {one.name: one for one in nodes}
    found = [f"cpu of {name}" for name, used in cpu.items() if used > known[name].cpu_milli]
    found += [f"memory of {name}" for name, used in memory.items() if used > known[name].memory_bytes]
    return found + [f"{name} {device}" for (name, device), used in shares.items() if used > 1000]


def started(plan: Plan, snapshot: Snapshot) -> tuple[RunningTask, ...]:
    """Return the placements of `plan` as tasks that run for exactly as long as the 80th percentile says."""
    names = {one.id: one.name for one in snapshot.waiting}
    return tuple(
        RunningTask(
            p.task_id,
            names[p.task_id],
            p.allocations,
            snapshot.now + timedelta(seconds=p.terms["expected_seconds_p80"]),
        )
        for p in plan.placements
    )


def play(nodes: Sequence[NodeView], queue: Sequence[tuple[float, WaitingTask]], policy: Policy) -> dict[str, float]:
    """Submit each task at its second, let it run for as long as expected, and return when each starts."""
    events = [second for second, _ in queue]
    heapq.heapify(events)
    starts: dict[str, float] = {}
    running_now: tuple[RunningTask, ...] = ()
    while events:
        second = heapq.heappop(events)
        now = NOW + timedelta(seconds=second)
        running_now = tuple(one for one in running_now if one.expected_end is not None and one.expected_end > now)
        waiting = tuple(one for at, one in queue if at <= second and one.id not in starts)
        snapshot = Snapshot(now, tuple(nodes), waiting, running_now)
        begun = started(schedule(snapshot, policy), snapshot)
        for one in begun:
            starts[one.id] = second
            heapq.heappush(events, ((one.expected_end or now) - NOW).total_seconds())
        running_now += begun
        assert not overcommitments(nodes, (held for one in running_now for held in one.allocations))
    return starts


accelerators = st.none() | st.builds(
    lambda kind, count, share: AcceleratorRequest(kind=kind, count=count if share == 1000 else 1, share_milli=share),
    st.sampled_from(["", "h100", "t4", "nvidia", "tpu-v5e", "mi300"]),
    st.integers(1, 3),
    st.sampled_from([1000, 1000, 250, 333, 500, 810]),
)

# How many replicas there are, and how many on each node.
gangs = st.integers(1, 5).map(lambda size: (size, 0)) | st.tuples(st.integers(1, 3), st.integers(1, 3)).map(
    lambda nodes_each: (nodes_each[0] * nodes_each[1], nodes_each[1])
)

odd_seconds = st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 1e12]) | st.floats(0.1, 1e5)

expectation_maps = st.dictionaries(
    st.sampled_from(["", *KINDS, "cpu-avx2", "cpu-arm"]),
    st.builds(Expectation, odd_seconds, odd_seconds, st.just("guessed")),
    max_size=3,
)


def alike(task: WaitingTask) -> WaitingTask:
    everywhere = {name: expected for name, expected in task.expectations.items() if not name or task.restart is None}
    return replace(task, expectations=everywhere)


restarts = st.none() | st.builds(Restart, odd_seconds | st.floats(0.0, 60.0), st.booleans(), st.floats(0.0, 60.0))


@st.composite
def clusters(draw: st.DrawFn) -> tuple[NodeView, ...]:
    nodes = []
    for row in range(draw(st.integers(0, 5))):
        kinds = draw(st.lists(st.sampled_from(KINDS), max_size=4))
        cpu_class = draw(st.sampled_from(["cpu-avx2", "cpu-arm"]))
        is_up = draw(st.integers(0, 5)) > 0
        nodes.append(node(f"n{row}", draw(st.integers(0, 8)), *kinds, cpu_class=cpu_class, is_schedulable=is_up))
    return tuple(nodes)


@st.composite
def queues(draw: st.DrawFn) -> tuple[WaitingTask, ...]:
    tasks = []
    for row in range(draw(st.integers(0, 12))):
        size, per_node = draw(gangs)
        amounts = draw(st.integers(0, 9)) * 500, draw(st.integers(0, 8)) * GB
        demand = Demand(*amounts, draw(accelerators), size, per_node=per_node)
        submitted = NOW - timedelta(seconds=draw(st.integers(-10, 200_000)))
        weight = draw(st.floats(0, 100) | st.sampled_from([float("nan"), -1.0, float("inf")]))
        expected, restart = draw(expectation_maps), draw(restarts)
        tasks.append(WaitingTask(f"t{row}", f"t{row}", demand, weight, submitted, expected, restart=restart))
    return tuple(tasks)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """A cluster on which some tasks of an earlier plan run, with ends that are past, due, or unknown."""
    nodes = draw(clusters())
    first = plan_of(nodes, draw(queues()))
    ends = st.none() | st.integers(-1000, 10_000).map(lambda s: NOW + timedelta(seconds=s))
    busy = tuple(RunningTask(f"r-{p.task_id}", p.task_id, p.allocations, draw(ends)) for p in first.placements)
    return Snapshot(NOW, nodes, draw(queues()), busy)


SITES = st.sampled_from([(), (("site", "a"),), (("site", "b"),), (("rack", "r"), ("site", "a"))])
PRICES = st.sampled_from([0.0, 0.0, 1.0, 2.5, 10.0])
MONEY = st.none() | st.sampled_from([-1.0, 0.0, 0.001, 0.1, 5.0, 1e6])
PLACES = st.lists(st.sampled_from(["site=a", "site=b", "site!=a", "rack=r", "rack!=r", "node=n1"]), max_size=2)


@st.composite
def labelled(draw: st.DrawFn, nodes: tuple[NodeView, ...]) -> tuple[NodeView, ...]:
    """The nodes with labels and prices."""
    return tuple(replace(one, labels=draw(SITES), price=_price(one, draw(PRICES))) for one in nodes)


def _price(of: NodeView, per_hour: float) -> Price | None:
    return Price(per_hour, of.cpu_milli, of.memory_bytes, len(of.devices)) if per_hour else None


@st.composite
def choosy(draw: st.DrawFn, tasks: tuple[WaitingTask, ...]) -> tuple[WaitingTask, ...]:
    """The tasks with conditions on where they run, on what they may cost, and on when they are due."""
    return tuple(
        replace(
            one,
            demand=replace(one.demand, where=read_where(tuple(draw(PLACES))), money=draw(MONEY)),
            due_at=draw(st.none() | st.integers(-1000, 100_000).map(lambda s: NOW + timedelta(seconds=s))),
        )
        for one in tasks
    )


@st.composite
def bounded(draw: st.DrawFn) -> Snapshot:
    """A snapshot whose nodes have labels and prices, whose tasks say where, for how much and by when."""
    snapshot = draw(snapshots())
    return replace(snapshot, nodes=draw(labelled(snapshot.nodes)), waiting=draw(choosy(snapshot.waiting)))
