"""What holds for every plan of tasks that say where they may run, what they may cost, and by when they are due."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import NodeView, Policy, Snapshot
from lepton_ai.types.resources import Allocation
from lepton_ai.types.where import NODE_KEY, read_where
from tests.unit.kernel.scheduling.test_scheduler import World, named
from tests.unit.kernel.scheduling.worlds import bounded, choosy, clusters, labelled, overcommitments, queues

EVERYWHERE = read_where(("everywhere=yes",))
EXAMPLES = settings(max_examples=200, deadline=None)


@EXAMPLES
@given(bounded())
def test_nothing_is_placed_on_a_node_whose_labels_do_not_match(snapshot: Snapshot) -> None:
    labels = {one.name: {**dict(one.labels), NODE_KEY: one.name} for one in snapshot.nodes}
    wanted = {task.id: task.demand.where for task in snapshot.waiting}
    for placement in schedule(snapshot).placements:
        met = [c.is_met(labels[a.node]) for a in placement.allocations for c in wanted[placement.task_id]]
        assert all(met)


@EXAMPLES
@given(bounded())
def test_nothing_is_started_that_is_expected_to_cost_more_than_it_may(snapshot: Snapshot) -> None:
    nodes = {one.name: one for one in snapshot.nodes}
    limits = {task.id: task.demand.money for task in snapshot.waiting if task.demand.money is not None}
    for placement in (one for one in schedule(snapshot).placements if one.task_id in limits):
        hourly = sum(share_of(nodes[held.node], held) * price_of(nodes[held.node]) for held in placement.allocations)
        assert hourly * placement.expected_seconds / 3600 <= max(limits[placement.task_id], 0.0) * (1 + 1e-6)


def price_of(node: NodeView) -> float:
    return node.price.per_hour if node.price else 0.0


def share_of(node: NodeView, held: Allocation) -> float:
    """What is held of the scarcest thing there, reckoned without the scheduler's own code."""
    devices = sum(share.share_milli for share in held.devices) / 1000
    parts = [(held.cpu_milli, node.cpu_milli), (held.memory_bytes, node.memory_bytes), (devices, len(node.devices))]
    return min(max(amount / whole if whole else 0.0 for amount, whole in parts), 1.0)


@EXAMPLES
@given(bounded(), st.randoms(use_true_random=False))
def test_the_order_of_the_lists_changes_nothing(snapshot: Snapshot, rng: Random) -> None:
    nodes, waiting, busy = list(snapshot.nodes), list(snapshot.waiting), list(snapshot.running)
    for part in (nodes, waiting, busy):
        rng.shuffle(part)
    assert schedule(snapshot) == schedule(Snapshot(snapshot.now, tuple(nodes), tuple(waiting), tuple(busy)))


@EXAMPLES
@given(bounded())
def test_whoever_waits_is_told_why_and_nothing_is_overcommitted(snapshot: Snapshot) -> None:
    plan = schedule(snapshot)
    new = [allocation for placement in plan.placements for allocation in placement.allocations]
    assert overcommitments(snapshot.nodes, [a for task in snapshot.running for a in task.allocations] + new) == []
    assert len(plan.placements) + len(plan.waits) == len(snapshot.waiting)
    assert all(wait.sentence for wait in plan.waits)


@settings(max_examples=100, deadline=None)
@given(st.data(), clusters(), st.builds(Policy, reservations=st.integers(0, 3)))
def test_the_scheduler_that_remembers_starts_what_the_pure_function_starts(
    data: st.DataObject, nodes: tuple[NodeView, ...], policy: Policy
) -> None:
    world = World(data.draw(labelled(nodes)), policy)
    for step in range(4):
        world.submit(data.draw(choosy(named(data.draw(queues()), step))))
        whole, small = world.plan()
        assert (small.placements, small.preemptions) == (whole.placements, whole.preemptions)
        gone = data.draw(st.sets(st.sampled_from(sorted({*world.running, *world.waiting, "nobody"})), max_size=4))
        for task_id in sorted(gone):
            world.end(task_id)
        world.now += timedelta(seconds=data.draw(st.integers(0, 2000)))


@EXAMPLES
@given(bounded())
def test_nobodys_weight_falls_and_none_rises_beyond_the_bound(snapshot: Snapshot) -> None:
    plan, policy = schedule(snapshot), Policy()
    terms = [*(one.terms for one in plan.placements), *(one.terms for one in plan.waits)]
    assert all(1.0 <= one.get("urgency", 1.0) <= policy.urgency for one in terms)


@EXAMPLES
@given(bounded())
def test_conditions_that_every_node_meets_change_no_plan(snapshot: Snapshot) -> None:
    plain = tuple(replace(t, demand=replace(t.demand, where=(), money=None)) for t in snapshot.waiting)
    free = replace(snapshot, waiting=plain)
    there = tuple(replace(one, labels=(("everywhere", "yes"),)) for one in free.nodes)
    asking = tuple(replace(t, demand=replace(t.demand, where=EVERYWHERE)) for t in free.waiting)
    with_conditions = schedule(replace(free, nodes=there, waiting=asking))
    assert with_conditions.placements == schedule(free).placements
