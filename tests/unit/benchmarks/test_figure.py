"""A figure is judged by its goal, and shown with what it was made of."""

from __future__ import annotations

from benchmarks.figure import at_least, at_most, percentile, told


def test_a_figure_is_the_median_of_its_samples_with_their_spread() -> None:
    figure = at_most("start", [0.3, 0.1, 0.2], 0.25, "s")

    assert figure.row() == ("start", "0.2 s", "0.1 to 0.3, n=3", "<= 0.25 s", "met")


def test_a_figure_beyond_its_goal_is_missed() -> None:
    assert not at_most("start", [0.3], 0.25, "s").is_met
    assert not at_least("rate", [39.9], 40, "/s").is_met


def test_a_figure_on_its_goal_is_met() -> None:
    assert at_most("start", [0.25], 0.25, "s").is_met
    assert at_least("rate", [40.0], 40, "/s").is_met


def test_a_figure_without_a_goal_has_no_verdict() -> None:
    assert told("rate", [31_234.5], "/s").row() == ("rate", "31,234 /s", "", "", "")


def test_a_percentile_is_a_sample_that_was_taken() -> None:
    samples = [float(number) for number in range(1, 101)]

    assert percentile(samples, 95) == 95
    assert percentile(samples[:1], 95) == 1
    assert percentile(samples[:3], 50) == 2
