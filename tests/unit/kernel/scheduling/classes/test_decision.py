"""What running is worth to a task and to those behind it, and who goes first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lepton_ai.kernel.scheduling.classes import arrivals
from lepton_ai.kernel.scheduling.classes.auction import NONE
from lepton_ai.kernel.scheduling.classes.decision import Memory, Rows, decide, overdue_first, worth

WEEK = 7 * 86_400.0
FRESH = Memory(arrivals.nothing(2))
PRICED = Memory(arrivals.nothing(2), prices=np.array([0.75, 0.25]))
SECONDS = np.array([[100.0, 200.0], [100.0, 900.0], [400.0, 800.0]])
ROWS = Rows(
    weights=np.ones(3),
    milli=np.full(3, 1000),
    seconds=SECONDS,
    afresh=SECONDS,
    held=np.full(3, NONE),
    is_fixed=np.zeros(3, dtype=np.bool_),
    waited=np.zeros(3),
    capacity=np.array([1000, 1000]),
)


def test_what_a_task_is_worth_is_the_cost_of_its_rest_over_its_time() -> None:
    found = worth(ROWS, PRICED)
    behind = 1.0  # the third task is behind the first, which is the cheaper of the first two
    priced = 1000 * np.array([0.75, 0.25]) * SECONDS[1]
    rest = (SECONDS[1] / 2 + priced * behind).min()
    assert found.cost[1] == priced.min()
    assert found.value[1] == pytest.approx(rest / SECONDS[1])


def test_short_tasks_and_those_who_gain_much_by_it_get_the_fast_class() -> None:
    classes, _, memory = decide(ROWS, FRESH, WEEK)
    assert classes.tolist() == [1, 0, NONE]
    assert memory.bids is not None
    assert memory.prices is not None


def test_work_that_will_arrive_makes_all_that_runs_worth_more() -> None:
    coming = replace(PRICED, arrivals=arrivals.learn(arrivals.nothing(2), np.array([1e5, 2e5]), 50.0))
    assert (worth(ROWS, coming).value > worth(ROWS, PRICED).value).all()


def test_whoever_would_have_to_start_anew_saves_more_by_staying() -> None:
    holds = replace(ROWS, held=np.array([0, NONE, NONE]))
    costly = replace(holds, afresh=SECONDS + np.array([[500.0], [0.0], [0.0]]))
    assert worth(costly, PRICED).value[0, 0] > worth(holds, PRICED).value[0, 0]
    assert worth(costly, PRICED).value[0, 1] < worth(costly, PRICED).value[0, 0]


def test_the_longest_beyond_the_bound_gets_the_fastest_class_with_room() -> None:
    late = replace(ROWS, waited=np.array([0.0, WEEK + 1, WEEK + 2]))
    assert overdue_first(late, WEEK).tolist() == [NONE, 1, 0]
    assert decide(late, FRESH, WEEK)[0].tolist() == [NONE, 1, 0]


def test_whoever_has_to_stay_stays_whatever_the_others_are_worth() -> None:
    stays = replace(ROWS, held=np.array([NONE, NONE, 0]), is_fixed=np.array([False, False, True]))
    classes, _, _ = decide(stays, FRESH, WEEK)
    assert classes[2] == 0
    assert sorted(classes[:2].tolist()) == [NONE, 1]


def test_a_gang_that_no_class_could_hold_keeps_nobody_waiting() -> None:
    late = replace(ROWS, waited=np.array([0.0, 0.0, WEEK + 2]), milli=np.array([1000, 1000, 9000]))
    assert overdue_first(late, WEEK).tolist() == [NONE, NONE, NONE]
