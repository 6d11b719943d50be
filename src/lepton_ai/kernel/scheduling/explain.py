"""Explains one task: which classes and nodes it could have, what each lacks, when it may start, and the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from lepton_ai.errors import NotFound
from lepton_ai.kernel.scheduling.amounts import needs
from lepton_ai.kernel.scheduling.demand import Option, Shape, is_kind, options_of, rooms_of
from lepton_ai.kernel.scheduling.expectation import expectation_on
from lepton_ai.kernel.scheduling.fleet import Bools, Fleet, Ledger, Pool
from lepton_ai.kernel.scheduling.groups import Groups
from lepton_ai.kernel.scheduling.occupancy import Ahead, Occupancy
from lepton_ai.kernel.scheduling.places import nodes_where
from lepton_ai.kernel.scheduling.reasons import counted_lacks, shortage
from lepton_ai.kernel.scheduling.snapshot import Placement, Plan, RunningTask, Snapshot, Wait, WaitingTask
from lepton_ai.kernel.scheduling.timeline import Timeline
from lepton_ai.types.base import Reason
from lepton_ai.types.explanation import Candidate, CountedReason, Explanation, NodeVerdict, Standing

BEST_NODES_MAX = 3  # nodes shown per class
EARLY_SHARE = 0.5  # ends are 80th percentiles; half of the wait is as good an early guess as the quantiles allow


def explain(task_id: str, snapshot: Snapshot, plan: Plan) -> Explanation:
    """Return why `task_id` waits, starts or runs, as `plan` (made from `snapshot`) decided.

    For a task that runs, `plan` may carry the placement that was stored when it started: its sentence and terms are
    what was true then. Raises NotFound for a task that the snapshot does not hold.
    """
    placement = next((p for p in plan.placements if p.task_id == task_id), None)
    running = next((task for task in snapshot.running if task.id == task_id), None)
    if running is not None:
        return _running(running, placement, snapshot)
    task = next((task for task in snapshot.waiting if task.id == task_id), None)
    wait = next((w for w in plan.waits if w.task_id == task_id), None)
    if task is None or (placement is None and wait is None):
        known = len(snapshot.waiting) + len(snapshot.running)
        raise NotFound(
            f"The scheduler holds no task {task_id!r} among {known} that wait or run.",
            hint="A finished task is explained by its events: lepton event list.",
        )
    if placement is not None:
        return _starting(task, placement, _World.of(snapshot, Plan()))
    assert wait is not None
    return _waiting(task, wait, _World.of(snapshot, plan))


@dataclass(frozen=True, slots=True)
class _World:
    """The snapshot as arrays: what is free once `plan` has started, and what will be."""

    snapshot: Snapshot
    fleet: Fleet
    free: Ledger
    timeline: Timeline

    @classmethod
    def of(cls, snapshot: Snapshot, plan: Plan) -> _World:
        fleet = Fleet(snapshot.nodes)
        occupancy, now = Occupancy(fleet), snapshot.now.timestamp()
        for task in snapshot.running:
            end = math.inf if task.expected_end is None else task.expected_end.timestamp()
            occupancy.hold((task.id, task.name), task.allocations, end)
        names = {task.id: task.name for task in snapshot.waiting}
        for start in plan.placements:
            seconds = start.terms.get("expected_seconds_p80", start.expected_seconds)
            occupancy.hold((start.task_id, names.get(start.task_id, "")), start.allocations, now + seconds)
        return cls(snapshot, fleet, occupancy.free, Ahead(occupancy, now).timeline())


def _running(task: RunningTask, placement: Placement | None, snapshot: Snapshot) -> Explanation:
    nodes = tuple(sorted({allocation.node for allocation in task.allocations}))
    where = f"runs on {', '.join(nodes[:BEST_NODES_MAX])}" + (" and others" if len(nodes) > BEST_NODES_MAX else "")
    return Explanation(
        task_id=task.id,
        name=task.name,
        standing=Standing.RUNNING,
        reason=Reason(code="placed", sentence=placement.sentence if placement else where),
        queue_length=len(snapshot.waiting),
        nodes=nodes,
        resource_class=task.allocations[0].resource_class if task.allocations else "",
        expected_end=task.expected_end,
        terms=placement.terms if placement else {},
    )


def _starting(task: WaitingTask, placement: Placement, world: _World) -> Explanation:
    now = world.snapshot.now
    return Explanation(
        task_id=task.id,
        name=task.name,
        standing=Standing.STARTING,
        reason=Reason(code="placed", sentence=placement.sentence),
        rank=int(placement.terms.get("rank", 0)),
        queue_length=len(world.snapshot.waiting),
        nodes=tuple(sorted({allocation.node for allocation in placement.allocations})),
        resource_class=placement.allocations[0].resource_class,
        expected_start=now,
        expected_start_early=now,
        expected_start_late=now,
        expected_end=now + timedelta(seconds=placement.expected_seconds),
        candidates=_candidates(task, world),
        excluded=_excluded(task, world),
        terms=placement.terms,
    )


def _waiting(task: WaitingTask, wait: Wait, world: _World) -> Explanation:
    early, late = _spread(task, wait, world.snapshot.now)
    return Explanation(
        task_id=task.id,
        name=task.name,
        standing=Standing.WAITING,
        reason=Reason(code=wait.refusal.value, sentence=wait.sentence),
        rank=wait.rank,
        queue_length=len(world.snapshot.waiting),
        expected_start=wait.expected_start,
        expected_start_early=early,
        expected_start_late=late,
        candidates=_candidates(task, world),
        excluded=_excluded(task, world),
        terms=wait.terms,
    )


def _spread(task: WaitingTask, wait: Wait, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Return an early and a late start.

    The expected start rests on 80th percentiles of what runs, so that tasks rather end before it; it gets late as far
    as this task's own estimate is uncertain, for want of the individual estimates of those before it.
    """
    if wait.expected_start is None:
        return None, None
    delay = wait.expected_start - now
    expected = expectation_on(task.expectations, ("",))
    return now + delay * EARLY_SHARE, now + delay * min(expected.p80 / expected.median, 10.0)


