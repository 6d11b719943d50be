"""Random worlds that projects share, and a clock that plays out who starts, who ends, and who is stopped for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.course import started
from lepton_ai.kernel.scheduling.demand import is_kind
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import (
    Bounds,
    NodeView,
    Plan,
    Policy,
    ProjectView,
    Restart,
    RunningTask,
    Snapshot,
    Stake,
    WaitingTask,
)
from lepton_ai.types.resources import Allocation
from lepton_ai.types.share import BudgetState
from tests.unit.kernel.scheduling.worlds import GB, NOW, clusters, plan_of, queues

NAMES = ("ada", "bob", "cyd", "lab", "org")

bounds = st.builds(
    Bounds,
    st.none() | st.integers(0, 12).map(lambda n: n * 1000),
    st.none() | st.integers(0, 12).map(lambda n: n * GB),
    st.dictionaries(st.sampled_from(["", "h100", "t4"]), st.integers(0, 4).map(lambda n: n * 1000), max_size=2),
)
quotas = st.builds(
    Bounds,
    st.none() | st.integers(0, 6).map(lambda n: n * 1000),
    st.none(),
    st.dictionaries(st.sampled_from(["", "h100", "t4"]), st.integers(0, 2).map(lambda n: n * 1000), max_size=2),
)


@st.composite
def projects(draw: st.DrawFn) -> tuple[ProjectView, ...]:
    """Some projects in a tree, or in what is none: parents are unknown or go round in a circle now and then."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    views = [
        ProjectView(
            name,
            parent=draw(st.sampled_from(["", "", "lab", "org", "none"])),
            quota=draw(quotas),
            limit=draw(st.just(Bounds()) | bounds),
            weight=draw(st.sampled_from([0.5, 1.0, 3.0])),
            may_borrow=draw(st.booleans()),
            budget=draw(st.sampled_from([BudgetState.OPEN, BudgetState.OPEN, BudgetState.SOFT, BudgetState.HARD])),
            budget_text="its 5 device-hours",
            stops=draw(st.booleans()),
        )
        for name in names
    ]
    return tuple(views)


def stake(weight: float = 1.0, restart: float = 30.0) -> Stake:
    return Stake(weight, {}, NOW, NOW - timedelta(hours=1), Restart(restart))


@st.composite
def shared_queues(draw: st.DrawFn) -> tuple[WaitingTask, ...]:
    return tuple(replace(one, project=draw(st.sampled_from([*NAMES, ""]))) for one in draw(queues()))


@st.composite
def shared_snapshots(draw: st.DrawFn) -> Snapshot:
    """A cluster on which tasks of several projects run, started when nobody had bounds, and more that wait."""
    nodes, views = draw(clusters()), draw(projects())
    earlier = plan_of(nodes, draw(queues()))
    ends = st.none() | st.integers(-1000, 10_000).map(lambda s: NOW + timedelta(seconds=s))
    busy = [
        RunningTask(
            f"r-{p.task_id}",
            p.task_id,
            p.allocations,
            draw(ends),
            stake=draw(st.none() | st.just(stake())),
            project=draw(st.sampled_from([*NAMES, ""])),
        )
        for p in earlier.placements
    ]
    return Snapshot(NOW, nodes, draw(shared_queues()), tuple(busy), views)


def chain(name: str, views: Sequence[ProjectView]) -> list[str]:
    """Return the project and those above it; one in a circle stands alone. Reckoned without the scheduler's code."""
    known, found = {view.name: view for view in views}, [name]
    while (above := known[found[-1]].parent) in known and above not in found:
        found.append(above)
    return [name] if known[found[-1]].parent in found else found


def amounts(held: Iterable[Allocation], nodes: Sequence[NodeView]) -> dict[str, int]:
    """Return CPU, memory and devices by kind of `held`, in thousandths and bytes."""
    kinds = {(node.name, device.id): device.kind for node in nodes for device in node.devices}
    listed = list(held)
    devices = [(kinds[a.node, d.device_id], d.share_milli) for a in listed for d in a.devices]
    return {
        "cpu": sum(a.cpu_milli for a in listed),
        "memory": sum(a.memory_bytes for a in listed),
        **{part: sum(milli for kind, milli in devices if is_kind(part, kind)) for part in ("", "h100", "t4")},
    }


def bounded(view: Bounds) -> dict[str, int]:
    said = {"cpu": view.cpu_milli, "memory": view.memory_bytes, **view.devices}
    return {name: amount for name, amount in said.items() if amount is not None}


def used(view: ProjectView, views: Sequence[ProjectView], held: Mapping[str, list[Allocation]]) -> list[Allocation]:
    """Return all that a project holds, and those below it; `held` is by project."""
    return [
        a
        for name, some in held.items()
        if name in {v.name for v in views} and view.name in chain(name, views)
        for a in some
    ]


def held_by_project(tasks: Iterable[tuple[str, Sequence[Allocation]]]) -> dict[str, list[Allocation]]:
    found: dict[str, list[Allocation]] = {}
    for project, allocations in tasks:
        found.setdefault(project, []).extend(allocations)
    return found


def after(snapshot: Snapshot, plan: Plan, *, stakes: Stake | None = None) -> Snapshot:
    """Return the world once `plan` is carried out and whoever was stopped is gone and waits again."""
    waiting = {one.id: one for one in snapshot.waiting}
    gone = {one.task_id for one in plan.preemptions}
    begun = [
        replace(started(waiting.pop(p.task_id), p, snapshot.now), stake=stakes, expected_end=None)
        for p in plan.placements
    ]
    back = [_again(one) for one in snapshot.running if one.id in gone]
    claims = {one.for_task for one in plan.preemptions}
    return replace(
        snapshot,
        waiting=(*(replace(one, has_claim=one.has_claim or one.id in claims) for one in waiting.values()), *back),
        running=(*(one for one in snapshot.running if one.id not in gone), *begun),
    )


def _again(task: RunningTask) -> WaitingTask:
    assert task.demand is not None
    return WaitingTask(task.id, task.name, task.demand, 1.0, NOW - timedelta(hours=2), {}, project=task.project)


def settle(snapshot: Snapshot, rounds: int, policy: Policy) -> tuple[list[Plan], Snapshot]:
    """Plan again and again, everything being carried out at once and nothing ending by itself."""
    plans = []
    for _ in range(rounds):
        plans.append(schedule(snapshot, policy))
        snapshot = after(snapshot, plans[-1], stakes=stake())
    return plans, snapshot
