"""What a pass decides, by examples."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from lepton_ai.kernel.scheduling.snapshot import Expectation, Policy, Refusal, Restart, WaitingTask
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import GB, NOW, node, places, plan_of, running, task, wait_of

T4 = "nvidia-t4-16gb"
H100 = "nvidia-h100-80gb"


def gpu(kind: str = "", count: int = 1, share: int = 1000, least_gb: int = 0) -> AcceleratorRequest:
    return AcceleratorRequest(kind=kind, count=count, share_milli=share, memory_bytes_min=least_gb * GB)


def test_a_short_task_goes_before_a_long_one_of_the_same_weight() -> None:
    plan = plan_of([node("a", 4)], [task("long", 4, seconds=100), task("short", 4, seconds=10)])
    assert places(plan) == {"short": ["a"]}


def test_ten_times_the_weight_outweighs_five_times_the_length() -> None:
    plan = plan_of([node("a", 4)], [task("short", 4, seconds=20), task("dear", 4, seconds=100, weight=10)])
    assert places(plan) == {"dear": ["a"]}


def test_a_small_task_goes_before_a_large_one_that_is_as_long() -> None:
    plan = plan_of([node("a", 4)], [task("a-large", 4), task("small", 1)])
    assert places(plan) == {"small": ["a"]}


def test_waiting_makes_a_long_task_overtake() -> None:
    young, old = task("young", 4, seconds=60), task("old", 4, seconds=100, age=600)
    assert places(plan_of([node("a", 4)], [young, old])) == {"old": ["a"]}


def test_age_counts_for_more_where_a_start_can_be_taken_back() -> None:
    young, old = task("young", 4, seconds=60), task("old", 4, seconds=4000, age=9000)
    assert places(plan_of([node("a", 4)], [young, old])) == {"young": ["a"]}
    assert places(plan_of([node("a", 4)], [young, replace(old, restart=Restart(60))])) == {"old": ["a"]}


def test_past_the_starvation_bound_the_oldest_is_first_whatever_its_weight() -> None:
    policy = Policy(starvation_bound=timedelta(hours=1))
    queue = [task("dear", 4, weight=1e6, age=3000), task("poor", 4, weight=0, age=3700), task("late", 4, age=3650)]
    assert places(plan_of([node("a", 4)], queue, policy=policy)) == {"poor": ["a"]}


def test_a_gang_takes_several_nodes_at_once() -> None:
    plan = plan_of([node("a", 4), node("b", 4), node("c", 4)], [task("gang", 2, size=5)])
    assert sorted(Counter(places(plan)["gang"]).values()) == [1, 2, 2]
    assert [allocation.rank for allocation in plan.placements[0].allocations] == [0, 1, 2, 3, 4]


def test_a_gang_that_lacks_one_place_takes_none() -> None:
    a, b = node("a", 4), node("b", 4)
    plan = plan_of([a, b], [task("gang", 4, size=2)], [running("train-a", b, 1, ends_in=180)])
    wait = wait_of(plan, "gang")
    assert plan.placements == ()
    assert wait.refusal is Refusal.BUSY
    assert "a gang of 2 x 4 CPUs has room for 1 of 2 replicas now" in wait.sentence
    assert "the rest is expected in 3 min when 'train-a' ends" in wait.sentence


def test_a_gang_larger_than_the_cluster_says_how_much_there_is() -> None:
    wait = wait_of(plan_of([node("a", 2)], [task("gang", 2, size=4)]), "gang")
    assert wait.refusal is Refusal.TOO_LARGE
    assert (
        wait.sentence
        == "a gang of 4 x 2 CPUs needs 8 CPUs; there are 2 CPUs in all (cpu-avx2): it waits until nodes join"
    )
    assert wait.expected_start is None


def test_a_task_larger_than_any_node_says_how_large_the_largest_is() -> None:
    wait = wait_of(plan_of([node("a", 2), node("b", 8)], [task("large", 16)]), "large")
    assert (wait.refusal, wait.sentence) == (
        Refusal.TOO_LARGE,
        "needs 16 CPUs on one node; the largest has 8: it waits until a larger node joins",
    )


def test_a_busy_task_is_told_what_is_free_and_when_more_will_be() -> None:
    big = node("big", 8)
    wait = wait_of(plan_of([big], [task("t", 4)], [running("train-a", big, 6, ends_in=180)]), "t")
    assert wait.refusal is Refusal.BUSY
    assert wait.sentence.startswith(
        "needs 4 CPUs; node big has 2 of 8 free; the next are expected in 3 min when 'train-a' ends"
    )
    assert wait.expected_start == NOW + timedelta(seconds=180)


def test_nobody_can_say_when_a_service_will_make_room() -> None:
    big = node("big", 8)
    wait = wait_of(plan_of([big], [task("t", 4)], [running("service", big, 6, ends_in=None)]), "t")
    assert "nobody can say when" in wait.sentence
    assert wait.expected_start is None


def test_an_overdue_task_is_assumed_to_need_as_long_again() -> None:
    big = node("big", 8)
    wait = wait_of(plan_of([big], [task("t", 4)], [running("late", big, 6, ends_in=-300)]), "t")
    assert wait.expected_start == NOW + timedelta(seconds=300)
    assert "'late', which is overdue, ends" in wait.sentence


def test_a_device_that_no_node_has_is_named_beside_those_that_there_are() -> None:
    wait = wait_of(plan_of([node("a", 4, T4)], [task("t", gpu=gpu("h100", 2))]), "t")
    assert (wait.refusal, wait.sentence) == (
        Refusal.NO_SUCH_DEVICE,
        "asks for 2 h100; there is none, only nvidia-t4-16gb, cpu-avx2",
    )


def test_more_devices_than_one_node_has_is_too_large() -> None:
    wait = wait_of(plan_of([node("a", 4, T4), node("b", 4, T4, T4)], [task("t", gpu=gpu("t4", 4))]), "t")
    assert wait.refusal is Refusal.TOO_LARGE
    assert "needs 4 t4 on one node; the most on one is 2" in wait.sentence


def test_device_memory_below_the_wish_is_no_such_device() -> None:
    wait = wait_of(plan_of([node("a", 4, T4)], [task("t", gpu=gpu(least_gb=24))]), "t")
    assert wait.refusal is Refusal.NO_SUCH_DEVICE
    assert "with at least 24.0 GB" in wait.sentence


def test_without_nodes_everything_waits_for_one() -> None:
    wait = wait_of(plan_of([], [task("t")]), "t")
    assert (wait.refusal, wait.rank) == (Refusal.NO_NODES, 1)


def test_cordoned_nodes_get_nothing_new() -> None:
    wait = wait_of(plan_of([node("a", 4, is_schedulable=False)], [task("t")]), "t")
    assert wait.refusal is Refusal.NO_NODES
    assert "none of the 1 nodes takes new work" in wait.sentence


def test_cpu_work_leaves_accelerators_alone_while_a_cpu_node_has_room() -> None:
    nodes = [node("a-gpu", 8, T4), node("b-cpu", 2)]
    plan = plan_of(nodes, [task("one", 1), task("two", 1), task("three", 1)])
    assert sorted(where[0] for where in places(plan).values()) == ["a-gpu", "b-cpu", "b-cpu"]


def test_single_tasks_fill_a_used_node_so_that_whole_nodes_stay_free() -> None:
    nodes = [node("a", 4), node("b", 4)]
    plan = plan_of(nodes, [task("t", 1)], [running("r", nodes[1], 1, ends_in=100)])
    assert places(plan) == {"t": ["b"]}


def test_shares_fill_a_broken_device_before_a_whole_one_is_broken() -> None:
    nodes = [node("a", 8, T4, T4)]
    plan = plan_of(nodes, [task(f"s{i}", gpu=gpu("t4", share=500)) for i in range(2)] + [task("w", gpu=gpu("t4"))])
    devices = {p.task_id: p.allocations[0].devices[0].device_id for p in plan.placements}
    assert devices["s0"] == devices["s1"] != devices["w"]


def test_shares_of_other_sizes_fill_the_same_device() -> None:
    nodes = [node("a", 8, T4), node("b", 8, T4)]
    plan = plan_of(nodes, [task("x", gpu=gpu("t4", share=500)), task("y", gpu=gpu("t4", share=300))])
    assert len({p.allocations[0].devices[0].device_id for p in plan.placements}) == 1


def heterogeneous(name: str, fast: float, slow: float) -> WaitingTask:
    expectations = {H100: Expectation(fast, fast, "measured"), T4: Expectation(slow, slow, "measured")}
    return replace(task(name, gpu=gpu("nvidia")), expectations=expectations)


def test_of_two_free_classes_the_faster_is_taken() -> None:
    nodes = [node("a", 8, T4), node("b", 8, H100)]
    plan = plan_of(nodes, [heterogeneous("t", 60, 600)])
    assert places(plan) == {"t": ["b"]}
    assert plan.placements[0].expected_seconds == 60


def test_a_task_waits_for_the_fast_class_if_it_ends_sooner_that_way() -> None:
    nodes = [node("a", 8, T4), node("b", 8, H100)]
    plan = plan_of(nodes, [heterogeneous("t", 60, 600)], [running("r", nodes[1], 1, ends_in=120, devices=1)])
    wait = wait_of(plan, "t")
    assert "could start now on nvidia-t4-16gb and take about 10 min" in wait.sentence
    assert wait.expected_start == NOW + timedelta(seconds=120)


def test_a_task_starts_on_the_slow_class_if_the_fast_one_is_busy_for_too_long() -> None:
    nodes = [node("a", 8, T4), node("b", 8, H100)]
    plan = plan_of(nodes, [heterogeneous("t", 60, 600)], [running("r", nodes[1], 1, ends_in=900, devices=1)])
    assert places(plan) == {"t": ["a"]}
    assert "nvidia-h100-80gb is busy, and waiting for it would take longer" in plan.placements[0].sentence


def test_a_gang_that_no_single_class_can_hold_spreads_over_several() -> None:
    nodes = [node("a", 2), node("b", 2, cpu_class="cpu-arm")]
    plan = plan_of(nodes, [task("gang", 2, size=2)])
    assert {a.resource_class for a in plan.placements[0].allocations} == {"cpu-avx2", "cpu-arm"}


def test_the_terms_of_a_placement_reproduce_its_index() -> None:
    terms = plan_of([node("a", 4)], [task("t", 1, weight=3, age=60)]).placements[0].terms
    reproduced = terms["weight"] * terms["age"] / (terms["expected_seconds"] * terms["share"])
    assert terms["index"] == pytest.approx(reproduced)
    assert reproduced == pytest.approx(3 * (1 + 60 / (120 + 60)) / (60 * 0.25))


def test_ranks_count_the_queue_from_one() -> None:
    plan = plan_of([node("a", 1)], [task(f"t{i}", 1, seconds=10 + i) for i in range(4)])
    assert [(wait.task_id, wait.rank) for wait in plan.waits] == [("t1", 2), ("t2", 3), ("t3", 4)]
