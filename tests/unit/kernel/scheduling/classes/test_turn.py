"""Who runs on which class, as a plan says it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import Plan, Policy, Price, RunningTask, Snapshot, WaitingTask
from lepton_ai.types.where import read_where
from tests.unit.kernel.scheduling.classes.fleets import FAST, LONG, MIDDLE, SLOW, fleet, on, play, trial
from tests.unit.kernel.scheduling.worlds import GB, NOW, places, wait_of

BOTH = fleet(FAST, SLOW)  # n0 and n1
EAGER = trial("eager", {FAST: 1000.0, SLOW: 10_000.0})
EASY = trial("easy", {FAST: 1000.0, SLOW: 1500.0})


def test_the_fast_class_goes_to_the_task_that_gains_most_by_it() -> None:
    plan = schedule(Snapshot(NOW, BOTH, (EASY, EAGER), ()))
    assert places(plan) == {"eager": ["n0"], "easy": ["n1"]}


def test_a_task_that_gains_little_moves_out_of_the_way_of_one_that_gains_much() -> None:
    plan, runs = _beside(EASY, EAGER)
    assert {(stop.task_id, stop.for_task) for stop in plan.preemptions} == {("easy", "eager")}
    assert wait_of(plan, "eager").rank == 1
    assert runs.allocations[0].node == "n0"


def test_who_was_stopped_and_who_stopped_it_both_start_in_the_next_plan() -> None:
    scheduler = _with(EASY, EAGER)
    scheduler.submit(EASY)
    plan = scheduler.plan(NOW)
    assert places(plan) == {"eager": ["n0"], "easy": ["n1"]}
    assert not scheduler.plan(NOW).preemptions


def test_the_numbers_of_a_preemption_reproduce_it() -> None:
    plan, _ = _beside(EASY, EAGER)
    terms = plan.preemptions[0].terms
    surplus = {kind: terms[f"value {kind}"] - terms[f"bid {kind}"] for kind in (FAST, SLOW)}
    assert surplus[SLOW] > max(surplus[FAST], 0.0)
    assert terms[f"price {FAST}"] > terms[f"price {SLOW}"] == 1.0


def test_the_numbers_of_a_placement_reproduce_it() -> None:
    plan = schedule(Snapshot(NOW, BOTH, (EASY, EAGER), ()))
    first = next(one for one in plan.placements if one.task_id == "eager")
    assert first.terms[f"value {FAST}"] - first.terms[f"bid {FAST}"] > first.terms[f"value {SLOW}"]
    assert "where it saves most for its price" in first.sentence


def test_a_task_that_waits_for_its_turn_is_told_the_price() -> None:
    queue = (EAGER, EASY, trial("long", {FAST: 90_000.0, SLOW: 900_000.0}))
    wait = wait_of(schedule(Snapshot(NOW, BOTH, queue, ())), "long")
    assert "waits for its turn: on k80" in wait.sentence
    assert "a second of v100 costs 7.9 seconds of k80 today" in wait.sentence
    assert wait.terms[f"bid {SLOW}"] > wait.terms[f"value {SLOW}"] > 0


def test_a_task_that_may_not_be_preempted_keeps_what_it_holds() -> None:
    plan, runs = _beside(EASY, EAGER)
    kept = replace(runs, stake=None)
    after = schedule(Snapshot(NOW, BOTH, (EAGER,), (kept,)))
    assert plan.preemptions
    assert not after.preemptions
    assert places(after) == {"eager": ["n1"]}


def test_nobody_behind_it_in_the_queue_takes_the_room_of_a_task_that_takes_part() -> None:
    stays = replace(trial("stays", {FAST: 1e6, SLOW: 1e6}, size=2), restart=None)
    plan = schedule(Snapshot(NOW, BOTH, (stays, EAGER), ()))
    assert places(plan) == {"eager": ["n0"]}
    assert wait_of(plan, "stays").rank == 2


def test_one_that_could_never_start_changes_nothing_for_those_who_take_part() -> None:
    never = replace(trial("never", {FAST: 1.0}, size=9), restart=None)
    queue = (EAGER, EASY, trial("long", {FAST: 90_000.0, SLOW: 900_000.0}))
    alone, beside = (schedule(Snapshot(NOW, BOTH, tasks, ())) for tasks in (queue, (*queue, never)))
    assert places(alone) == places(beside)
    assert wait_of(beside, "never").expected_start is None


def test_who_takes_part_does_not_pass_one_that_is_before_it_in_the_queue() -> None:
    stays = replace(trial("stays", {FAST: 1e6, SLOW: 1e6}, size=2, weight=1e6), restart=None)
    plan = schedule(Snapshot(NOW, BOTH, (stays, EAGER), ()))
    assert places(plan) == {"stays": ["n0", "n1"]}
    assert wait_of(plan, "eager").rank == 2


def test_a_task_that_takes_part_keeps_room_for_later_from_those_behind_it() -> None:
    nodes = fleet(FAST, SLOW, devices=2)
    half = [trial(f"half {kind}", {kind: 1000.0}) for kind in (FAST, SLOW)]
    starts = {one.task_id: one for one in schedule(Snapshot(NOW, nodes, tuple(half), ())).placements}
    held = tuple(replace(on(task, starts[task.id]), stake=None) for task in half)
    pair = trial("pair", {FAST: 1000.0, SLOW: 9000.0}, count=2)
    long = replace(trial("long", {FAST: 1e6}), restart=None)
    assert places(schedule(Snapshot(NOW, nodes, (pair, long), held))) == {}
    assert places(schedule(Snapshot(NOW, nodes, (long,), held))) == {"long": ["n0"]}


def test_whoever_was_assigned_a_class_does_not_pass_one_that_keeps_room_there_in_a_later_plan() -> None:
    scheduler = Scheduler(fleet(FAST, SLOW, devices=2))
    for name, seconds in (("ends", 100.0), ("stays", 200.0)):
        scheduler.submit(replace(trial(name, {FAST: seconds}), restart=None))
    scheduler.submit(trial("unlike", {FAST: 900.0, SLOW: 1000.0}))
    assert len(scheduler.plan(NOW).placements) == 3
    scheduler.submit(replace(trial("old", {FAST: 50.0}, count=2, age=8 * 86_400.0), restart=None))
    scheduler.submit(trial("long", {FAST: 10_000.0}))
    scheduler.forget("ends")
    assert [places(scheduler.plan(NOW + timedelta(seconds=s))) for s in (100, 101, 170, 171)] == [{}] * 4
    scheduler.forget("stays")
    assert places(scheduler.plan(NOW + timedelta(seconds=200))) == {"old": ["n0"]}


def test_a_task_moves_to_a_better_class_that_became_free() -> None:
    blocker = trial("blocker", {FAST: 10.0, SLOW: 1e6})
    start = schedule(Snapshot(NOW, BOTH, (blocker, EAGER), ()))
    by_id = {one.task_id: one for one in start.placements}
    after = schedule(Snapshot(NOW, BOTH, (), (on(EAGER, by_id["eager"]),)))
    assert [(stop.task_id, stop.for_task) for stop in after.preemptions] == [("eager", "eager")]
    assert "moves from k80 to v100" in after.preemptions[0].sentence


@pytest.mark.parametrize(("restart", "moves"), [(0.0, 1), (8000.0, 1), (9500.0, 0)])
def test_nobody_moves_who_loses_more_by_the_restart_than_the_class_gains(restart: float, moves: int) -> None:
    task = trial("t", {FAST: 1000.0, SLOW: 10_000.0}, restart=restart)
    start = schedule(Snapshot(NOW, BOTH[1:], (task,), ())).placements[0]
    assert len(schedule(Snapshot(NOW, BOTH, (), (on(task, start),))).preemptions) == moves


@pytest.mark.parametrize(("resumes", "moves"), [(True, 1), (False, 0)])
def test_a_task_that_does_not_resume_is_not_moved_once_most_is_done(resumes: bool, moves: int) -> None:
    task, late = trial("t", {FAST: 4000.0, SLOW: 10_000.0}), NOW + timedelta(seconds=8000)
    runs = on(task, schedule(Snapshot(NOW, BOTH[1:], (task,), ())).placements[0], resumes=resumes, ran=0.0)
    left = trial("t", {FAST: 800.0, SLOW: 2000.0}).expectations
    assert runs.stake is not None
    told = replace(runs, stake=replace(runs.stake, as_of=late, expectations=left))
    assert len(schedule(Snapshot(late, BOTH, (), (told,))).preemptions) == moves


def test_no_more_are_stopped_than_a_gang_needs() -> None:
    nodes = fleet(FAST, SLOW, devices=4)
    small = {f"s{i}": trial(f"s{i}", {FAST: 50_000.0}) for i in range(4)}
    start = schedule(Snapshot(NOW, nodes, tuple(small.values()), ()))
    busy = tuple(on(small[one.task_id], one) for one in start.placements)
    gang = trial("gang", {FAST: 100.0, SLOW: 9000.0}, size=2, weight=50.0)
    plan = schedule(Snapshot(NOW, nodes, (gang,), busy))
    assert len(busy) == 4
    assert [stop.for_task for stop in plan.preemptions] == ["gang", "gang"]


def test_a_gang_gets_a_whole_node_though_what_is_left_is_scattered() -> None:
    nodes = (*fleet(FAST, FAST, devices=2), *fleet(FAST, FAST, SLOW)[2:])
    small = {f"s{i}": trial(f"s{i}", {FAST: 50_000.0, SLOW: 500_000.0}) for i in range(4)}
    start = schedule(Snapshot(NOW, nodes, tuple(small.values()), ()))
    by_node = {one.allocations[0].node: one for one in start.placements}
    busy = tuple(on(small[one.task_id], one) for one in by_node.values() if one.allocations[0].node != "n2")
    wide = trial("wide", {FAST: 1000.0, SLOW: 10_000.0}, count=2)
    plan = schedule(Snapshot(NOW, nodes, (wide,), busy))
    assert len(busy) == 2
    assert [stop.for_task for stop in plan.preemptions] == ["wide"]


def test_room_that_is_being_made_is_nobody_elses() -> None:
    scheduler = _with(EASY, EAGER)
    scheduler.submit(replace(trial("other", {FAST: 1.0}), restart=None))
    scheduler.submit(EASY)
    assert places(scheduler.plan(NOW)) == {"eager": ["n0"], "easy": ["n1"]}


def test_nobody_is_stopped_in_the_plan_that_starts_it() -> None:
    scheduler = _with(EASY, EAGER)
    scheduler.forget("easy")
    scheduler.submit(trial("keener", {FAST: 1000.0, SLOW: 90_000.0}, weight=100.0))
    plan = scheduler.plan(NOW)
    assert places(plan) == {"eager": ["n0"], "keener": ["n1"]}
    assert [stop.task_id for stop in plan.preemptions] == []
    later = scheduler.plan(NOW + timedelta(seconds=1))
    assert {stop.task_id for stop in later.preemptions} == {"eager", "keener"}


def test_who_is_being_stopped_is_not_stopped_again_and_his_room_is_kept() -> None:
    scheduler = _with(EASY, EAGER)
    again = scheduler.plan(NOW + timedelta(seconds=1))
    assert not again.preemptions
    assert not again.placements


@pytest.mark.parametrize(("ran", "moves"), [(1790.0, 0), (1810.0, 1)])
def test_nobody_is_moved_before_he_ran_many_times_what_his_restart_costs(ran: float, moves: int) -> None:
    task = trial("t", {FAST: 1000.0, SLOW: 10_000.0}, restart=60.0)
    start = schedule(Snapshot(NOW, BOTH[1:], (task,), ())).placements[0]
    assert len(schedule(Snapshot(NOW, BOTH, (), (on(task, start, ran=ran),))).preemptions) == moves


def test_decisions_keep_the_pause_that_the_policy_asks_for() -> None:
    scheduler = Scheduler(BOTH, Policy(reassignment=timedelta(minutes=1)))
    scheduler.submit(EASY)
    scheduler.submit(trial("waits", {FAST: 10.0}))
    scheduler.plan(NOW)
    scheduler.submit(EAGER)
    soon = scheduler.plan(NOW + timedelta(seconds=30))
    later = scheduler.plan(NOW + timedelta(seconds=90))
    assert not soon.preemptions
    assert isinstance(later, Plan)


@pytest.mark.parametrize("kinds", [(FAST,), (FAST, FAST)])
def test_on_a_fleet_of_one_class_there_is_nothing_to_decide(kinds: tuple[str, ...]) -> None:
    queue = tuple(trial(f"t{i}", {FAST: 100.0 * (i + 1), SLOW: 10.0}) for i in range(4))
    fixed = tuple(replace(task, restart=None) for task in queue)
    plans = [schedule(Snapshot(NOW, fleet(*kinds), tasks, ())) for tasks in (queue, fixed)]
    assert plans[0] == plans[1]


def test_tasks_that_run_alike_everywhere_are_left_to_the_queue() -> None:
    queue = tuple(trial(f"t{i}", {FAST: 100.0 * (i + 1), SLOW: 100.0 * (i + 1)}) for i in range(4))
    fixed = tuple(replace(task, restart=None) for task in queue)
    plans = [schedule(Snapshot(NOW, BOTH, tasks, ())) for tasks in (queue, fixed)]
    assert plans[0] == plans[1]


def test_whoever_waited_beyond_the_bound_goes_first() -> None:
    short = [trial(f"s{i}", {FAST: 10.0, SLOW: 30.0}) for i in range(6)]
    old = trial("old", {FAST: 500_000.0, SLOW: 900_000.0}, age=8 * 86_400.0)
    plan = schedule(Snapshot(NOW, BOTH, (*short, old), ()))
    assert places(plan)["old"] == ["n0"]


def test_three_classes_and_gangs_are_played_to_their_end() -> None:
    kinds = {FAST: 1000.0, MIDDLE: 2000.0, SLOW: 5000.0}
    queue = [trial(f"t{i}", kinds, size=1 + i % 3, weight=1.0 + i % 5, restart=30.0) for i in range(30)]
    played = play(fleet(FAST, MIDDLE, SLOW, devices=3), queue)
    assert len(played.ends) == 30
    assert played.stops.total() <= 2 * 30


def _beside(first: WaitingTask, second: WaitingTask) -> tuple[Plan, RunningTask]:
    """Return the plan once `second` comes while `first` runs where it was best off alone, and how that runs."""
    runs = on(first, schedule(Snapshot(NOW, BOTH, (first,), ())).placements[0])
    return schedule(Snapshot(NOW, BOTH, (second,), (runs,))), runs


def _with(first: WaitingTask, second: WaitingTask) -> Scheduler:
    """Return a scheduler that has just preempted `first` for `second`."""
    scheduler = Scheduler(BOTH, LONG)
    scheduler.submit(first)
    scheduler.plan(NOW)
    scheduler.submit(second)
    assert scheduler.plan(NOW).preemptions
    return scheduler


def test_of_two_alike_the_fast_class_goes_to_the_one_that_is_due() -> None:
    times = {FAST: 1000.0, SLOW: 3000.0}
    first, due = trial("a", times), replace(trial("b", times), due_at=NOW + timedelta(seconds=1000))
    assert places(schedule(Snapshot(NOW, BOTH, (first, trial("b", times)), ()))) == {"a": ["n0"], "b": ["n1"]}
    assert places(schedule(Snapshot(NOW, BOTH, (first, due), ()))) == {"b": ["n0"], "a": ["n1"]}


def test_the_decision_over_classes_keeps_to_places_and_limits() -> None:
    there = replace(EAGER, demand=replace(EAGER.demand, where=read_where(("node=n1",))))
    assert places(schedule(Snapshot(NOW, BOTH, (there, EASY), ()))) == {"eager": ["n1"], "easy": ["n0"]}
    dear = (replace(BOTH[0], price=Price(36.0, 8000, 32 * GB, 1)), BOTH[1])
    limited = replace(EAGER, demand=replace(EAGER.demand, money=9.0))
    assert places(schedule(Snapshot(NOW, dear, (limited, EASY), ()))) == {"eager": ["n1"], "easy": ["n0"]}
