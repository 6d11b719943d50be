"""How long tasks take, learnt bin by bin: from runs that ended, and from those that still run."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.life_table import (
    BINS,
    EDGES,
    Floats,
    Level,
    Lives,
    alive,
    bin_of,
    forecast,
    guess,
    learn,
    log_moments,
    log_normal,
    particular,
    shifted,
)

any_seconds = st.floats(0.001, 1e9)


def lives_of(*seconds: float) -> Lives:
    lives = Lives()
    for one in seconds:
        lives = learn(lives, one)
    return lives


def hazard_of(*seconds: float, running: tuple[float, ...] = ()) -> Floats:
    return particular(guess(), Level(lives_of(*seconds).row(), alive(running)))


@given(any_seconds)
def test_a_length_lies_within_the_edges_of_its_bin(seconds: float) -> None:
    number = bin_of(seconds)
    assert seconds <= EDGES[number + 1] * 1.000001 or number == BINS - 1
    assert seconds >= EDGES[number] * 0.999999 or number == 0


@pytest.mark.parametrize("nonsense", [0.0, -1.0, math.nan, math.inf, 1e12])
def test_what_is_no_duration_teaches_nothing(nonsense: float) -> None:
    assert learn(lives_of(5.0), nonsense) == lives_of(5.0)


def test_old_runs_are_forgotten() -> None:
    assert lives_of(*[10.0] * 100_0).count == pytest.approx(200, rel=0.01)
    assert forecast(hazard_of(*[10.0] * 300, *[5000.0] * 600)).median == pytest.approx(5000, rel=0.3)


def test_the_hazard_of_a_bin_is_the_share_of_those_that_reach_it_who_end_there() -> None:
    """Of three runs one ends in the bin of 10 s and two in that of 1000 s; the prior counts as one more run."""
    found, prior = hazard_of(10.0, 1000.0, 1000.0), guess()
    assert found[bin_of(10)] == pytest.approx((0.995**2 + prior[bin_of(10)]) / (0.995**2 + 0.995 + 1 + 1), rel=1e-3)
    assert found[bin_of(1000)] == pytest.approx((1.995 + prior[bin_of(1000)]) / (1.995 + 1), rel=1e-3)


def test_before_any_run_half_of_all_tasks_end_within_ten_minutes() -> None:
    before = forecast(guess())
    assert [before.median, before.p80] == pytest.approx([600, 600 * math.exp(0.8416 * 1.5)], rel=0.05)
    assert before.mean == pytest.approx(600 * math.exp(1.5**2 / 2), rel=0.1)
    assert log_moments(guess()) == pytest.approx((math.log(600), 2.25), rel=0.03)


def test_quantiles_and_mean_hold_on_log_normal_runs() -> None:
    rng = Random(5)
    known = forecast(hazard_of(*(rng.lognormvariate(5, 1) for _ in range(4000))))
    assert known.median == pytest.approx(math.exp(5), rel=0.15)
    assert known.p80 == pytest.approx(math.exp(5.8416), rel=0.15)
    assert known.mean == pytest.approx(math.exp(5.5), rel=0.15)


def test_those_that_still_run_lengthen_what_is_expected() -> None:
    """Twenty that ended soon say little if a hundred others are still at it."""
    short = [60.0] * 20
    assert forecast(hazard_of(*short, running=(50_000.0,) * 100)).mean > 5 * forecast(hazard_of(*short)).mean


def test_half_of_the_survivors_outlive_the_conditional_median() -> None:
    rng = Random(3)
    runs = [rng.lognormvariate(math.log(100), 1.2) for _ in range(4000)]
    left = forecast(hazard_of(*runs), elapsed=150.0)
    survivors = [rng.lognormvariate(math.log(100), 1.2) - 150 for _ in range(40_000)]
    survivors = [life for life in survivors if life > 0]
    assert sum(life > left.median for life in survivors) / len(survivors) == pytest.approx(0.5, abs=0.08)
    assert sum(life > left.p80 for life in survivors) / len(survivors) == pytest.approx(0.2, abs=0.08)


@given(st.lists(any_seconds, max_size=30), st.lists(any_seconds, max_size=10), st.floats(0.0, 1e12))
def test_what_remains_is_positive_finite_and_in_order(ended: list[float], running: list[float], by: float) -> None:
    left = forecast(hazard_of(*ended, running=tuple(running)), elapsed=by)
    assert 0 < left.median <= left.p80 < math.inf
    assert 0 < left.mean < math.inf


@given(st.lists(any_seconds, min_size=1, max_size=30))
def test_hazards_are_probabilities(ended: list[float]) -> None:
    hazard = hazard_of(*ended)
    assert hazard.min() >= 0
    assert hazard.max() <= 1


def test_the_shares_of_a_log_normal_sum_to_one() -> None:
    assert log_normal(3.0, 0.1).sum() == pytest.approx(1)


def test_a_shift_by_whole_bins_moves_the_counts_and_keeps_their_sum() -> None:
    row = lives_of(100.0, 100.0, 4000.0).row()
    moved = shifted(row, math.log(4.0), 0.0)
    assert moved.sum() == pytest.approx(row.sum())
    assert forecast(particular(guess(), Level(100 * moved, alive(())))).median == pytest.approx(400, rel=0.35)


def test_a_shift_that_is_not_sure_spreads_the_counts() -> None:
    row = lives_of(100.0).row()
    assert shifted(row, 0.0, 1.0).max() < 0.3
    assert shifted(row, -1000.0, 0.5)[0] == pytest.approx(1.0)  # beyond the table is its first bin
