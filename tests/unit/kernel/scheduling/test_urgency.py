"""By when a task is due: how its weight rises, and what is said of one that will be late."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from lepton_ai.kernel.scheduling.scheduler import Scheduler
from lepton_ai.kernel.scheduling.snapshot import Policy, WaitingTask
from lepton_ai.kernel.scheduling.urgency import LOOK_AHEAD, urgency
from tests.unit.kernel.scheduling.test_preempt import staked, stopped
from tests.unit.kernel.scheduling.worlds import NOW, node, places, plan_of, running, task, wait_of

POLICY = Policy()
HORIZON = LOOK_AHEAD * POLICY.foresight.total_seconds()  # of tasks shorter than that


def due(seconds: float, waiting: WaitingTask) -> WaitingTask:
    return replace(waiting, due_at=NOW + timedelta(seconds=seconds))


def raised(slack: float, seconds: float = 60.0) -> float:
    return float(urgency(np.array([slack]), np.array([seconds]), POLICY)[0])


def test_the_weight_rises_as_the_slack_falls_up_to_sixteen_times() -> None:
    assert raised(math.inf) == 1.0
    assert raised(HORIZON) == pytest.approx(1 + 15 / math.e)
    assert raised(0.0) == raised(-1e9) == 16.0
    rising = [raised(slack) for slack in range(20_000, -1000, -500)]
    assert rising == sorted(rising)


def test_long_tasks_look_further_ahead() -> None:
    assert raised(3600.0, seconds=3600.0) > raised(3600.0, seconds=60.0)


def test_a_task_without_a_moment_is_as_it_was_beside_one_that_has_one() -> None:
    busy = [running("r", A, 4, ends_in=600)]
    alone = wait_of(plan_of([A], [task("t", 4, age=60)], busy), "t")
    beside = wait_of(plan_of([A], [task("t", 4, age=60), due(9e6, task("d", 4, weight=1e-6))], busy), "t")
    assert beside.terms == alone.terms
    assert "urgency" not in beside.terms


A = node("a", 4)


def test_of_two_alike_the_one_that_is_due_goes_first() -> None:
    plan = plan_of([A], [task("early", 4, age=100, seconds=60), due(120, task("due", 4, seconds=60))])
    assert places(plan) == {"due": ["a"]}
    terms = plan.placements[0].terms
    assert terms["slack_seconds"] == 60
    assert terms["urgency"] == pytest.approx(1 + 15 * math.exp(-60 / HORIZON))
    assert terms["index"] == pytest.approx(
        terms["weight"] * terms["urgency"] * terms["age"] / (terms["expected_seconds"] * terms["share"])
    )


def test_one_with_much_time_left_waits_like_any_other() -> None:
    plan = plan_of([A], [task("early", 4, age=10), due(86_400, task("due", 4))])
    assert places(plan) == {"early": ["a"]}


def test_its_weight_rises_while_it_waits() -> None:
    scheduler = Scheduler([A])
    holder = running("r", A, 4, ends_in=100)
    scheduler.run(holder)
    scheduler.submit(due(3600, task("due", 4)))
    scheduler.submit(task("other", 4, weight=4))
    first = {wait.task_id: wait for wait in scheduler.plan(NOW, tell=None).waits}
    assert (first["other"].rank, first["due"].rank) == (1, 2)
    later = {wait.task_id: wait for wait in scheduler.plan(NOW + timedelta(seconds=3500), tell=None).waits}
    assert (later["due"].rank, later["other"].rank) == (1, 2)


def test_who_waits_and_who_starts_is_told_when_it_will_be_late() -> None:
    busy = [running("r", A, 4, ends_in=3600)]
    wait = wait_of(plan_of([A], [due(1800, task("t", 4, seconds=600))], busy), "t")
    assert wait.sentence.endswith("; it is expected to end 40 min after it is due")
    starting = plan_of([A], [due(60, task("t", 4, seconds=600))]).placements[0]
    assert starting.sentence.endswith("; it is expected to end 9 min after it is due")
    in_time = plan_of([A], [due(601, task("t", 4, seconds=600))]).placements[0]
    assert "due" not in in_time.sentence


def test_others_are_stopped_for_one_that_is_due_and_not_for_its_like() -> None:
    busy = [staked(running("long", A, 4, ends_in=2000), left=2000)]
    assert stopped(plan_of([A], [task("t", 4, seconds=1500)], busy)) == {}
    assert stopped(plan_of([A], [due(1500, task("t", 4, seconds=1500))], busy)) == {"t": ["long"]}


def test_one_that_runs_keeps_the_weight_that_being_due_gave_it() -> None:
    plain = staked(running("long", A, 4, ends_in=90_000), left=90_000)
    assert plain.stake is not None
    held = replace(plain, stake=replace(plain.stake, due_at=NOW + timedelta(seconds=90_000)))
    other = task("other", 4, seconds=4000, weight=0.5)
    assert stopped(plan_of([A], [other], [plain])) == {"other": ["long"]}
    assert stopped(plan_of([A], [other], [held])) == {}
