"""The Gantt picture in characters."""

from __future__ import annotations

from lepton_ai.simulation.chart import LINES_MAX, node_chart, task_chart
from lepton_ai.simulation.engine import replay
from lepton_ai.simulation.node_shapes import imagined
from lepton_ai.simulation.told import Known
from tests.unit.kernel.scheduling.worlds import node
from tests.unit.simulation.works import GPU_NODE, GPU_NODES, trace, work


def test_a_task_waits_and_then_runs() -> None:
    outcome = replay(trace(work("a", 0, 50, 8), work("b", 0, 50, 8)), [GPU_NODE], Known())
    assert task_chart(outcome, 100.0, 10) == [("a", "█████     "), ("b", "·····█████")]


def test_a_task_that_never_ran_waits_to_the_end() -> None:
    outcome = replay(trace(work("a", 0, 50), work("huge", 25, 1, 9)), [GPU_NODE], Known())
    assert task_chart(outcome, 50.0, 4)[1] == ("huge", "  ··")


def test_a_node_is_darker_the_fuller_it_is() -> None:
    outcome = replay(trace(work("a", 0, 50, 4), work("b", 50, 50, 8)), [GPU_NODE], Known())
    assert node_chart(outcome, 200.0, 4) == [("gpu-1", "▒█  ")]


def test_a_node_without_devices_is_shaded_by_its_cpus() -> None:
    outcome = replay(trace(work("a", 0, 50, 0)), [node("n", 2)], Known())
    assert node_chart(outcome, 100.0, 2) == [("n", "▒ ")]


def test_many_nodes_share_lines_and_none_is_left_out() -> None:
    nodes = imagined("100xh100")
    chart = node_chart(replay(trace(work("a", 0, 50)), nodes, Known()), 50.0, 10)
    assert len(chart) <= LINES_MAX
    assert chart[0][0] == "added-h100-001 +4"
    assert sum("░" in line for _, line in chart) == 1


def test_nothing_at_all_is_an_empty_picture() -> None:
    outcome = replay(trace(work("huge", 0, 1, 9)), GPU_NODES, Known())
    assert [line.strip() for _, line in node_chart(outcome, 0.0, 10)] == ["", ""]
