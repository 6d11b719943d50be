"""Where a task may run: the labels of nodes, and what is said where none has them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lepton_ai.kernel.advice import rank_classes
from lepton_ai.kernel.scheduling.explain import explain
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import NodeView, Policy, Refusal, Restart, Snapshot, Stake, WaitingTask
from lepton_ai.types.resources import AcceleratorRequest
from lepton_ai.types.where import read_where
from tests.unit.kernel.scheduling.worlds import NOW, node, places, plan_of, running, task, wait_of

GPU = AcceleratorRequest(kind="h100")


def at(site: str, view: NodeView, **more: str) -> NodeView:
    return replace(view, labels=tuple(sorted({"site": site, **more}.items())))


def only(waiting: WaitingTask, *where: str) -> WaitingTask:
    return replace(waiting, demand=replace(waiting.demand, where=read_where(where)))


BERLIN, PARIS = at("berlin", node("b", 4), rack="r3"), at("paris", node("p", 4))
BOTH = (BERLIN, PARIS)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (["site=berlin"], {"b"}),
        (["site!=berlin"], {"p"}),
        (["site=berlin|paris", "rack!=r3"], {"p"}),
        (["node=b"], {"b"}),
        (["rack!=r4"], {"b", "p"}),
    ],
)
def test_it_runs_where_every_condition_is_met(where: list[str], names: set[str]) -> None:
    plan = plan_of(BOTH, [only(task(f"t{n}", 2), *where) for n in range(4)])
    assert {name for found in places(plan).values() for name in found} == names
    assert len(places(plan)) == 2 * len(names)


def test_a_gang_stays_within_the_place() -> None:
    nodes = [*BOTH, at("berlin", node("b2", 4))]
    assert set(places(plan_of(nodes, [only(task("g", 4, size=2), "site=berlin")]))["g"]) == {"b", "b2"}
    wait = wait_of(plan_of(nodes, [only(task("g", 4, size=3), "site=berlin")]), "g")
    assert (wait.refusal, wait.sentence) == (
        Refusal.TOO_LARGE,
        "where site=berlin: a gang of 3 x 4 CPUs needs 12 CPUs; there are 8 CPUs in all (cpu-avx2): it waits until "
        "nodes join",
    )


def test_a_place_that_no_node_is_in_is_told_with_those_that_there_are() -> None:
    wait = wait_of(plan_of(BOTH, [only(task("t"), "site=rome")]), "t")
    assert (wait.refusal, wait.expected_start) == (Refusal.NO_SUCH_PLACE, None)
    assert wait.sentence == (
        "no node has site=rome; labels known: rack=r3, site=berlin, site=paris; give one: "
        "lepton node label NODE site=rome"
    )


def test_conditions_that_no_node_meets_together_are_told_apart() -> None:
    sentence = wait_of(plan_of(BOTH, [only(task("t"), "site=paris", "rack=r3")]), "t").sentence
    assert sentence.startswith("no node has rack=r3 and site=paris together; labels known: ")
    assert "see lepton node list" in wait_of(plan_of([node("n", 1)], [only(task("t"), "node=x")]), "t").sentence


def test_a_device_that_is_elsewhere_only_is_no_such_device() -> None:
    nodes = [BERLIN, at("paris", node("g", 8, "h100"))]
    wait = wait_of(plan_of(nodes, [only(task("t", gpu=GPU), "site=berlin")]), "t")
    assert (wait.refusal, wait.sentence) == (
        Refusal.NO_SUCH_DEVICE,
        "where site=berlin: asks for 1 h100; there is none, only cpu-avx2",
    )


def test_a_cordoned_place_is_no_place() -> None:
    nodes = [replace(BERLIN, is_schedulable=False), PARIS]
    assert wait_of(plan_of(nodes, [only(task("t"), "site=berlin")]), "t").sentence == (
        "where site=berlin: none of the 1 nodes takes new work: it waits until one is uncordoned or joins"
    )


def test_it_waits_for_room_there_while_others_start_elsewhere() -> None:
    busy = [running("r", BERLIN, 4, ends_in=600)]
    plan = plan_of(BOTH, [only(task("t", 2), "site=berlin"), task("u", 2)], busy)
    assert places(plan) == {"u": ["p"]}
    wait = wait_of(plan, "t")
    assert wait.sentence.startswith("where site=berlin: needs 2 CPUs; node b has 0 of 4 free")
    assert wait.expected_start is not None
    assert (wait.expected_start - NOW).total_seconds() == 600


def test_its_reservation_is_there_and_holds_up_nobody_elsewhere() -> None:
    busy = [running("r", BERLIN, 3, ends_in=600)]
    head = only(task("head", 4, weight=100), "site=berlin")
    plan = plan_of(BOTH, [head, *(task(f"long{n}", 1, seconds=9000) for n in range(5))], busy)
    assert sorted({name for found in places(plan).values() for name in found}) == ["p"]
    assert "room on node b is reserved for it in 10 min" in wait_of(plan, "head").sentence


def test_only_those_in_its_place_are_stopped_for_it() -> None:
    small = task("v", 4)
    stake = Stake(1.0, task("v", seconds=9000).expectations, NOW, NOW, Restart(1.0))
    busy = [
        replace(running(f"on-{where.name}", where, 4, ends_in=9000), demand=small.demand, stake=stake) for where in BOTH
    ]
    urgent = only(task("urgent", 4, weight=100, seconds=10), "site=paris")
    later = replace(Snapshot(NOW, BOTH, (urgent,), tuple(busy)), now=NOW)
    policy = Policy(preemption_pause=0.0)
    assert [one.task_id for one in schedule(later, policy).preemptions] == ["on-p"]


def test_its_place_in_the_queue_is_what_it_would_be_without_conditions() -> None:
    busy = [running("r", BERLIN, 4, ends_in=600), running("q", PARIS, 4, ends_in=600)]
    plan = plan_of(BOTH, [only(task("a", 2), "site=berlin"), task("b", 2)], busy)
    assert wait_of(plan, "a").terms["index"] == wait_of(plan, "b").terms["index"]


def test_labels_that_change_while_it_waits_take_effect() -> None:
    scheduler = Scheduler([PARIS])
    scheduler.submit(only(task("t"), "site=berlin"))
    assert places(scheduler.plan(NOW)) == {}
    scheduler.set_nodes([at("berlin", PARIS)])
    assert places(scheduler.plan(NOW)) == {"t": ["p"]}


def test_what_runs_stays_where_the_labels_no_longer_ask_for_it() -> None:
    scheduler = Scheduler([PARIS])
    scheduler.submit(only(task("t"), "site=paris"))
    assert places(scheduler.plan(NOW)) == {"t": ["p"]}
    scheduler.set_nodes([at("rome", PARIS)])
    plan = scheduler.plan(NOW)
    assert (plan.preemptions, list(scheduler.running)) == ((), ["t"])


def test_explain_counts_the_nodes_that_are_elsewhere() -> None:
    snapshot = Snapshot(NOW, BOTH, (only(task("t"), "site=berlin"),), ())
    told = explain("t", snapshot, schedule(snapshot))
    assert [(one.lack, one.nodes) for one in told.excluded] == [("label", 1)]
    assert [candidate.nodes for candidate in told.candidates] == [1]


def test_advice_leaves_out_classes_that_are_elsewhere() -> None:
    nodes = (BERLIN, at("paris", node("arm", 4, cpu_class="cpu-arm")))
    choices = rank_classes(Snapshot(NOW, nodes, (), ()), only(task("t"), "site=paris"), Policy())
    assert [(one.resource_class, one.nodes) for one in choices] == [("cpu-arm", ("arm",))]
