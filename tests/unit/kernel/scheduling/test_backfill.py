"""Backfill: later tasks use what the head cannot, and never delay it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.held import OVERDUE_SECONDS_MIN, SOON_SECONDS
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import Plan, Policy, Refusal, RunningTask, Snapshot, Wait, WaitingTask
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import (
    NOW,
    node,
    places,
    plan_of,
    play,
    queues,
    running,
    snapshots,
    started,
    task,
    wait_of,
)

BIG = node("big", 8)
ONE = Policy(reservations=1)
ROUNDING = timedelta(microseconds=1)  # seconds since 1970 as a float are no finer
HEAD = task("head", 8, seconds=100, weight=1000)


def test_a_task_that_ends_in_time_is_backfilled() -> None:
    plan = plan_of([BIG], [HEAD, task("short", 2, seconds=100)], [running("r", BIG, 4, ends_in=120)])
    assert places(plan) == {"short": ["big"]}
    assert wait_of(plan, "head").terms["reserved_in_seconds"] == 120


def test_a_task_that_would_end_too_late_waits_and_is_told_for_whom() -> None:
    plan = plan_of([BIG], [HEAD, task("long", 2, seconds=130)], [running("r", BIG, 4, ends_in=120)], ONE)
    wait = wait_of(plan, "long")
    assert wait.refusal is Refusal.RESERVED
    assert "would delay 'head', which is before it and due in 2 min" in wait.sentence


def test_the_80th_percentile_decides_whether_a_task_ends_in_time() -> None:
    plan = plan_of([BIG], [HEAD, task("unsure", 2, seconds=60, p80=130)], [running("r", BIG, 4, ends_in=120)])
    assert wait_of(plan, "unsure").refusal is Refusal.RESERVED


def test_a_long_task_is_backfilled_where_it_does_not_touch_the_reservation() -> None:
    nodes = [BIG, node("small", 2)]
    plan = plan_of(nodes, [HEAD, task("long", 2, seconds=9000)], [running("r", BIG, 4, ends_in=120)])
    assert places(plan) == {"long": ["small"]}


def test_a_long_task_may_use_what_the_head_leaves_on_its_node() -> None:
    head = task("head", 6, seconds=100, weight=1000)
    queue = [head, task("one", 1, seconds=9000), task("two", 1, seconds=9001), task("three", 1, seconds=9002)]
    plan = plan_of([BIG], queue, [running("r", BIG, 4, ends_in=120)])
    assert places(plan) == {"one": ["big"], "two": ["big"]}
    assert wait_of(plan, "three").refusal is Refusal.RESERVED


def test_devices_are_reserved_one_by_one() -> None:
    host = node("host", 8, "t4", "t4")
    head = task("head", gpu=AcceleratorRequest(kind="t4", count=2), weight=1000)
    late = task("late", gpu=AcceleratorRequest(kind="t4", share_milli=500), seconds=9000)
    plan = plan_of([host], [head, late], [running("r", host, 1, ends_in=120, devices=1)])
    assert wait_of(plan, "late").refusal is Refusal.RESERVED


def test_two_reservations_protect_the_second_in_line_too() -> None:
    nodes = [node("a", 8), node("b", 4, "t4")]
    busy = [running("r", nodes[0], 4, ends_in=120), running("s", nodes[1], 2, ends_in=500)]
    second = task("second", 4, gpu=AcceleratorRequest(kind="t4"), weight=500)
    queue = [HEAD, second, task("late", 2, seconds=600)]
    assert places(plan_of(nodes, queue, busy, ONE)) == {"late": ["b"]}
    assert places(plan_of(nodes, queue, busy, Policy(reservations=2))) == {}


def heads_of(plan: Plan) -> list[Wait]:
    return [wait for wait in plan.waits if "reserved_in_seconds" in wait.terms]


@settings(max_examples=300, deadline=None)
@given(snapshots())
def test_the_head_can_start_when_its_reservation_says_so(snapshot: Snapshot) -> None:
    plan = schedule(snapshot)
    for wait in heads_of(plan):
        then = snapshot.now + timedelta(seconds=wait.terms["reserved_in_seconds"]) + ROUNDING
        head = tuple(one for one in snapshot.waiting if one.id == wait.task_id)
        known = tuple(one for one in snapshot.running if one.expected_end is None or _ends(one, snapshot) > then)
        new = tuple(one for one in started(plan, snapshot) if one.expected_end is None or one.expected_end > then)
        alone = schedule(Snapshot(then, snapshot.nodes, head, known + new))
        # Alone it may decline: it sees a class where it would end sooner, which those before it take.
        declined = [one.task_id for one in alone.waits if "declined_seconds" in one.terms]
        assert [p.task_id for p in alone.placements] + declined == [wait.task_id]


def _ends(one: RunningTask, snapshot: Snapshot) -> datetime:
    left = ((one.expected_end or snapshot.now) - snapshot.now).total_seconds()
    assumed = max(-left, OVERDUE_SECONDS_MIN) if left < 0 else max(left, SOON_SECONDS)
    return snapshot.now + timedelta(seconds=assumed)


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_those_behind_the_head_do_not_change_its_reservation(snapshot: Snapshot) -> None:
    """They do set prices, by which those before the head choose among nodes; CPU work alone has none."""
    snapshot = replace(snapshot, waiting=tuple(one for one in snapshot.waiting if one.demand.accelerator is None))
    plan = schedule(snapshot)
    for wait in heads_of(plan):
        behind = {w.task_id for w in plan.waits if w.rank > wait.rank}
        behind |= {p.task_id for p in plan.placements if p.terms["rank"] > wait.rank}
        before = tuple(one for one in snapshot.waiting if one.id not in behind)
        without = schedule(Snapshot(snapshot.now, snapshot.nodes, before, snapshot.running))
        assert wait_of(without, wait.task_id).expected_start == wait.expected_start


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 50)), min_size=1, max_size=12))
def test_played_out_the_head_starts_no_later_than_promised(sizes: list[tuple[int, int]]) -> None:
    nodes = [node("a", 8), node("b", 4)]
    queue = [task(f"t{i}", cpus, seconds=float(seconds)) for i, (cpus, seconds) in enumerate(sizes)]
    promised = {w.task_id: (w.expected_start or NOW) - NOW for w in heads_of(plan_of(nodes, queue, policy=ONE))}
    starts = play(nodes, [(0.0, one) for one in queue], Policy(ageing_tau=timedelta(days=10**6), reservations=1))
    assert all(starts[name] <= delay.total_seconds() + 1e-6 for name, delay in promised.items())


def test_nothing_starves_under_a_stream_of_short_tasks() -> None:
    """A gang that needs everything meets a stream of short, dear tasks that alone would keep the node busy."""
    bound = timedelta(seconds=100)
    stream = [(float(second), task(f"s{second}", 2, seconds=20, weight=1e6)) for second in range(0, 600, 3)]
    stream.append((0.0, task("gang", 2, size=4, seconds=20)))
    starts = play([BIG], _dated(stream), Policy(starvation_bound=bound))
    assert starts["gang"] <= 100 + 20 + 3
    assert len(starts) == len(stream)


def _dated(queue: list[tuple[float, WaitingTask]]) -> list[tuple[float, WaitingTask]]:
    return [(second, replace(one, submitted_at=NOW + timedelta(seconds=second))) for second, one in queue]


@settings(max_examples=50, deadline=None)
@given(queues())
def test_with_no_reservations_wished_none_is_made(queue: tuple[WaitingTask, ...]) -> None:
    assert heads_of(plan_of([node("a", 4)], queue, policy=Policy(reservations=0))) == []
