"""Preemption: somebody is stopped only if that saves more weighted time than it costs."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import (
    Expectation,
    NodeView,
    Plan,
    Policy,
    Restart,
    RunningTask,
    Stake,
    WaitingTask,
)
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import GB, NOW, node, overcommitments, places, plan_of, running, task

A, B = node("a", 8), node("b", 8)
GAIN = Policy().preemption_gain


def staked(one: RunningTask, left: float, ran: float = 1e5, weight: float = 1.0, **restart: float) -> RunningTask:
    """Let `one` be preemptible: it is expected to run `left` seconds more, and has done so for `ran`."""
    expected = {"": Expectation(left, left, "stated")}
    back = Restart(restart.get("seconds", 10.0), bool(restart.get("resumes", True)))
    return replace(
        one,
        demand=task(one.id, one.allocations[0].cpu_milli / 1000).demand,
        stake=Stake(weight, expected, NOW, NOW - timedelta(seconds=ran), back),
    )


def stopped(plan: Plan) -> dict[str, list[str]]:
    """Return who is stopped, by the task that it makes room for."""
    found: dict[str, list[str]] = {}
    for one in plan.preemptions:
        found.setdefault(one.for_task, []).append(one.task_id)
    return found


LONG = staked(running("long", A, 8, ends_in=90_000), left=90_000)


def test_a_short_task_takes_the_place_of_a_long_one_that_can_go_on_later() -> None:
    plan = plan_of([A], [task("short", 8, seconds=60)], [LONG])
    assert stopped(plan) == {"short": ["long"]}
    assert places(plan) == {}


def test_nobody_without_a_stake_is_stopped() -> None:
    plan = plan_of([A], [task("short", 8, seconds=60)], [replace(LONG, stake=None)])
    assert stopped(plan) == {}


@pytest.mark.parametrize(("weight", "expected"), [(1.01, {"t": ["long"]}), (0.99, {})])
def test_what_it_saves_must_be_more_than_the_gain_times_what_it_costs(weight: float, expected: object) -> None:
    # Saved: weight x 90,000 s. Cost: (10 s restart + 1,000 s of the other), times the gain.
    long = replace(LONG, stake=replace(LONG.stake, weight=90_000 / 1010 / GAIN))  # type: ignore[type-var]
    wanted = task("t", 8, seconds=1000, weight=weight)
    assert stopped(plan_of([A], [wanted], [long])) == expected


def test_whoever_has_just_started_is_left_alone() -> None:
    fresh = staked(running("long", A, 8, ends_in=90_000), left=90_000, ran=10 * Policy().preemption_pause - 1)
    assert stopped(plan_of([A], [task("short", 8, seconds=60)], [fresh])) == {}


def test_work_that_would_be_lost_is_counted() -> None:
    lost = staked(running("long", A, 8, ends_in=90_000), left=90_000, ran=1e6, resumes=False)
    assert stopped(plan_of([A], [task("short", 8, seconds=60)], [lost])) == {}


def test_a_task_with_room_elsewhere_moves_for_one_that_has_none() -> None:
    nodes = [A, node("b", 2)]
    small = staked(running("small", A, 2, ends_in=2000), left=2000)
    # Its turn would come before the other's, so it could not be displaced; but it can go on on node b.
    plan = plan_of(nodes, [task("big", 8, seconds=9000)], [small])
    assert stopped(plan) == {"big": ["small"]}
    assert stopped(plan_of([A], [task("big", 8, seconds=9000)], [small])) == {}


def test_no_more_are_stopped_than_have_to() -> None:
    busy = [staked(running(f"r{i}", A, 2, ends_in=90_000 + i), left=90_000 + i) for i in range(4)]
    assert len(plan_of([A], [task("short", 3, seconds=60)], busy).preemptions) == 2
    assert len(plan_of([A], [task("short", 2, seconds=60)], busy).preemptions) == 1


def test_a_gang_has_as_many_stopped_as_it_has_replicas_without_room() -> None:
    busy = [staked(running(one.name, one, 8, ends_in=90_000), left=90_000) for one in (A, B)]
    plan = plan_of([A, B, node("c", 8)], [task("gang", 8, size=3, seconds=60)], busy)
    assert stopped(plan) == {"gang": ["a", "b"]}


def test_the_room_that_is_made_is_kept_for_whom_it_is_made() -> None:
    scheduler = Scheduler([A])
    for one in (staked(running(f"r{i}", A, 4, ends_in=90_000), left=90_000) for i in range(2)):
        scheduler.run(one)
    scheduler.submit(task("big", 8, seconds=60))
    assert sorted(stopped(scheduler.plan(NOW))["big"]) == ["r0", "r1"]
    scheduler.forget("r0")
    # More urgent than `big`, and there is room for it; but that room was made for another.
    scheduler.submit(task("urgent", 4, seconds=1000, weight=1e6))
    plan = scheduler.plan(NOW + timedelta(seconds=1))
    assert (places(plan), plan.preemptions) == ({}, ())
    scheduler.forget("r1")
    assert places(scheduler.plan(NOW + timedelta(seconds=2))) == {"big": ["a"]}


def test_whoever_is_stopped_already_is_not_stopped_again() -> None:
    scheduler = Scheduler([A])
    scheduler.run(LONG)
    scheduler.submit(task("short", 8, seconds=60))
    assert stopped(scheduler.plan(NOW)) == {"short": ["long"]}
    scheduler.submit(task("other", 8, seconds=30))
    assert stopped(scheduler.plan(NOW + timedelta(seconds=1))) == {}


def test_the_sentence_and_the_terms_say_what_it_saves_and_costs() -> None:
    (one,) = plan_of([A], [task("short", 8, seconds=60)], [LONG]).preemptions
    assert one.terms == {"saved": 90_000.0, "cost": 70.0, "gain": GAIN}
    assert "makes room for 'short'" in one.sentence


odd = st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 1e12, 1e-9])


@settings(max_examples=100, deadline=None)
@given(left=odd, weight=odd, seconds=odd, own=odd)
def test_nonsense_is_survived(left: float, weight: float, seconds: float, own: float) -> None:
    long = staked(running("long", A, 8, ends_in=90_000), left=left, weight=weight, seconds=seconds)
    plan = plan_of([A], [task("t", 8, seconds=own, weight=own)], [long])
    assert {one.task_id for one in plan.preemptions} <= {"long"}


class Machine:
    """Carries plans out on a clock: whoever is preempted waits for the rest, and pays for the restart."""

    def __init__(self, nodes: list[NodeView], tasks: list[WaitingTask], restart: float) -> None:
        self.nodes, self.scheduler, self.restart = nodes, Scheduler(nodes), restart
        self.tasks = {one.id: replace(one, restart=Restart(restart)) for one in tasks}
        self.left = {one.id: one.expectations[""].median for one in tasks}
        self.ends: dict[str, tuple[float, float]] = {}  # begin and end of those that run
        self.preempted: Counter[str] = Counter()
        self.held = {}  # type: ignore[var-annotated]

    def submit(self, name: str) -> None:
        left = self.left[name]
        self.scheduler.submit(replace(self.tasks[name], expectations={"": Expectation(left, left, "stated")}))

    def step(self, second: float) -> None:
        """Let end who ends by now, and plan until nobody is preempted any more."""
        for name in [name for name, (_, end) in self.ends.items() if end <= second]:
            self.scheduler.forget(name)
            del self.ends[name], self.held[name]
        is_settled = False
        while not is_settled:
            plan = self.scheduler.plan(NOW + timedelta(seconds=second))
            for placed in plan.placements:
                self.held[placed.task_id] = placed.allocations
                self.ends[placed.task_id] = second, second + self.left[placed.task_id]
            for one in plan.preemptions:
                self.preempted[one.task_id] += 1
                begin, _ = self.ends.pop(one.task_id)
                self.left[one.task_id] += self.restart - (second - begin)
                del self.held[one.task_id]
                self.submit(one.task_id)
            is_settled = not plan.preemptions
        assert not overcommitments(self.nodes, [one for held in self.held.values() for one in held])


arrivals = st.lists(
    st.tuples(st.integers(0, 5000), st.sampled_from([1, 2, 4, 8]), st.integers(1, 3000), st.sampled_from([1.0, 5.0])),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(arrivals, st.sampled_from([1.0, 10.0]))
def test_played_out_every_task_ends_and_is_preempted_a_bounded_number_of_times(
    arrivals: list[tuple[int, int, int, float]], restart: float
) -> None:
    gpu = {n: AcceleratorRequest(kind="t4", count=n) for n in (1, 2, 4, 8)}
    tasks = [
        task(f"{i:02}", 1, gpu=gpu[n], seconds=float(seconds), weight=weight)
        for i, (_, n, seconds, weight) in enumerate(arrivals)
    ]
    world = Machine([node("a", 64, *["t4"] * 8), node("b", 64, *["t4"] * 8)], tasks, restart)
    pending = sorted((at, f"{i:02}") for i, (at, _, _, _) in enumerate(arrivals))
    events: list[float] = [float(at) for at, _ in pending]
    heapq.heapify(events)
    second = 0.0
    while events:
        second = heapq.heappop(events)
        for _, name in [one for one in pending if one[0] == second]:
            world.submit(name)
        pending = [one for one in pending if one[0] > second]
        before = set(world.ends.values())
        world.step(second)
        for span in set(world.ends.values()) - before:
            heapq.heappush(events, span[1])
    assert not world.ends
    assert len(world.scheduler.plan(NOW + timedelta(seconds=second), tell=None).waits) == 0
    # Each time, it had run for the pause before: that is time of its own.
    most = 1 + second / (restart * Policy().preemption_pause)
    assert all(count <= most for count in world.preempted.values())


def test_memory_that_a_victim_holds_counts_too() -> None:
    big = WaitingTask("m", "m", replace(task("m", 1).demand, memory_bytes=30 * GB), 1.0, NOW, task("m").expectations)
    busy = staked(running("long", A, 1, ends_in=90_000), left=90_000)
    held = replace(busy.allocations[0], memory_bytes=30 * GB)
    assert stopped(plan_of([A], [big], [replace(busy, allocations=(held,))])) == {"m": ["long"]}
