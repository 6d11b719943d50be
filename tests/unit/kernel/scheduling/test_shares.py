"""Projects share the machines: limits hold, quotas are kept, what lies idle is lent, and shares are fair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import (
    Bounds,
    NodeView,
    Plan,
    Policy,
    ProjectView,
    Refusal,
    RunningTask,
    Snapshot,
    WaitingTask,
)
from lepton_ai.types.resources import AcceleratorRequest
from lepton_ai.types.share import BudgetState
from tests.unit.kernel.scheduling.worlds import NOW, node, running, task, wait_of

GPU = "nvidia-h100-80gb"
ONE = AcceleratorRequest()
BUSY = node("a", 8)


def gpus(count: float) -> Bounds:
    return Bounds(devices={"": round(count * 1000)})


def cpus(count: float) -> Bounds:
    return Bounds(cpu_milli=round(count * 1000))


def of(project: str, *tasks: WaitingTask) -> list[WaitingTask]:
    return [replace(one, project=project) for one in tasks]


def plan_for(
    nodes: Sequence[NodeView],
    waiting: Sequence[WaitingTask],
    projects: Sequence[ProjectView],
    busy: Sequence[RunningTask] = (),
) -> Plan:
    """Plan without the exchange that stops others because it pays: here it is about what projects are due."""
    policy = Policy(preemption_gain=1e12)
    return schedule(Snapshot(NOW, tuple(nodes), tuple(waiting), tuple(busy), tuple(projects)), policy)


def started(plan: Plan) -> list[str]:
    return sorted(placement.task_id for placement in plan.placements)


def test_a_project_never_holds_more_than_its_limit() -> None:
    wanted = of("ada", *(task(f"t{i}", 1) for i in range(5)))
    plan = plan_for([node("a", 8)], wanted, [ProjectView("ada", limit=cpus(3))])
    assert len(plan.placements) == 3
    assert {wait.refusal for wait in plan.waits} == {Refusal.QUOTA}


def test_what_one_project_is_refused_does_not_keep_another_waiting() -> None:
    wanted = [*of("ada", task("a0", 1, age=900), task("a1", 1, age=800)), *of("bob", task("b0", 1))]
    plan = plan_for([node("a", 8)], wanted, [ProjectView("ada", limit=cpus(1)), ProjectView("bob")])
    assert started(plan) == ["a0", "b0"]


def test_the_refusal_says_what_is_held_and_until_when_and_what_to_do() -> None:
    a = node("a", 8, GPU, GPU)
    busy = [replace(running("train", a, 1, ends_in=7200, devices=1), project="ada")]
    plan = plan_for([a], of("ada", task("t", 1, gpu=ONE)), [ProjectView("ada", limit=gpus(1))], busy)
    assert wait_of(plan, "t").sentence == (
        "project ada holds 1 of its 1 accelerator, and this task asks for 1 more; it may start in 2.0 h when 'train' "
        "ends, or after: lepton project set ada --limit gpu=2"
    )
    assert wait_of(plan, "t").expected_start == busy[0].expected_end


def test_a_task_larger_than_the_limit_is_told_so() -> None:
    plan = plan_for([node("a", 8)], of("ada", task("t", 4)), [ProjectView("ada", limit=cpus(3))])
    assert wait_of(plan, "t").sentence == (
        "asks for 4 CPUs; project ada may hold 3 in all; it starts after: lepton project set ada --limit cpu=4"
    )
    assert wait_of(plan, "t").expected_start is None


def test_the_limit_of_a_project_holds_for_all_below_it_together() -> None:
    wanted = [*of("x", task("x0", 2), task("x1", 2)), *of("y", task("y0", 2), task("y1", 2))]
    family = [ProjectView("up", limit=cpus(4)), ProjectView("x", parent="up"), ProjectView("y", parent="up")]
    assert len(plan_for([node("a", 16)], wanted, family).placements) == 2


def test_a_limit_on_one_kind_leaves_the_other_kinds() -> None:
    nodes = [node("a", 8, GPU), node("b", 8, "nvidia-t4-16gb")]
    wanted = of("ada", *(task(f"t{i}", 1, gpu=ONE) for i in range(2)))
    plan = plan_for(nodes, wanted, [ProjectView("ada", limit=Bounds(devices={"h100": 0}))])
    assert [p.allocations[0].resource_class for p in plan.placements] == ["nvidia-t4-16gb"]


def test_idle_quota_is_lent_unless_a_project_does_not_borrow() -> None:
    wanted = [*of("ada", *(task(f"a{i}", 1) for i in range(4))), *of("bob", *(task(f"b{i}", 1) for i in range(4)))]
    projects = [ProjectView("ada", quota=cpus(2)), ProjectView("bob", quota=cpus(2), may_borrow=False)]
    assert started(plan_for([node("a", 8)], wanted, projects)) == ["a0", "a1", "a2", "a3", "b0", "b1"]


def test_who_is_promised_it_goes_before_who_would_borrow_it() -> None:
    wanted = [*of("ada", task("mine", 4)), *of("bob", task("theirs", 4, weight=100, age=9000))]
    plan = plan_for([node("a", 4)], wanted, [ProjectView("ada", quota=cpus(4)), ProjectView("bob")])
    assert started(plan) == ["mine"]


def test_among_borrowers_each_gets_its_share_though_one_asks_for_more() -> None:
    wanted = [
        *of("ada", *(task(f"a{i}", 1, age=12) for i in range(50))),
        *of("bob", *(task(f"b{i}", 1) for i in range(50))),
    ]
    plan = plan_for([node("a", 16)], wanted, [ProjectView("ada"), ProjectView("bob")])
    assert sum(name.startswith("b") for name in started(plan)) == 8


def test_shares_follow_the_weights() -> None:
    wanted = [*of("ada", *(task(f"a{i}", 1) for i in range(50))), *of("bob", *(task(f"b{i}", 1) for i in range(50)))]
    plan = plan_for([node("a", 16)], wanted, [ProjectView("ada", weight=3), ProjectView("bob")])
    assert sum(name.startswith("a") for name in started(plan)) == 12


def test_the_share_of_an_idle_sibling_goes_to_those_who_want_it() -> None:
    family = [ProjectView("up"), ProjectView("x", parent="up"), ProjectView("y", parent="up"), ProjectView("bob")]
    wanted = [*of("x", *(task(f"x{i}", 1) for i in range(50))), *of("bob", *(task(f"b{i}", 1) for i in range(50)))]
    assert sum(name.startswith("x") for name in started(plan_for([node("a", 16)], wanted, family))) == 8


def test_a_used_up_budget_starts_nothing_and_says_so() -> None:
    spent = ProjectView("ada", budget=BudgetState.HARD, budget_text="its 100 device-hours")
    plan = plan_for([node("a", 8)], of("ada", task("t", 1)), [spent])
    assert plan.placements == ()
    assert wait_of(plan, "t").refusal is Refusal.BUDGET
    assert wait_of(plan, "t").sentence == (
        "project ada has used up its 100 device-hours; "
        "it starts once there is more: lepton project set ada --budget ..."
    )


def test_a_used_up_budget_holds_for_all_below() -> None:
    spent = ProjectView("up", budget=BudgetState.HARD, budget_text="its 100 device-hours")
    assert plan_for([node("a", 8)], of("x", task("t", 1)), [spent, ProjectView("x", parent="up")]).placements == ()


def test_near_the_end_of_its_budget_a_project_waits_behind_others() -> None:
    wanted = [*of("ada", task("first", 4, weight=1000, age=9000)), *of("bob", task("second", 4))]
    near = ProjectView("ada", quota=cpus(4), budget=BudgetState.SOFT)
    assert started(plan_for([node("a", 4)], wanted, [near, ProjectView("bob")])) == ["second"]
    assert started(plan_for([node("a", 8)], wanted, [near, ProjectView("bob")])) == ["first", "second"]


def test_an_unknown_project_is_one_without_bounds() -> None:
    plan = plan_for([node("a", 4)], of("nobody", task("t", 4)), [ProjectView("ada", quota=cpus(1), limit=cpus(1))])
    assert started(plan) == ["t"]


def test_a_circle_of_parents_harms_nobody() -> None:
    circle = [ProjectView("x", parent="y", limit=cpus(2)), ProjectView("y", parent="x")]
    assert len(plan_for([node("a", 8)], of("x", *(task(f"t{i}", 1) for i in range(4))), circle).placements) == 2


def test_the_terms_reproduce_the_index() -> None:
    plan = plan_for([node("a", 1)], of("ada", task("t", 1), task("u", 1)), [ProjectView("ada")])
    terms = wait_of(plan, "u").terms
    reckoned = terms["weight"] * terms["age"] * terms["favour"] / (terms["expected_seconds"] * terms["share"])
    assert terms["index"] == reckoned


def test_fairness_beyond_all_measure_is_bounded_as_any_other_is() -> None:
    busy = [replace(running("r", BUSY, 6, ends_in=60), project="bob")]
    waiting = (*of("ada", task("a", 8)), *of("bob", task("b", 8)))
    projects = (ProjectView("ada", quota=cpus(4)), ProjectView("bob"))
    plan = schedule(Snapshot(NOW, (BUSY,), waiting, tuple(busy), projects), Policy(fairness=1e6))
    assert (wait_of(plan, "a").terms["favour"], wait_of(plan, "b").terms["favour"]) == pytest.approx((4.0, 0.25))
