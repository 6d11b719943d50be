"""A project gets back what it is promised: borrowers go, the least loss first, and do not come back the same way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import NodeView, Plan, Policy, ProjectView, RunningTask, Snapshot, WaitingTask
from lepton_ai.types.resources import AcceleratorRequest
from lepton_ai.types.share import BudgetState
from tests.unit.kernel.scheduling.project_worlds import settle, stake
from tests.unit.kernel.scheduling.test_shares import cpus, gpus, of, plan_for
from tests.unit.kernel.scheduling.worlds import NOW, node, running, task

RECLAIM = Policy(preemption_gain=1e12)  # nobody is stopped because it pays, only for what projects are promised
ADA, BOB = ProjectView("ada", quota=cpus(4)), ProjectView("bob", quota=cpus(4))


def runs(project: str, name: str, where: NodeView, cpus: int, *, weight: float = 1.0) -> RunningTask:
    """A task that runs until stopped, holds all devices of its node, and may be preempted."""
    held = running(name, where, cpus, ends_in=None, devices=len(where.devices))
    demand = task(name, cpus).demand
    return replace(held, project=project, stake=stake(weight), demand=demand)


def stopped(plan: Plan) -> list[str]:
    return [one.task_id for one in plan.preemptions]


def test_the_borrower_with_the_least_loss_makes_room() -> None:
    a = node("a", 8)
    busy = [runs("bob", f"b{i}", a, 2, weight=4.0 - i) for i in range(4)]
    plan = plan_for([a], of("ada", task("mine", 2)), [ADA, BOB], busy)
    assert [(one.task_id, one.for_task) for one in plan.preemptions] == [("b3", "mine")]
    assert plan.preemptions[0].sentence == (
        "makes room for 'mine' on what project bob has borrowed and project ada is promised"
    )


def test_nobody_is_stopped_below_the_quota_of_his_own_project() -> None:
    a = node("a", 8)
    busy = [runs("bob", f"b{i}", a, 2) for i in range(4)]
    wanted = of("ada", *(task(f"a{i}", 2) for i in range(4)))
    assert len(plan_for([a], wanted, [ADA, BOB], busy).preemptions) == 2


def test_who_is_not_promised_anything_gives_way_and_who_may_not_be_stopped_is_waited_for() -> None:
    a = node("a", 8)
    busy = [runs("", "stranger", a, 4), replace(runs("bob", "firm", a, 4), stake=None)]
    assert stopped(plan_for([a], of("ada", task("mine", 4)), [ADA], busy)) == ["stranger"]
    assert stopped(plan_for([a], of("ada", task("mine", 4)), [ADA], [*busy[1:], replace(busy[0], stake=None)])) == []


def test_what_would_go_beyond_the_quota_reclaims_nothing() -> None:
    a = node("a", 8)
    assert stopped(plan_for([a], of("ada", task("large", 5)), [ADA, BOB], [runs("bob", "b", a, 8)])) == []


def test_while_somebody_makes_room_nobody_else_is_asked_to() -> None:
    a = node("a", 8)
    leaves = replace(runs("bob", "b0", a, 2), stake=None, is_stopping=True)
    wanted = [replace(task("mine", 2), project="ada", has_claim=True)]
    assert (
        stopped(plan_for([a], wanted, [ADA, BOB], [leaves, *(runs("bob", f"b{i}", a, 2) for i in range(1, 4))])) == []
    )


def test_a_gang_takes_only_as_many_as_it_needs() -> None:
    nodes = [node("a", 4), node("b", 4), node("c", 4)]
    busy = [runs("bob", one.name, one, 4) for one in nodes]
    plan = plan_for(nodes, of("ada", task("gang", 2, size=2)), [ADA], busy)
    assert len(plan.preemptions) == 1


def test_devices_are_won_back_where_they_are() -> None:
    a, b = node("a", 8, "nvidia-h100-80gb"), node("b", 8)
    busy = [runs("bob", "gpu", a, 1), runs("bob", "cpu", b, 8)]
    plan = plan_for(
        [a, b], of("ada", task("mine", 1, gpu=AcceleratorRequest())), [ProjectView("ada", quota=gpus(1))], busy
    )
    assert stopped(plan) == ["gpu"]


def test_a_family_settles_its_own_before_it_asks_others() -> None:
    """Of two borrowers, the one whose family as a whole keeps within its quota is left alone."""
    a = node("a", 8)
    views = [
        ProjectView("up", quota=cpus(4)),
        ProjectView("x", parent="up", quota=cpus(2)),
        ProjectView("y", parent="up", quota=cpus(2)),
        ProjectView("org", quota=cpus(4)),
        ProjectView("z", parent="org", quota=cpus(1)),
    ]
    busy = [*(runs("y", f"y{i}", a, 1, weight=9) for i in range(4)), *(runs("z", f"z{i}", a, 1) for i in range(4))]
    assert stopped(plan_for([a], of("x", task("mine", 1)), views, busy)) == ["y0"]


def test_a_used_up_budget_stops_what_may_be_stopped_and_all_else_only_if_it_says_so() -> None:
    a = node("a", 8)
    busy = [runs("ada", "soft", a, 1), replace(runs("ada", "firm", a, 1), stake=None)]
    spent = ProjectView("ada", budget=BudgetState.HARD, budget_text="its 5 device-hours")
    plan = plan_for([a], [], [spent], busy)
    assert [(one.task_id, one.for_task) for one in plan.preemptions] == [("soft", "project/ada")]
    assert plan.preemptions[0].sentence == "ends because project ada has used up its 5 device-hours"
    assert stopped(plan_for([a], [], [replace(spent, stops=True)], busy)) == ["firm", "soft"]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.lists(st.integers(1, 3), max_size=12), st.integers(0, 12))
def test_a_project_gets_its_quota_whatever_others_had_taken(quota: int, theirs: list[int], rivals: int) -> None:
    """Bob's tasks, all preemptible, run first; they outweigh ada's, were there first, and want to come back.

    One of them may be partly on what bob is promised and partly on what he borrowed: it stays.
    """
    a = node("a", 12)
    views = (ProjectView("ada", quota=cpus(quota)), ProjectView("bob", quota=cpus(12 - quota)))
    first = of("bob", *(task(f"b{i}", size, weight=50, age=99) for i, size in enumerate(theirs)))
    _, full = settle(Snapshot(NOW, (a,), tuple(first), (), views), 1, RECLAIM)
    mine = of("ada", *(task(f"a{i}", 1) for i in range(quota)))
    more = of("bob", *(task(f"c{i}", 1, weight=50) for i in range(rivals)))
    plans, rest = settle(replace(full, waiting=(*full.waiting, *mine, *more)), 20, RECLAIM)
    straddling = max(theirs, default=1) - 1
    assert quota - straddling <= sum(one.project == "ada" for one in rest.running) <= quota + straddling
    assert {one.task_id for plan in plans for one in plan.preemptions if one.task_id.startswith("a")} == set()
    assert plans[-1].preemptions == ()


def test_what_was_won_back_goes_to_who_is_promised_it() -> None:
    a = node("a", 4)
    heavy = WaitingTask("b", "b", task("b", 4).demand, 1e6, NOW - timedelta(days=30), {}, project="bob")
    full = Snapshot(NOW, (a,), (heavy,), (), (ProjectView("ada", quota=cpus(4)), ProjectView("bob")))
    _, full = settle(full, 1, RECLAIM)
    _, rest = settle(replace(full, waiting=tuple(of("ada", task("mine", 4)))), 3, RECLAIM)
    assert [one.id for one in rest.running] == ["mine"]
    assert schedule(rest).preemptions == ()
