"""What a user says a task will take, weighed against what tasks like it took."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.life_table import Floats, Level, Lives, alive, guess, learn, log_moments, particular
from lepton_ai.kernel.scheduling.statement import Honesty, LogNormal, believe, check, still_to_come

any_seconds = st.floats(0.001, 1e9)


def hazard_of(*seconds: float) -> Floats:
    lives = Lives()
    for one in seconds:
        lives = learn(lives, one)
    return particular(guess(), Level(lives.row(), alive(())))


@given(st.lists(any_seconds, max_size=20), any_seconds)
def test_the_belief_lies_between_the_table_and_the_statement(runs: list[float], stated: float) -> None:
    hazard = hazard_of(*runs)
    prior, said = log_moments(hazard)[0], math.log(stated)
    belief = believe(hazard, stated, Honesty())
    assert min(prior, said) - 1e-9 <= belief.mean_log <= max(prior, said) + 1e-9


def test_the_more_honest_statements_were_the_more_they_count() -> None:
    honest = Honesty(count=200, squares=200 * 0.01**2)
    liar = Honesty(count=200, squares=200 * 2.0**2)
    means = [math.exp(believe(guess(), 36_000.0, one).mean_log) for one in (honest, Honesty(), liar)]
    assert means == sorted(means, reverse=True)
    assert means[0] == pytest.approx(36_000, rel=0.05)
    assert means[2] < 6_000


def test_honesty_is_learnt_from_what_was_said_and_what_was() -> None:
    honesty = Honesty()
    for _ in range(500):
        honesty = check(honesty, stated=100.0 * math.e, actual=100.0)
    assert honesty.doubt == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(("stated", "actual"), [(math.nan, 1.0), (1.0, 0.0), (-1.0, 5.0), (1e12, 5.0)])
def test_nonsense_teaches_nothing_of_honesty(stated: float, actual: float) -> None:
    assert check(Honesty(3.0, 1.0), stated, actual) == Honesty(3.0, 1.0)


def test_a_log_normal_belief_has_the_quantiles_of_the_textbook() -> None:
    found = still_to_come(LogNormal(math.log(100), 1.0))
    assert found == pytest.approx((100 * math.exp(0.5), 100, 100 * math.exp(0.8416)), rel=1e-3)


def test_a_sure_task_has_the_rest_of_its_time_left() -> None:
    assert still_to_come(LogNormal(math.log(100), 0.01), 40.0).median == pytest.approx(60, rel=0.01)


@given(any_seconds, st.floats(0.0, 3.0), st.floats(0.0, 1e12))
def test_what_remains_is_positive_finite_and_in_order(median: float, sigma: float, elapsed: float) -> None:
    left = still_to_come(LogNormal(math.log(median), sigma), elapsed)
    assert 0 < left.median <= left.p80 < math.inf
    assert 0 < left.mean < math.inf


def test_a_statement_that_is_off_by_more_than_a_thousand_counts_as_one_that_is_off_by_that() -> None:
    assert check(Honesty(), 3600.0, 0.01) == pytest.approx(check(Honesty(), 10_000.0, 10.0))
