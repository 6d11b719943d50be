"""What holds for every plan, whatever the snapshot."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import Policy, Snapshot
from tests.unit.kernel.scheduling.worlds import overcommitments, snapshots

EXAMPLES = settings(max_examples=300, deadline=None)
policies = st.builds(Policy, reservations=st.integers(0, 4))


@EXAMPLES
@given(snapshots(), policies)
def test_nothing_is_overcommitted(snapshot: Snapshot, policy: Policy) -> None:
    plan = schedule(snapshot, policy)
    new = [allocation for placement in plan.placements for allocation in placement.allocations]
    held = [allocation for task in snapshot.running for allocation in task.allocations]
    assert overcommitments(snapshot.nodes, held + new) == []


@EXAMPLES
@given(snapshots(), policies)
def test_every_waiting_task_is_placed_or_told_why_not(snapshot: Snapshot, policy: Policy) -> None:
    plan = schedule(snapshot, policy)
    answered = Counter([p.task_id for p in plan.placements] + [w.task_id for w in plan.waits])
    assert answered == Counter(task.id for task in snapshot.waiting)
    assert all(wait.sentence and wait.rank >= 1 for wait in plan.waits)


@EXAMPLES
@given(snapshots(), policies)
def test_gangs_start_whole_and_get_what_they_asked_for(snapshot: Snapshot, policy: Policy) -> None:
    tasks = {task.id: task for task in snapshot.waiting}
    for placement in schedule(snapshot, policy).placements:
        demand = tasks[placement.task_id].demand
        assert [a.rank for a in placement.allocations] == list(range(demand.size))
        assert {(a.cpu_milli, a.memory_bytes) for a in placement.allocations} == {
            (demand.cpu_milli, demand.memory_bytes)
        }
        on_nodes = set(Counter(a.node for a in placement.allocations).values())
        assert on_nodes == {demand.per_node} or not demand.per_node


@EXAMPLES
@given(snapshots())
def test_devices_match_the_request(snapshot: Snapshot) -> None:
    tasks = {task.id: task for task in snapshot.waiting}
    kinds = {(node.name, device.id): device.kind for node in snapshot.nodes for device in node.devices}
    for placement in schedule(snapshot).placements:
        wanted = tasks[placement.task_id].demand.accelerator
        for allocation in placement.allocations:
            got = [kinds[allocation.node, share.device_id] for share in allocation.devices]
            shares = {share.share_milli for share in allocation.devices}
            assert len(got) == len(set(allocation.devices)) == (wanted.count if wanted else 0)
            assert all(wanted is not None and wanted.kind in kind for kind in got)
            assert shares <= ({wanted.share_milli} if wanted else set())


@EXAMPLES
@given(snapshots())
def test_nothing_is_placed_on_a_cordoned_node(snapshot: Snapshot) -> None:
    open_nodes = {node.name for node in snapshot.nodes if node.is_schedulable}
    placed = {a.node for placement in schedule(snapshot).placements for a in placement.allocations}
    assert placed <= open_nodes


@EXAMPLES
@given(snapshots(), st.randoms(use_true_random=False))
def test_the_same_world_gives_the_same_plan_in_whatever_order_it_is_listed(snapshot: Snapshot, rng: Random) -> None:
    nodes, waiting, busy = list(snapshot.nodes), list(snapshot.waiting), list(snapshot.running)
    for part in (nodes, waiting, busy):
        rng.shuffle(part)
    other = Snapshot(snapshot.now, tuple(nodes), tuple(waiting), tuple(busy))
    assert schedule(snapshot) == schedule(other)


@EXAMPLES
@given(snapshots())
def test_a_busy_task_is_never_left_out_if_it_alone_would_fit(snapshot: Snapshot) -> None:
    """Without reservations the first in line starts whenever the machines have room for it."""
    plan = schedule(snapshot, Policy(reservations=0))
    for wait in (wait for wait in plan.waits if wait.rank == 1 and "declined_seconds" not in wait.terms):
        alone = tuple(task for task in snapshot.waiting if task.id == wait.task_id)
        only = schedule(Snapshot(snapshot.now, snapshot.nodes, alone, snapshot.running), Policy(reservations=0))
        assert only.placements == ()
