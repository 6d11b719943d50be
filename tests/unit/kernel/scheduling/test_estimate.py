"""How long tasks of one kind take: what is learnt from each run, and what is expected of the next."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.estimate import Estimate, learn, remaining
from lepton_ai.kernel.scheduling.snapshot import Expectation

any_seconds = st.floats(0.01, 1e6)


def learnt(*seconds: float) -> Estimate:
    estimate = Estimate()
    for one in seconds:
        estimate = learn(estimate, one)
    return estimate


def test_the_first_run_is_the_mean() -> None:
    estimate = learn(None, 100.0)
    assert [estimate.count, estimate.mean_log, estimate.variance_log] == pytest.approx([1.0, math.log(100), 0.0])


def test_old_runs_are_forgotten() -> None:
    estimate = learnt(*[10.0] * 50, *[1000.0] * 50)
    assert math.exp(estimate.mean_log) == pytest.approx(1000, rel=0.5)


@given(st.lists(any_seconds, min_size=1, max_size=100))
def test_the_mean_stays_within_what_was_seen_and_the_count_is_bounded(seconds: list[float]) -> None:
    estimate = learnt(*seconds)
    assert min(seconds) * 0.999 <= math.exp(estimate.mean_log) <= max(seconds) * 1.001
    assert 0 < estimate.count <= 20
    assert estimate.variance_log >= 0


@pytest.mark.parametrize("nonsense", [0.0, -1.0, math.nan, math.inf, 1e300])
def test_what_is_no_duration_teaches_nothing(nonsense: float) -> None:
    assert learn(learnt(5.0), nonsense) == learnt(5.0)


def test_nothing_has_passed_so_nothing_changes() -> None:
    expectation = Expectation(100, 200, "measured")
    assert remaining(expectation, 0.0) == expectation


def test_a_sure_task_has_the_rest_of_its_time_left() -> None:
    assert remaining(Expectation(100, 100, "stated"), 40.0).median == pytest.approx(60, rel=0.05)


def test_the_longer_an_unsure_task_is_late_the_later_it_will_be() -> None:
    unsure = Expectation(100, 400, "guessed")
    left = [remaining(unsure, elapsed).median for elapsed in (200.0, 2000.0, 20_000.0, 1e9)]
    assert left == sorted(left)
    assert all(seconds > 100 for seconds in left)


@given(any_seconds, st.floats(1.0, 20.0), st.floats(0.0, 1e12))
def test_what_remains_is_always_positive_finite_and_ordered(median: float, ratio: float, elapsed: float) -> None:
    left = remaining(Expectation(median, median * ratio, "measured"), elapsed)
    assert 0 < left.median <= left.p80 < math.inf


def test_half_of_the_survivors_outlive_the_conditional_median() -> None:
    rng = Random(3)
    lives = [rng.lognormvariate(math.log(100), 1.2) for _ in range(40_000)]
    unsure = Expectation(100, 100 * math.exp(0.8416 * 1.2), "measured")
    survivors = [life - 150 for life in lives if life > 150]
    left = remaining(unsure, 150.0)
    assert sum(life > left.median for life in survivors) / len(survivors) == pytest.approx(0.5, abs=0.02)
    assert sum(life > left.p80 for life in survivors) / len(survivors) == pytest.approx(0.2, abs=0.02)
