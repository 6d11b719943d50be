"""What a task may cost: which nodes are too dear for it, and what it is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lepton_ai.kernel.scheduling.explain import explain
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import Expectation, NodeView, Price, Refusal, Snapshot, WaitingTask
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import NOW, node, places, plan_of, running, task, wait_of

HOUR = 3600.0
ANY = AcceleratorRequest()


def priced(view: NodeView, per_hour: float) -> NodeView:
    return replace(view, price=Price(per_hour, view.cpu_milli, view.memory_bytes, len(view.devices)))


def within(money: float, waiting: WaitingTask) -> WaitingTask:
    return replace(waiting, demand=replace(waiting.demand, money=money))


def on(waiting: WaitingTask, **hours: float) -> WaitingTask:
    expected = {name: Expectation(each * HOUR, each * HOUR, "measured") for name, each in hours.items()}
    return replace(waiting, expectations=expected)


DEAR, CHEAP, FREE = priced(node("dear", 4), 12.0), priced(node("cheap", 4), 2.0), node("free", 4)


@pytest.mark.parametrize(
    ("money", "names"),
    [(12.0, {"dear", "cheap", "free"}), (2.0, {"cheap", "free"}), (1.99, {"free"}), (-1.0, {"free"})],
)
def test_only_nodes_that_it_can_pay_are_taken(money: float, names: set[str]) -> None:
    plan = plan_of([DEAR, CHEAP, FREE], [within(money, task(f"t{n}", 4, seconds=HOUR)) for n in range(3)])
    assert {where for found in places(plan).values() for where in found} == names


def test_half_of_a_node_costs_half_and_the_median_length_counts() -> None:
    half = within(6.0, task("t", 2, seconds=HOUR, p80=9 * HOUR))
    plan = plan_of([DEAR], [half])
    assert plan.placements[0].terms["cost_expected"] == pytest.approx(6.0)
    assert plan.placements[0].terms["cost_left"] == 6.0
    assert places(plan_of([DEAR], [within(5.99, half)])) == {}


def test_a_fast_dear_class_is_left_out_where_a_slow_cheap_one_costs_less() -> None:
    fast, slow = priced(node("f", 8, "h100"), 10.0), priced(node("s", 8, "t4"), 1.0)
    waiting = on(task("t", 1, gpu=ANY), h100=1.0, t4=5.0)
    assert places(plan_of([fast, slow], [waiting])) == {"t": ["f"]}
    assert places(plan_of([fast, slow], [within(6.0, waiting)])) == {"t": ["s"]}
    assert wait_of(plan_of([fast, slow], [within(4.0, waiting)]), "t").refusal is Refusal.TOO_DEAR


def test_what_is_too_dear_everywhere_is_told_with_the_numbers() -> None:
    wait = wait_of(plan_of([DEAR, CHEAP], [within(1.0, task("t", 4, seconds=2 * HOUR))]), "t")
    assert (wait.refusal, wait.expected_start) == (Refusal.TOO_DEAR, None)
    assert wait.sentence == (
        "1 is left of what it may cost; the cheapest that fits, node cheap (cpu-avx2), costs 2 an hour and takes about "
        "2.0 h: 4 in all: submit it anew with more --max-cost, or wait for a cheaper node"
    )


def test_a_cheap_node_that_is_too_small_is_no_advice() -> None:
    small = priced(node("small", 2), 0.1)
    wait = wait_of(plan_of([DEAR, small], [within(1.0, task("t", 4, seconds=HOUR))]), "t")
    assert "the cheapest that fits, node dear (cpu-avx2), costs 12 an hour" in wait.sentence


def test_it_waits_for_the_cheap_node_while_the_dear_one_is_free() -> None:
    busy = [running("r", CHEAP, 4, ends_in=600)]
    plan = plan_of([DEAR, CHEAP], [within(3.0, task("t", 4, seconds=HOUR)), task("u", 4)], busy)
    assert places(plan) == {"u": ["dear"]}
    wait = wait_of(plan, "t")
    assert wait.sentence.startswith("where it costs at most 2 an hour: needs 4 CPUs; node cheap has 0 of 4 free")
    assert wait.expected_start == NOW + timedelta(seconds=600)


def test_all_replicas_of_a_gang_are_paid_together() -> None:
    nodes = [CHEAP, priced(node("cheap2", 4), 2.0), DEAR]
    gang = task("g", 4, size=2, seconds=HOUR)
    assert sorted(places(plan_of(nodes, [within(4.0, gang)]))["g"]) == ["cheap", "cheap2"]
    assert places(plan_of(nodes, [within(3.9, gang)])) == {}


def test_a_gang_with_a_limit_stays_on_one_class() -> None:
    nodes = [priced(node("a", 4), 1.0), priced(node("b", 4, cpu_class="cpu-arm"), 1.0)]
    gang = task("g", 4, size=2, seconds=HOUR)
    assert len(places(plan_of(nodes, [gang]))["g"]) == 2
    assert "stays on one class" in wait_of(plan_of(nodes, [within(9.0, gang)]), "g").sentence


def test_a_limit_that_it_cannot_reach_changes_nothing() -> None:
    busy = [running("r", CHEAP, 4, ends_in=600)]
    for waiting in (task("t", 4), task("t", 1), task("g", 2, size=2), task("big", 64)):
        plain, limited = plan_of([CHEAP, FREE], [waiting], busy), plan_of([CHEAP, FREE], [within(1e6, waiting)], busy)
        assert places(plain) == places(limited)
        assert [wait.sentence for wait in plain.waits] == [wait.sentence for wait in limited.waits]


def test_a_price_that_falls_lets_it_start() -> None:
    scheduler = Scheduler([DEAR])
    scheduler.submit(within(2.0, task("t", 4, seconds=HOUR)))
    assert places(scheduler.plan(NOW)) == {}
    scheduler.set_nodes([priced(DEAR, 2.0)])
    assert places(scheduler.plan(NOW)) == {"t": ["dear"]}


def test_explain_counts_the_nodes_that_are_too_dear() -> None:
    snapshot = Snapshot(NOW, (DEAR, CHEAP), (within(3.0, task("t", 4, seconds=HOUR)),), ())
    told = explain("t", snapshot, schedule(snapshot))
    assert [(one.lack, one.nodes) for one in told.excluded] == [("cost", 1)]
    assert told.terms["cost_expected"] == pytest.approx(2.0)
