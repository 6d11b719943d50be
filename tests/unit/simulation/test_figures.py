"""The figures of a replay, reckoned by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lepton_ai.kernel.scheduling.snapshot import Policy, Refusal
from lepton_ai.simulation.engine import Outcome, replay
from lepton_ai.simulation.figures import SIZES, Figures, Setting, figures_of, held_over_time, size_of
from lepton_ai.simulation.told import Known
from lepton_ai.simulation.trace import TraceTask
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import node
from tests.unit.simulation.works import GPU_NODE, trace, work


def played(*tasks: TraceTask) -> Outcome:
    return replay(trace(*tasks), [GPU_NODE], Known())


def figures(*tasks: TraceTask, price: float | None = None) -> Figures:
    prices = {} if price is None else {GPU_NODE.name: price}
    return figures_of(played(*tasks), Setting("as it was", Policy(), prices))


def test_waits_completion_and_the_last_end() -> None:
    found = figures(work("a", 0, 3600, 8), work("b", 0, 1800, 8, weight=3.0))
    assert (found.waits.mean, found.waits.longest) == (900.0, 1800.0)
    assert found.weighted_completion == (3 * 1800 + 5400) / 4
    assert (found.mean_completion, found.makespan) == ((1800 + 5400) / 2, 5400.0)


def test_what_was_held_is_counted_in_device_hours_and_in_money() -> None:
    cost = figures(work("a", 0, 3600, 4), price=2.0).cost
    assert (cost.device_hours, cost.device_hours_held) == (8.0, 4.0)
    assert (cost.price, cost.price_held) == (16.0, 8.0)
    assert figures(work("a", 0, 3600, 4)).cost.price is None


def test_the_mean_use_is_that_of_the_curve() -> None:
    use = next(u for u in figures(work("a", 0, 1000, 8), work("b", 1000, 1000, 2)).uses if u.resource == "devices")
    assert use.mean == pytest.approx(0.625)
    assert sum(use.over_time) / len(use.over_time) == pytest.approx(0.625, abs=1e-4)
    assert use.over_time[0] == 1.0


def test_kinds_of_devices_are_told_apart() -> None:
    nodes = [node("a", 4, "nvidia-h100-80gb"), node("b", 4, "nvidia-t4-16gb")]
    outcome = replay(trace(work("t", 0, 60)), nodes, Known())
    uses = figures_of(outcome, Setting("x", Policy(), {})).uses
    assert [use.resource for use in uses] == ["devices", "nvidia-h100-80gb", "nvidia-t4-16gb", "cpu"]


def test_a_level_is_averaged_exactly_over_each_part() -> None:
    assert held_over_time([(0.0, 15.0, 2.0), (5.0, 10.0, 4.0)], 20.0, 4).tolist() == [2.0, 6.0, 2.0, 0.0]


def test_what_never_ran_is_told_by_reason() -> None:
    refused = figures(work("huge", 0, 10, 9), work("a", 0, 10)).refused
    assert [(one.reason, one.tasks) for one in refused] == [(Refusal.TOO_LARGE, 1)]
    assert refused[0].sentence


def test_a_replay_in_which_nothing_ended_has_figures_too() -> None:
    found = figures(work("huge", 0, 10, 9))
    assert (found.ended, found.waits.tasks, found.makespan) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("devices", "size", "expected"),
    [(0, 1, "no device"), (1, 1, "1 device"), (2, 1, "2 devices"), (3, 1, "3-4 devices"), (8, 1, "5-8 devices"),
     (8, 2, "9-16 devices"), (8, 3, "17-64 devices"), (8, 9, "over 64 devices")],
)  # fmt: skip
def test_sizes_are_classes_of_devices(devices: int, size: int, expected: str) -> None:
    assert size_of(work("a", 0, 1, devices, size=size)) == expected
    assert expected in SIZES


def test_a_share_of_a_device_is_a_size_of_its_own() -> None:
    task = work("a", 0, 1)
    shared = replace(task, demand=replace(task.demand, accelerator=AcceleratorRequest(share_milli=250)))
    assert size_of(shared) == "part of a device"
