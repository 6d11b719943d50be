"""What is compared: policies, prices, and what the trace says of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.scheduling.snapshot import Policy
from lepton_ai.simulation.compare import Scenario, Telling, changed, play, priced, recorded_of
from lepton_ai.simulation.engine import Rules
from lepton_ai.simulation.node_shapes import imagined
from tests.unit.simulation.works import GPU_NODE, GPU_NODES, trace, work


def test_a_policy_is_changed_by_what_people_write() -> None:
    found = changed(Policy(), {"ageing_tau": "1h30m", "reservations": "2"})
    assert found == replace(Policy(), ageing_tau=timedelta(minutes=90), reservations=2)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("speed", "1", "The policy has no 'speed'. It has: ageing_tau, starvation_bound, reservations"),
        ("ageing_tau", "soon", "ageing_tau=soon cannot be read. Write it as ageing_tau=10m."),
        ("reservations", "1.5", "reservations=1.5 cannot be read."),
        ("reservations", "-1", "reservations=-1 is not from 0 to 1,000,000."),
    ],
)
def test_what_is_no_policy_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        changed(Policy(), {name: text})
    assert message in str(raised.value)


def test_a_kinds_price_goes_before_a_nodes_label_and_added_nodes_cost_what_their_kind_does() -> None:
    nodes = [GPU_NODE, *imagined("1xh100+1xt4+1xcpu")]
    assert priced(nodes, {GPU_NODE.name: 2.0}, {"t4": 0.5}) == {
        GPU_NODE.name: 2.0, "added-h100-001": 2.0, "added-t4-002": 0.5,
    }  # fmt: skip
    assert priced(nodes, {GPU_NODE.name: 2.0}, {"h100": 3.0})[GPU_NODE.name] == 3.0


def test_more_nodes_wait_less() -> None:
    tasks = trace(*(work(f"t{number}", number, 600, 8) for number in range(6)))
    one, two = (
        play(tasks, Scenario("x", nodes, Policy(), {}), Telling(), Rules()).figures
        for nodes in (GPU_NODES[:1], GPU_NODES)
    )
    assert two.waits.mean < one.waits.mean
    assert two.makespan < one.makespan


def test_what_was_recorded_is_told_if_every_task_says_when_it_started() -> None:
    tasks = [replace(work("a", 0, 60), waited=10.0), replace(work("b", 100, 60), waited=30.0)]
    found = recorded_of(trace(*tasks))
    assert found is not None
    assert (found.waits.mean, found.mean_completion, found.makespan) == (20.0, 80.0, 190.0)
    assert recorded_of(trace(*tasks, work("c", 0, 1))) is None
