"""What holds for every plan among projects, whatever the snapshot."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.course import started as as_running
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import NodeView, Policy, ProjectView, RunningTask, Snapshot, WaitingTask
from lepton_ai.types.share import BudgetState
from tests.unit.kernel.scheduling.project_worlds import (
    amounts,
    bounded,
    chain,
    held_by_project,
    projects,
    settle,
    shared_queues,
    shared_snapshots,
    used,
)
from tests.unit.kernel.scheduling.worlds import NOW, alike, clusters, overcommitments

EXAMPLES = settings(max_examples=150, deadline=None)
policies = st.builds(Policy, reservations=st.integers(0, 4))


@EXAMPLES
@given(shared_snapshots(), policies)
def test_what_a_plan_starts_takes_no_project_beyond_its_bounds(snapshot: Snapshot, policy: Policy) -> None:
    tasks = {one.id: one for one in snapshot.waiting}
    new = [(tasks[p.task_id].project, p.allocations) for p in schedule(snapshot, policy).placements]
    begun = held_by_project(new)
    everything = held_by_project([*new, *((one.project, one.allocations) for one in snapshot.running)])
    for view in snapshot.projects:
        caps = [bounded(view.limit), *([] if view.may_borrow else [bounded(view.quota)])]
        more = amounts(used(view, snapshot.projects, begun), snapshot.nodes)
        held = amounts(used(view, snapshot.projects, everything), snapshot.nodes)
        assert [(n, most) for cap in caps for n, most in cap.items() if more[n] and held[n] > most] == []


@EXAMPLES
@given(shared_snapshots(), policies)
def test_nothing_starts_for_a_project_whose_budget_is_used_up(snapshot: Snapshot, policy: Policy) -> None:
    tasks = {one.id: one for one in snapshot.waiting}
    known = {view.name: view for view in snapshot.projects}
    begun = {tasks[p.task_id].project for p in schedule(snapshot, policy).placements} & set(known)
    above = {name for one in begun for name in chain(one, snapshot.projects)}
    assert [name for name in above if known[name].budget is BudgetState.HARD] == []


@EXAMPLES
@given(shared_snapshots(), st.randoms(use_true_random=False))
def test_the_order_of_the_lists_changes_nothing(snapshot: Snapshot, rng: Random) -> None:
    nodes, waiting = list(snapshot.nodes), list(snapshot.waiting)
    busy, views = list(snapshot.running), list(snapshot.projects)
    for part in (nodes, waiting, busy, views):
        rng.shuffle(part)
    other = Snapshot(snapshot.now, tuple(nodes), tuple(waiting), tuple(busy), tuple(views))
    assert schedule(snapshot) == schedule(other)


@EXAMPLES
@given(shared_snapshots(), policies)
def test_nobody_is_stopped_who_may_not_be_or_whose_project_would_get_less_than_promised(
    snapshot: Snapshot, policy: Policy
) -> None:
    running = {one.id: one for one in snapshot.running}
    waiting = {one.id for one in snapshot.waiting}
    stops = [one for one in schedule(snapshot, policy).preemptions if one.for_task in waiting]
    assert len({one.task_id for one in stops}) == len(stops)
    assert [one for one in stops if running[one.task_id].stake is None] == []
    gone = {one.task_id for one in stops}
    left = held_by_project((one.project, one.allocations) for one in snapshot.running if one.id not in gone)
    for view in (view for view in snapshot.projects if view.name in {running[one].project for one in gone}):
        lost = amounts(
            [a for one in gone if running[one].project == view.name for a in running[one].allocations], snapshot.nodes
        )
        keeps = amounts(used(view, snapshot.projects, left), snapshot.nodes)
        assert [n for n, promised in bounded(view.quota).items() if lost[n] and keeps[n] < promised] == []


@settings(max_examples=100, deadline=None)
@given(
    clusters(),
    projects(),
    shared_queues(),
    shared_queues(),
    st.builds(Policy, reservations=st.integers(0, 4), preemption_gain=st.just(1e12)),
)
def test_reclaim_comes_to_rest(
    nodes: tuple[NodeView, ...],
    views: tuple[ProjectView, ...],
    first: tuple[WaitingTask, ...],
    second: tuple[WaitingTask, ...],
    policy: Policy,
) -> None:
    open_views = tuple(replace(view, budget=BudgetState.OPEN) for view in views)
    _, full = settle(Snapshot(NOW, nodes, first, (), open_views), 1, policy)
    late = tuple(replace(one, id=f"late-{one.id}") for one in second)
    plans, rest = settle(replace(full, waiting=(*full.waiting, *late)), 30, policy)
    assert plans[-1].preemptions == ()
    assert plans[-1].placements == ()
    assert overcommitments(nodes, (a for one in rest.running for a in one.allocations)) == []


@settings(max_examples=100, deadline=None)
@given(st.data(), clusters(), projects())
def test_the_scheduler_that_remembers_starts_the_same(
    data: st.DataObject, nodes: tuple[NodeView, ...], views: tuple[ProjectView, ...]
) -> None:
    policy, now = Policy(reservations=0), NOW
    scheduler = Scheduler(nodes, policy)
    waiting: dict[str, WaitingTask] = {}
    running: dict[str, RunningTask] = {}
    for step in range(4):
        new = {f"{step}-{one.id}": replace(alike(one), id=f"{step}-{one.id}") for one in data.draw(shared_queues())}
        waiting |= new
        snapshot = Snapshot(now, nodes, tuple(waiting.values()), tuple(running.values()), views)
        whole = schedule(snapshot, policy)
        scheduler.follow(snapshot)
        assert scheduler.plan(now).placements == whole.placements
        for placement in whole.placements:
            running[placement.task_id] = as_running(waiting.pop(placement.task_id), placement, now)
        gone = data.draw(st.sets(st.sampled_from(sorted({*running, *waiting, "nobody"})), max_size=4))
        waiting = {name: one for name, one in waiting.items() if name not in gone}
        running = {name: one for name, one in running.items() if name not in gone}
        now += timedelta(seconds=data.draw(st.integers(0, 2000)))


@EXAMPLES
@given(shared_snapshots(), policies)
def test_projects_that_say_nothing_and_have_nobody_change_no_plan(snapshot: Snapshot, policy: Policy) -> None:
    alone = replace(snapshot, projects=())
    nobody = replace(snapshot, projects=(ProjectView("nobody"),))
    assert [p.task_id for p in schedule(alone, policy).placements] == [
        p.task_id for p in schedule(nobody, policy).placements
    ]
    assert schedule(alone, policy).preemptions == ()
