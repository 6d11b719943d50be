"""Our own past as a trace."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lepton_ai.kernel.scheduling.snapshot import Demand, Restart
from lepton_ai.simulation.history import nodes_of, trace_of
from lepton_ai.testing.machines import machine
from lepton_ai.types.base import Metadata
from lepton_ai.types.node import Node, NodeStatus
from lepton_ai.types.resources import Resources
from lepton_ai.types.task import Preemptible, Program, Task, TaskSpec, TaskStatus
from tests.unit.kernel.scheduling.worlds import NOW


def task(name: str, submitted: float, began: float | None, ended: float | None, **more: object) -> Task:
    """A task whose moments are seconds before now."""

    def moment(seconds: float | None) -> object:
        return None if seconds is None else NOW - timedelta(seconds=seconds)

    spec = TaskSpec(
        owner_kind="job", owner_name=name, task_kind="ada/train.py", program=Program(command=("true",)),
        resources=Resources(cpu=2, memory="4GB"),
        **more,
    )  # fmt: skip
    status = TaskStatus(
        submitted_at=moment(submitted), started_at=moment(began), finished_at=moment(ended)
    )  # fmt: skip
    return Task(metadata=Metadata(id=name, name=name), spec=spec, status=status)


def test_tasks_come_with_their_real_times_demands_and_weights() -> None:
    found = trace_of([task("b", 100, 90, 30, priority=75), task("a", 200, 150, 50)], NOW - timedelta(days=7), NOW, "x")
    assert [(t.id, t.submitted, t.seconds, t.waited, t.weight) for t in found.tasks] == [
        ("a", 0.0, 100.0, 50.0, 1.0), ("b", 100.0, 60.0, 10.0, 4.0),
    ]  # fmt: skip
    assert found.tasks[0].demand == Demand(2000, 4 * 10**9)
    assert found.tasks[0].kind == "default/ada/train.py"
    assert found.began == NOW - timedelta(seconds=200)


def test_what_never_started_is_counted_and_what_still_runs_ends_now() -> None:
    found = trace_of([task("a", 100, None, None), task("b", 100, 80, None)], NOW - timedelta(days=7), NOW, "x")
    assert [(one.id, one.seconds) for one in found.tasks] == [("b", 80.0)]
    assert found.skipped == {"never started": 1}
    assert found.notes == ("1 task still runs; it is taken to end now.",)


def test_tasks_bear_the_names_of_their_jobs_and_those_of_arrays_their_places() -> None:
    found = trace_of([task("a", 9, 8, 7, index=index) for index in range(3)], NOW - timedelta(days=1), NOW, "x")
    assert [one.id for one in found.tasks] == ["a", "a/1", "a/2"]


def test_what_was_submitted_before_is_left_out() -> None:
    assert not trace_of([task("a", 100, 90, 30)], NOW - timedelta(seconds=99), NOW, "x").tasks


def test_replicas_of_endpoints_are_services() -> None:
    found = trace_of([task("a", 100, 90, 30, is_service=True)], NOW - timedelta(days=1), NOW, "x")
    assert [one.is_service for one in found.tasks] == [True]


def test_what_may_be_preempted_may_be_in_the_replay_too_and_pays_what_it_said() -> None:
    terms = Preemptible(restart=timedelta(minutes=2), resumes=False)
    found = trace_of(
        [task("a", 200, 90, 30, preemptible=terms), task("b", 100, 90, 30)], NOW - timedelta(days=1), NOW, "x"
    )
    assert [one.restart for one in found.tasks] == [Restart(120.0, resumes=False, grace_seconds=10.0), None]
    assert [one.project for one in found.tasks] == ["default", "default"]


@pytest.mark.parametrize(("label", "prices"), [("5", {"n": 2.5}), ("much", {}), ("-1", {}), ("nan", {})])
def test_nodes_are_priced_by_their_label(label: str, prices: dict[str, float]) -> None:
    hardware = machine("n", threads=8, memory_gb=16, devices=2).hardware
    node = Node(
        metadata=Metadata(id="n", name="n", labels={"price": label}),
        status=NodeStatus(hardware=hardware),
    )
    found = nodes_of([node, Node(metadata=Metadata(id="new", name="new"))])
    assert found.prices == prices
    assert [(one.name, one.cpu_milli, len(one.devices)) for one in found.nodes] == [("n", 8000, 2)]


def test_conditions_limits_and_due_moments_come_along_with_labels_and_prices() -> None:
    wanted = {"due_at": NOW + timedelta(seconds=500), "max_cost": 3.0, "earlier_cost": 1.0}
    found = trace_of([task("a", 100, 90, 30, **wanted)], NOW - timedelta(days=1), NOW, "x").tasks[0]
    assert (found.due_seconds, found.demand.money) == (600.0, 2.0)
    status = NodeStatus(hardware=machine("n", threads=4).hardware)
    labels = {"site": "berlin", "price": "2.5"}
    (view,) = nodes_of([Node(metadata=Metadata(id="n", name="n", labels=labels), status=status)]).nodes
    assert view.labels == (("site", "berlin"),)
    assert view.price is not None
    assert view.price.of(2000, 0, 0) == 1.25
