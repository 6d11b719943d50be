"""What runs teach about the next: by kind and class, drawn towards what is more general, at any moment."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.estimate import Estimate
from lepton_ai.kernel.scheduling.experience import Course, Experience

H100, CPU = "nvidia-h100-80gb", "cpu-avx2"
ADA = Course("lab/ada/train.py", wider=("", "lab/*/train.py"))
BOB = Course("lab/bob/train.py", wider=("", "lab/*/train.py"))
EVE = Course("lab/eve/other.py", wider=("", "lab/*/other.py"))


def taught(*runs: tuple[Course, str, float]) -> Experience:
    known = Experience()
    for course, resource_class, seconds in runs:
        known.learn(course, resource_class, seconds)
    return known


def test_with_nothing_known_it_guesses_and_says_so() -> None:
    found = Experience().expect(ADA, H100, now=0.0)
    assert found.source == "guessed"
    assert found.median == pytest.approx(600, rel=0.05)


def test_a_kind_is_measured_where_it_ran_and_inferred_elsewhere() -> None:
    known = taught(*[(ADA, H100, 60.0)] * 10)
    assert [known.expect(ADA, name, 0.0).source for name in (H100, CPU, "")] == ["measured", "inferred", "inferred"]
    assert known.expect(ADA, H100, 0.0).median == pytest.approx(60, rel=0.3)


def test_classes_that_differ_are_told_apart() -> None:
    known = taught(*[(ADA, H100, 60.0), (ADA, CPU, 6000.0)] * 10)
    assert known.expect(ADA, H100, 0.0).median < 200
    assert known.expect(ADA, CPU, 0.0).median > 2000


def test_an_unseen_user_is_expected_to_do_as_others_with_the_same_entry_point() -> None:
    known = taught(*[(ADA, H100, 30.0)] * 20, *[(EVE, H100, 9000.0)] * 20)
    found = known.expect(BOB, H100, 0.0)
    assert found.source == "guessed"
    assert found.median == pytest.approx(30, rel=0.3)


def test_a_stated_length_is_believed_until_runs_show_it_wrong() -> None:
    hour = Course(ADA.kind, ADA.wider, stated_seconds=3600.0)
    first = Experience().expect(hour, H100, 0.0)
    wrong = taught(*[(hour, H100, 60.0)] * 30).expect(hour, H100, 0.0)
    assert first.source == "stated"
    assert 2000 < first.median <= 3600
    assert wrong.source == "measured"
    assert wrong.median < 100


def test_what_runs_for_long_lengthens_what_is_expected_of_its_kind() -> None:
    known = taught(*[(ADA, H100, 60.0)] * 5)
    before = known.expect(ADA, H100, now=0.0).mean
    for number in range(20):
        known.began(f"task-{number}", ADA, H100, since=0.0)
    during = known.expect(ADA, H100, now=90_000.0).mean
    for number in range(20):
        known.ended(f"task-{number}")
    after = known.expect(ADA, H100, now=180_000.0).mean
    assert during > 3 * before
    assert after == pytest.approx(before)


def test_beginning_twice_and_ending_unknown_changes_nothing() -> None:
    known = taught((ADA, H100, 60.0))
    known.began("task", ADA, H100, since=0.0)
    known.began("task", ADA, H100, since=0.0)
    known.ended("task")
    known.ended("task")
    assert known.expect(ADA, H100, 1e6) == taught((ADA, H100, 60.0)).expect(ADA, H100, 1e6)


def test_the_longer_a_task_has_outlived_its_kind_the_later_it_will_be() -> None:
    known = taught(*[(ADA, H100, 60.0)] * 10)
    left = [known.expect(ADA, H100, 0.0, elapsed).p80 for elapsed in (0.0, 3_600.0, 36_000.0, 360_000.0)]
    assert left == sorted(left)


@pytest.mark.parametrize("stated", [math.nan, -5.0, 0.0])
def test_a_statement_that_is_none_counts_as_not_made(stated: float) -> None:
    course = Course(ADA.kind, ADA.wider, stated_seconds=stated)
    assert Experience().expect(course, H100, 0.0) == Experience().expect(ADA, H100, 0.0)


@given(
    st.lists(st.floats(0.001, 1e9), max_size=20),
    st.sampled_from([0.0, 1.0, 60.0, 1e9, 1e12, math.inf]),
    st.floats(0, 1e12),
)
def test_every_expectation_can_be_reckoned_with(runs: list[float], stated: float, elapsed: float) -> None:
    course = Course(ADA.kind, ADA.wider, stated_seconds=stated)
    found = taught(*[(course, H100, seconds) for seconds in runs]).expect(course, H100, 0.0, elapsed)
    assert 0 < found.median <= found.p80 <= 3.2e9
    assert 0 < found.mean <= 3.2e9


def test_what_is_known_on_one_class_predicts_another() -> None:
    """Other kinds gained a factor of 4 on the faster class; ten runs of 400 s on the slower one say 100 s there."""
    known = taught(*[(ADA, CPU, 400.0)] * 10)
    for number in range(40):
        known.speeds.note((f"kind-{number}", ""), CPU, Estimate(5.0, math.log(400.0), 0.01))
        known.speeds.note((f"kind-{number}", ""), H100, Estimate(5.0, math.log(100.0), 0.01))
    known.speeds.note((ADA.kind, ""), CPU, Estimate(10.0, math.log(400.0), 0.01))
    there = known.expect(ADA, H100, 0.0)
    here = known.expect(ADA, CPU, 0.0)
    assert there.source == "inferred"
    assert there.median == pytest.approx(100.0, rel=0.3)
    assert here.median == pytest.approx(400.0, rel=0.3)
    assert there.p80 / there.median > here.p80 / here.median  # its spread is wider by that of the inference


def test_an_unseen_kind_is_expected_to_be_faster_where_peaks_are_higher() -> None:
    known = Experience()
    known.fleet = ("cpu-avx2", "nvidia-a100-40gb", "nvidia-t4-16gb")
    slow, fast = (known.expect(EVE, name, 0.0) for name in ("nvidia-t4-16gb", "nvidia-a100-40gb"))
    assert slow.median / fast.median == pytest.approx(4.83, rel=0.02)
    assert math.sqrt(slow.median * fast.median) == pytest.approx(known.expect(EVE, "", 0.0).median, rel=0.02)


def test_with_one_class_of_its_sort_nothing_is_scaled() -> None:
    known = Experience()
    known.fleet = ("cpu-avx2", "nvidia-t4-16gb")
    assert known.expect(EVE, "nvidia-t4-16gb", 0.0) == Experience().expect(EVE, "", 0.0)


def test_a_stated_length_is_meant_for_the_middle_of_the_fleet() -> None:
    known = Experience()
    known.fleet = ("nvidia-a100-40gb", "nvidia-t4-16gb")
    hour = Course(EVE.kind, EVE.wider, stated_seconds=3600.0)
    slow, fast = (known.expect(hour, name, 0.0).median for name in ("nvidia-t4-16gb", "nvidia-a100-40gb"))
    assert fast < known.expect(hour, "", 0.0).median < slow
