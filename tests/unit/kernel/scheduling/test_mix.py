"""What is asked for at large sets prices, and prices steer work away from what others need more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.demand import shape_of
from lepton_ai.kernel.scheduling.fleet import Fleet
from lepton_ai.kernel.scheduling.mix import Mix, Wish, wish_of
from lepton_ai.kernel.scheduling.snapshot import WaitingTask
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import node, places, plan_of, queues, running, task

TWO_KINDS = [node("a", 8, "t4", "t4"), node("b", 8, "t4", "t4"), node("c", 8, "h100", "h100")]


def any_gpu(name: str, *, cpus: float = 1, count: int = 1) -> WaitingTask:
    return task(name, cpus, gpu=AcceleratorRequest(count=count))


def picky(name: str, kind: str) -> WaitingTask:
    return task(name, gpu=AcceleratorRequest(kind=kind))


def prices_of(*tasks: WaitingTask, waiting: Sequence[WaitingTask] = ()) -> dict[str, float]:
    fleet = Fleet(TWO_KINDS)
    mix = Mix(fleet)
    for one in (*tasks, *waiting):
        mix.add(shape_of(one.demand))
    queued = Counter[Wish]()
    for wish, devices in (wish_of(shape_of(one.demand)) for one in waiting):
        queued[wish] += devices
    return dict(zip(fleet.device_kinds, mix.prices(queued).by_kind, strict=True))


def test_kinds_that_everybody_accepts_cost_the_same() -> None:
    assert prices_of(any_gpu("x"), any_gpu("y")) == {"h100": 1.0, "t4": 1.0}


def test_a_kind_that_some_accept_nothing_but_costs_more() -> None:
    prices = prices_of(any_gpu("x"), picky("y", "h100"))
    assert prices["h100"] == pytest.approx(2.0)  # (1 + 3) / 2
    assert prices["t4"] == pytest.approx(0.5)


def test_a_queue_for_one_kind_makes_it_dearer_still() -> None:
    prices = prices_of(any_gpu("x"), waiting=[any_gpu("y"), picky("z", "h100")])
    assert prices["t4"] == pytest.approx(2**-0.5, rel=0.01)  # 2 / 3, in steps of 2^(1/4)
    assert prices["h100"] == pytest.approx(2**4.75, rel=0.01)  # (1 + 1 + 3) / 3 x ((1 + 3) / 1)^2, likewise


def test_who_waits_alone_leaves_the_prices_of_what_it_accepts_as_they_are() -> None:
    assert prices_of(picky("y", "h100"), waiting=[any_gpu("x")]) == prices_of(picky("y", "h100"), any_gpu("x"))


def test_work_that_takes_any_device_leaves_the_sought_kind_alone() -> None:
    plan = plan_of(TWO_KINDS, [any_gpu("x"), *(picky(f"p{i}", "h100") for i in range(3))])
    assert places(plan)["x"] in (["a"], ["b"])


def test_what_runs_counts_as_asked_for() -> None:
    mix = Mix(Fleet(TWO_KINDS))
    mix.add(shape_of(any_gpu("x", cpus=4, count=2).demand))
    assert mix.prices().cpu_per_device == pytest.approx(2.0)
    mix.add(shape_of(any_gpu("x", cpus=4, count=2).demand), -1)
    assert mix.prices() == Mix(Fleet(TWO_KINDS)).prices()


def test_a_task_goes_where_it_strands_no_device() -> None:
    """On `tight` the CPUs that it takes would leave three devices without any; on `roomy` they feed all."""
    tight, roomy = node("tight", 8, *["t4"] * 4), node("roomy", 32, *["t4"] * 4)
    busy = [running("r", tight, 1, ends_in=900), running("s", roomy, 1, ends_in=900)]
    plan = plan_of([tight, roomy], [any_gpu("greedy", cpus=7), *(any_gpu(f"q{i}", cpus=2) for i in range(3))], busy)
    assert places(plan)["greedy"] == ["roomy"]


@settings(max_examples=100, deadline=None)
@given(queues(), st.randoms(use_true_random=False))
def test_prices_do_not_depend_on_the_order_of_arrival(queue: tuple[WaitingTask, ...], rng: Random) -> None:
    shuffled = list(queue)
    rng.shuffle(shuffled)
    assert prices_of(*queue) == prices_of(*shuffled)
