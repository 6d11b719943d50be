"""What `lepton explain` is told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings

from lepton_ai.errors import NotFound
from lepton_ai.kernel.scheduling.explain import explain
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import Plan, Snapshot, WaitingTask
from lepton_ai.types.explanation import Explanation, Standing
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import NOW, node, running, snapshots, started, task

NODES = (node("a", 4), node("b", 8), node("g", 8, "t4"), node("off", 8, is_schedulable=False))
BUSY = (running("train-a", NODES[1], 6, ends_in=180), running("r", NODES[0], 1, ends_in=600))


def explained(name: str, *waiting: WaitingTask) -> Explanation:
    snapshot = Snapshot(NOW, NODES, waiting, BUSY)
    return explain(name, snapshot, schedule(snapshot))


def test_a_waiting_task_learns_what_each_class_lacks_and_when_it_may_start() -> None:
    told = explained(
        "t",
        task("t", 8, gpu=AcceleratorRequest(kind="t4"), seconds=30),
        task("first", 4, gpu=AcceleratorRequest(kind="t4"), seconds=30),
    )
    candidate = told.candidates[0]
    assert (told.standing, told.reason.code, told.rank, told.queue_length) == (Standing.WAITING, "busy", 2, 2)
    assert (candidate.resource_class, candidate.has_room) == ("t4", False)
    assert [(lack.lack, lack.nodes) for lack in candidate.lacks] == [("device", 1)]
    assert candidate.best_nodes[0].sentence == "needs 1 t4; node g has 0 of 1 free"
    assert told.expected_start == NOW + timedelta(seconds=30)
    assert told.expected_start_early is not None
    assert told.expected_start_early < told.expected_start


def test_nodes_that_are_no_candidates_are_counted_by_why() -> None:
    told = explained("t", task("t", 8, gpu=AcceleratorRequest(kind="t4")))
    assert {reason.lack: reason.nodes for reason in told.excluded} == {"cordoned": 1, "device": 2}
    told = explained("large", task("large", 6))
    assert {reason.lack: reason.nodes for reason in told.excluded} == {"cordoned": 1}


def test_a_starting_task_sees_why_here_and_the_numbers() -> None:
    told = explained("t", task("t", 2))
    assert (told.standing, told.nodes, told.expected_start) == (Standing.STARTING, ("b",), NOW)
    assert told.terms["rank"] == 1
    assert told.reason.sentence.startswith("starts on node b")


def test_a_running_task_is_explained_by_the_placement_that_was_stored() -> None:
    before = Snapshot(NOW, NODES, (task("t", 2),), ())
    plan = schedule(before)
    after = Snapshot(NOW, NODES, (), started(plan, before))
    told = explain("t", after, Plan(placements=plan.placements))
    assert (told.standing, told.nodes, told.resource_class) == (Standing.RUNNING, ("b",), "cpu-avx2")
    assert told.reason.sentence == plan.placements[0].sentence
    assert told.expected_end == NOW + timedelta(seconds=60)
    assert "runs on b" in explain("t", after, Plan()).reason.sentence


def test_an_unknown_task_is_refused_with_the_next_step() -> None:
    with pytest.raises(NotFound, match="holds no task 'x' among 2"):
        explained("x")


@settings(max_examples=150, deadline=None)
@given(snapshots())
def test_every_task_can_be_explained_and_the_answer_survives_json(snapshot: Snapshot) -> None:
    plan = schedule(snapshot)
    for task_id in [one.id for one in snapshot.waiting] + [one.id for one in snapshot.running]:
        told = explain(task_id, snapshot, plan)
        assert told.reason.sentence
        assert Explanation.model_validate_json(told.model_dump_json()) == told
