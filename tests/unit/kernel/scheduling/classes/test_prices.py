"""Prices of classes, the auction, and what has arrived."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.classes import arrivals, auction, exchange, prices
from lepton_ai.kernel.scheduling.classes.auction import NONE
from lepton_ai.kernel.scheduling.classes.decision import used
from lepton_ai.kernel.scheduling.fleet import Ints
from lepton_ai.kernel.scheduling.held import Floats

DAY = 86_400.0
EVEN = np.array([4, 4])


def test_a_class_that_is_three_times_as_fast_for_all_costs_three_times_as_much() -> None:
    found = prices.follow(np.array([[100.0, 300.0], [50.0, 150.0]]), EVEN, None)
    assert found[0] / found[1] == pytest.approx(3.0, rel=0.12)  # choices are soft
    assert EVEN @ found == pytest.approx(1.0)


def test_the_scarcer_class_is_dearer() -> None:
    work = np.array([[100.0, 300.0], [100.0, 120.0]])
    few, many = (prices.follow(work, np.array([count, 4]), None) for count in (1, 16))
    assert few[0] / few[1] > many[0] / many[1]


def test_prices_follow_slowly_once_they_are_known() -> None:
    before = np.array([0.2, 0.05])
    after = prices.follow(np.array([[100.0, 100.0]]), EVEN, before)
    assert 1.0 < after[0] / after[1] < 4.0


def test_a_class_that_nobody_can_use_is_cheap_but_not_free() -> None:
    found = prices.follow(np.array([[100.0, np.inf]]), EVEN, None)
    assert 0 < found[1] < 0.01 * found[0]


def test_an_arrival_counts_less_as_time_passes() -> None:
    known = arrivals.learn(arrivals.fade(arrivals.nothing(2), 2 * DAY), np.array([10.0, 20.0]), 1.0)
    work, weight = known.per_second()
    later, less = arrivals.fade(known, DAY).per_second()
    assert (later < work).all()
    assert less < weight == pytest.approx(1.0 / (2 * DAY))


def test_arrivals_of_like_ratios_are_one_group_and_groups_have_a_maximum() -> None:
    known = arrivals.nothing(2)
    for fast in np.geomspace(1.0, 1e9, 400):
        known = arrivals.learn(known, np.array([fast, 1e9]), 1.0)
        known = arrivals.learn(known, np.array([2 * fast, 2e9]), 1.0)
    assert len(known.work) == len(known.groups) == arrivals.GROUPS_MAX
    assert known.weight == 800.0


cases = st.integers(1, 6).flatmap(
    lambda count: st.tuples(
        st.lists(st.lists(st.integers(1, 100), min_size=2, max_size=2), min_size=count, max_size=count),
        st.lists(st.integers(1, 3), min_size=count, max_size=count),
        st.lists(st.integers(0, 4), min_size=2, max_size=2),
    )
)


@settings(max_examples=200, deadline=None)
@given(cases)
def test_the_assignment_fits_and_is_worth_nearly_as_much_as_any(
    case: tuple[list[list[int]], list[int], list[int]],
) -> None:
    value, milli, capacity = np.array(case[0], dtype=np.float64), np.array(case[1]), np.array(case[2])
    bids = auction.bid(value, milli, capacity, np.zeros(2))
    classes = exchange.better(value, milli, capacity, auction.settle(value, milli, capacity, bids))
    assert (used(classes, milli, 2) <= capacity).all()
    assert _worth(value, classes) >= 0.5 * _best(value, milli, capacity)


def test_over_many_tasks_the_assignment_is_close_to_the_best() -> None:
    random = np.random.default_rng(0)
    shares = []
    for _ in range(40):
        value, milli, capacity = random.lognormal(0, 1, (7, 2)), random.integers(1, 3, 7), np.array([4, 4])
        bids = auction.bid(value, milli, capacity, np.zeros(2))
        classes = exchange.better(value, milli, capacity, auction.settle(value, milli, capacity, bids))
        shares.append(_worth(value, classes) / _best(value, milli, capacity))
    assert np.mean(shares) > 0.98


def _worth(value: Floats, classes: Ints) -> float:
    placed = np.flatnonzero(classes != NONE)
    return float(value[placed, classes[placed]].sum())


def _best(value: Floats, milli: Ints, capacity: Ints) -> float:
    every = (np.array(classes) for classes in product((NONE, 0, 1), repeat=len(value)))
    return max(_worth(value, classes) for classes in every if (used(classes, milli, 2) <= capacity).all())