def _candidates(task: WaitingTask, world: _World) -> tuple[Candidate, ...]:
    """Return the classes that could run the task, the one that ends it first on top."""
    shape = Groups(world.fleet).of(task.demand, task.expectations).shape
    found = [_candidate(task, shape, option, world) for option in options_of(shape, world.fleet)]
    return tuple(sorted(found, key=lambda c: (_end(c), c.resource_class)))


def _candidate(task: WaitingTask, shape: Shape, option: Option, world: _World) -> Candidate:
    pool, now = option.pool, world.snapshot.now
    expected = expectation_on(task.expectations, pool.classes)
    rows, free = pool.rows, world.free
    eligible = None if pool.eligible is None else pool.eligible[rows]
    rooms = rooms_of(shape, free.cpu[rows], free.memory[rows], free.devices[rows], eligible)
    best = rows[np.lexsort((rows, -world.free.cpu[rows], -rooms))][:BEST_NODES_MAX].tolist()
    by_row = dict(zip(rows.tolist(), rooms.tolist(), strict=True))
    opening = world.timeline.opening(shape, pool)
    lacks = counted_lacks(shape.parcel(), pool, world.free)
    return Candidate(
        resource_class=pool.name,
        expected_seconds=expected.median,
        expected_seconds_p80=expected.p80,
        source=expected.source,
        share=option.share,
        cost=(expected.mean or expected.median) * option.share,
        nodes=len(rows),
        nodes_with_room=int((rooms > 0).sum()),
        has_room=int(rooms.sum()) >= shape.size,
        takes_device_room=pool.takes_device_room,
        lacks=tuple(CountedReason(lack=lack, nodes=count) for lack, count in sorted(lacks.items())),
        best_nodes=tuple(_verdict(shape, pool, world, row, by_row[row]) for row in best),
        earliest_start=now + timedelta(seconds=opening.seconds) if opening else None,
    )


def _verdict(shape: Shape, pool: Pool, world: _World, row: int, rooms: int) -> NodeVerdict:
    name = world.fleet.names[row]
    if rooms:
        of = f" for {rooms} of {shape.size} replicas" if shape.size > 1 else ""
        return NodeVerdict(node=name, replicas=rooms, sentence=f"node {name} has room{of}: {needs(shape)}")
    return NodeVerdict(node=name, replicas=0, sentence=shortage(shape.parcel(), pool, world.fleet, world.free, row))


def _excluded(task: WaitingTask, world: _World) -> tuple[CountedReason, ...]:
    """Count the nodes that are no candidates, by why: cordoned, elsewhere, without the device, too dear, too small."""
    shape, fleet = Groups(world.fleet).of(task.demand, task.expectations).shape, world.fleet
    chosen = _nodes_of(options_of(shape, fleet), fleet)
    there = fleet.is_schedulable & nodes_where(fleet, shape.where)
    counts = {"cordoned": int((~fleet.is_schedulable).sum()), "label": 0, "device": 0, "cost": 0, "size": 0}
    counts["label"] = int((fleet.is_schedulable & ~there).sum())
    if shape.devices:
        able = np.zeros(len(fleet.nodes), dtype=np.bool_)
        for kind in fleet.device_kinds:
            pool = fleet.device_pool(kind, shape.device_memory_min, shape.device_memory_max)
            able |= pool.nodes & is_kind(shape.kind, kind)
        counts["device"] = int((there & ~able).sum())
    if shape.ceilings:
        payable = _nodes_of(options_of(shape._replace(ceilings=()), fleet), fleet)
        counts["cost"] = int((payable & ~chosen).sum())
    counts["size"] = int((there & ~chosen).sum()) - counts["device"] - counts["cost"]
    return tuple(CountedReason(lack=lack, nodes=count) for lack, count in counts.items() if count > 0)


def _nodes_of(options: Iterable[Option], fleet: Fleet) -> Bools:
    nodes = np.zeros(len(fleet.nodes), dtype=np.bool_)
    for option in options:
        nodes |= option.pool.nodes
    return nodes


def _end(candidate: Candidate) -> float:
    """Return a sort key: the end on this class if the task were alone in the queue."""
    start = candidate.earliest_start.timestamp() if candidate.earliest_start else 1e15
    return start + candidate.expected_seconds
