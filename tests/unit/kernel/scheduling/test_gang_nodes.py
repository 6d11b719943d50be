"""Gangs that say on how many nodes they run: exactly so many, with as many replicas each, or not at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from lepton_ai.kernel.scheduling.explain import explain
from lepton_ai.kernel.scheduling.snapshot import NodeView, Refusal, Snapshot, WaitingTask
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.test_preempt import A, B, staked, stopped
from tests.unit.kernel.scheduling.worlds import NOW, node, places, plan_of, running, task, wait_of

T4 = "nvidia-t4-16gb"


def over(nodes: int, each: int, one: WaitingTask) -> WaitingTask:
    return replace(one, demand=replace(one.demand, size=nodes * each, per_node=each))


def test_a_gang_takes_as_many_replicas_on_each_node_as_it_says() -> None:
    plan = plan_of([node("a", 8), node("b", 4), node("c", 4)], [over(2, 2, task("gang"))])
    assert sorted(Counter(places(plan)["gang"]).values()) == [2, 2]
    assert [allocation.rank for allocation in plan.placements[0].allocations] == [0, 1, 2, 3]
    assert len(set(places(plan)["gang"][:2])) == 1  # ranks beside one another share a node


def test_a_node_with_room_for_all_of_it_takes_only_its_part() -> None:
    wait = wait_of(plan_of([node("a", 8), node("b", 1)], [over(2, 2, task("gang"))]), "gang")
    assert wait.refusal is Refusal.TOO_LARGE


def test_one_node_that_is_asked_for_holds_all_of_it() -> None:
    nodes = [node("a", 2), node("b", 2), node("c", 4)]
    assert places(plan_of(nodes, [over(1, 4, task("gang"))])) == {"gang": ["c"] * 4}


def test_a_replica_on_each_node_spreads_it() -> None:
    plan = plan_of([node("a", 8), node("b", 8), node("c", 8)], [over(3, 1, task("gang"))])
    assert sorted(places(plan)["gang"]) == ["a", "b", "c"]


def test_a_gang_that_has_room_on_too_few_nodes_says_on_how_many_and_starts_nowhere() -> None:
    a, b = node("a", 4), node("b", 4)
    plan = plan_of([a, b], [over(2, 2, task("gang", 2))], [running("train-a", b, 1, ends_in=180)])
    wait = wait_of(plan, "gang")
    assert plan.placements == ()
    assert "a gang of 2 nodes with 2 x 2 CPUs each has room on 1 of 2 nodes now; the rest is expected" in wait.sentence
    assert "when 'train-a' ends" in wait.sentence


@pytest.mark.parametrize(
    ("nodes", "gang", "sentence"),
    [
        (
            [node("a", 8), node("b", 4), node("c", 1)],
            over(3, 2, task("gang", 2)),
            "a gang of 3 nodes with 2 x 2 CPUs each needs 4 CPUs and 2.0 GB on each of 3 nodes; that would fit on "
            "2 of 3 nodes of cpu-avx2 (1 with too few CPUs): it waits until nodes join",
        ),
        (
            [node("a", 8, T4, T4), node("b", 8, T4)],
            over(2, 2, task("gang", gpu=AcceleratorRequest(kind="t4"))),
            "a gang of 2 nodes with 2 x 1 t4 each needs 2 CPUs, 2.0 GB and 2 x 1 t4 on each of 2 nodes; that would fit "
            "on 1 of 2 nodes of nvidia-t4-16gb (1 with too few devices): it waits until nodes join",
        ),
        (
            [node("a", 4), node("b", 4, cpu_class="cpu-arm")],
            task("gang", 3, size=3),
            "a gang of 3 x 3 CPUs needs 9 CPUs; there are 8 CPUs in all (cpu-arm, cpu-avx2): it waits until nodes join",
        ),
        (
            [node("a", 4), node("b", 5)],
            task("gang", 3, size=3),
            "a gang of 3 x 3 CPUs has room for 2 of its replicas even on empty nodes: each node is left with too "
            "few CPUs for one more, 3 CPUs and 1.0 GB (cpu-avx2): it waits until nodes join",
        ),
    ],
)
def test_a_gang_that_can_never_fit_says_what_falls_short_of_which_class(
    nodes: list[NodeView], gang: WaitingTask, sentence: str
) -> None:
    assert wait_of(plan_of(nodes, [gang]), "gang").sentence == sentence


def test_shares_of_one_device_may_be_taken_by_several_replicas_of_a_node() -> None:
    nodes = [node("a", 4, T4), node("b", 4, T4)]
    gang = over(2, 2, task("gang", gpu=AcceleratorRequest(kind="t4", share_milli=500)))
    assert sorted(places(plan_of(nodes, [gang]))["gang"]) == ["a", "a", "b", "b"]


def test_as_many_are_stopped_as_each_node_needs() -> None:
    rows = (("a1", A), ("a2", A), ("b1", B), ("b2", B))
    busy = [staked(running(name, where, 4, ends_in=90_000), left=90_000) for name, where in rows]
    plan = plan_of([A, B], [over(2, 2, task("gang", 4, seconds=60))], busy)
    assert stopped(plan) == {"gang": ["a1", "a2", "b1", "b2"]}


def test_an_explanation_says_what_a_node_lacks_for_its_part() -> None:
    a, b = node("a", 4), node("b", 4)
    snapshot = Snapshot(NOW, (a, b), (over(2, 2, task("gang", 2)),), (running("train-a", b, 1, ends_in=180),))
    plan = plan_of(snapshot.nodes, snapshot.waiting, snapshot.running)
    candidate = explain("gang", snapshot, plan).candidates[0]
    assert (candidate.nodes_with_room, candidate.has_room) == (1, False)
    assert [verdict.sentence for verdict in candidate.best_nodes] == [
        "node a has room for 2 of 4 replicas: 2 CPUs and 1.0 GB",
        "needs 4 CPUs; node b has 3 of 4 free",
    ]
    assert [(one.lack, one.nodes) for one in candidate.lacks] == [("cpu", 1)]
