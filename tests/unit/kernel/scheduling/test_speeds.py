"""How fast each kind of task is on each class: hand-computed cases of the table."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.kernel.scheduling.estimate import Estimate
from lepton_ai.kernel.scheduling.speeds import GUESS_SIGMA, KIND_SIGMA, Speeds

T4, A100, NEW = "nvidia-t4-16gb", "nvidia-a100-40gb", "acme-9000-16gb"
PEAK = math.log(4.83)  # of an A100 over a T4


def times(seconds: float, count: float = 10.0, variance: float = 0.01) -> Estimate:
    return Estimate(count, math.log(seconds), variance)


def speeds_of(**kinds: dict[str, float]) -> Speeds:
    speeds = Speeds()
    for kind, seconds in kinds.items():
        for name, one in seconds.items():
            speeds.note((kind, ""), name, times(one))
    return speeds


def test_a_kind_that_ran_on_both_is_measured() -> None:
    table = speeds_of(bert={T4: 300.0, A100: 100.0}).table("bert", [T4, A100])
    assert [table[name].source for name in (T4, A100)] == ["measured", "measured"]
    ratio = math.exp(table[T4].log_time - table[A100].log_time)
    assert ratio == pytest.approx(3.0, rel=0.03)
    assert max(entry.sigma for entry in table.values()) < 0.06


def test_nothing_known_is_guessed_to_be_alike() -> None:
    entry = Speeds().table("bert", [A100, NEW])[A100]
    assert (entry.source, entry.log_time, entry.sigma) == ("guessed", 0.0, GUESS_SIGMA)


def test_peaks_tell_of_a_kind_that_ran_on_one_class_only() -> None:
    entry = speeds_of(bert={T4: 300.0}).table("bert", [T4, A100])[A100]
    assert entry.source == "inferred"
    assert entry.relative == pytest.approx(4.83, rel=0.01)
    assert entry.sigma == pytest.approx(0.5, rel=0.01)
    assert "A100 datasheet" in entry.because


def test_what_other_kinds_gained_outweighs_the_peaks() -> None:
    """Four kinds gained a factor of 2; the peaks say 4.83: precisions are 4 / 0.4^2 = 25 and 1 / 0.5^2 = 4."""
    others = {f"kind{number}": {T4: 200.0, A100: 100.0} for number in range(4)}
    entry = speeds_of(bert={T4: 300.0}, **others).table("bert", [T4, A100])[A100]
    expected = (25 * math.log(2) + 4 * PEAK) / 29
    assert -entry.log_time == pytest.approx(expected, rel=0.01)
    assert entry.sigma == pytest.approx(math.hypot(1 / math.sqrt(29), KIND_SIGMA), rel=0.01)
    assert (entry.source, entry.because) == ("inferred", "4 other kinds ran on both")


def test_a_device_of_which_nothing_is_promised_is_learnt_from_other_kinds() -> None:
    others = {f"kind{number}": {T4: 200.0, NEW: 50.0} for number in range(20)}
    entry = speeds_of(bert={T4: 300.0}, **others).table("bert", [T4, NEW])[NEW]
    assert entry.relative == pytest.approx(4.0, rel=0.02)
    assert entry.source == "inferred"


def test_one_odd_kind_does_not_change_what_the_others_say() -> None:
    others = {f"kind{number}": {T4: 200.0, A100: 100.0} for number in range(9)}
    odd = {"odd": {T4: 1.0, A100: 10_000.0}}
    calm = speeds_of(bert={T4: 1.0}, **others).table("bert", [A100])[A100]
    upset = speeds_of(bert={T4: 1.0}, **others, **odd).table("bert", [A100])[A100]
    assert upset.log_time == pytest.approx(calm.log_time, abs=0.02)


def test_probes_count_beside_runs_but_are_not_mixed_with_them() -> None:
    """A step takes 0.1 s and a run 300 s: only steps compare with steps."""
    speeds = speeds_of(bert={T4: 300.0})
    speeds.note(("bert", "step"), T4, times(0.1))
    speeds.note(("bert", "step"), A100, times(0.05))
    entry = speeds.table("bert", [T4, A100])[A100]
    assert entry.source == "measured"
    assert entry.relative == pytest.approx(2.0, rel=0.05)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([T4, A100, NEW]), st.floats(0.001, 1e9)), max_size=30)
)
def test_both_ways_say_the_same_and_every_entry_is_finite(runs: list[tuple[str, str, float]]) -> None:
    speeds = Speeds()
    for kind, name, seconds in runs:
        speeds.note((kind, ""), name, times(seconds))
    there, back = speeds.prior(T4, A100), speeds.prior(A100, T4)
    assert there.log_time == -back.log_time
    assert there.sigma == back.sigma
    table = speeds.table("a", [T4, A100, NEW])
    assert all(math.isfinite(entry.log_time) and 0 <= entry.sigma < 3 for entry in table.values())
