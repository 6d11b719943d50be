"""Nodes that are wanted empty: jobs leave with notice, what serves is replaced elsewhere first."""

from __future__ import annotations

from datetime import timedelta

from lepton_ai.kernel.change import update
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.machines import machine
from lepton_ai.types.endpoint import Endpoint
from lepton_ai.types.job import JobState
from lepton_ai.types.node import Node
from lepton_ai.types.task import ExitKind, Task, TaskState
from tests.unit.kernel.rig import Rig

LONG = Behaviour(seconds=10_000).command()


def drain(rig: Rig, name: str, seconds: float = 600) -> None:
    by = rig.clock.now() + timedelta(seconds=seconds)
    node = find(rig, name)
    rig.store.commit([update(node.replace(spec=node.spec.replace(cordoned=True, drain_by=by)))], actor="ada")


def uncordon(rig: Rig, name: str) -> None:
    node = find(rig, name)
    rig.store.commit([update(node.replace(spec=node.spec.replace(cordoned=False, drain_by=None)))], actor="ada")


def find(rig: Rig, name: str) -> Node:
    return next(node for node in rig.store.page(Node) if node.name == name)


def where(task: Task) -> set[str]:
    return {one.node for one in task.status.allocations}


def replicas_of(rig: Rig, endpoint: Endpoint) -> list[Task]:
    return [task for task in rig.tasks(endpoint) if task.status.state is TaskState.RUNNING]


def node_of_job(rig: Rig) -> str:
    newest = max(rig.tasks(rig.job()), key=lambda task: task.spec.attempt)
    return next(iter(where(newest)))


def other_than(name: str) -> str:
    return {"a": "b", "b": "a"}[name]


def test_a_job_goes_on_elsewhere_and_its_retries_are_not_counted() -> None:
    rig = Rig(machine("a", threads=4), machine("b", threads=4))
    rig.submit(command=LONG, resources={"cpu": 1}, retries={"lost_node": 0})
    rig.work(5)
    before = node_of_job(rig)
    drain(rig, before)
    rig.work(30)
    assert rig.job().status.state is JobState.RUNNING
    assert node_of_job(rig) == other_than(before)
    first = min(rig.tasks(rig.job()), key=lambda task: task.spec.attempt)
    assert first.status.outcome is ExitKind.PREEMPTED
    assert first.status.reason.sentence.startswith(f"Node {before} is being drained")
    assert find(rig, before).status.reason.code == "drained"


def test_a_job_that_fits_nowhere_else_waits_and_starts_when_the_node_is_wanted_again() -> None:
    rig = Rig(machine("a", threads=4))
    rig.submit(command=LONG, resources={"cpu": 1})
    rig.work(5)
    drain(rig, "a")
    rig.work(30)
    assert rig.job().status.state is JobState.QUEUED
    uncordon(rig, "a")
    rig.work(5)
    assert rig.job().status.state is JobState.RUNNING
    assert find(rig, "a").status.reason.code == ""


def test_a_gang_leaves_as_a_whole() -> None:
    rig = Rig(machine("a", threads=4), machine("b", threads=4), machine("c", threads=4))
    rig.submit(command=LONG, replicas=2, resources={"cpu": 3})
    rig.work(5)
    before = where(rig.tasks(rig.job())[0])
    drained = min(before)
    drain(rig, drained)
    rig.work(30)
    newest = max(rig.tasks(rig.job()), key=lambda task: task.spec.attempt)
    assert newest.status.state is TaskState.RUNNING
    assert where(newest) == {"a", "b", "c"} - {drained}


def test_an_endpoint_always_has_a_replica_that_answers() -> None:
    rig = Rig(machine("a", threads=4), machine("b", threads=4))
    endpoint = rig.serve(resources={"cpu": 1})
    rig.work(30)
    (old,) = replicas_of(rig, endpoint)
    (before,) = where(old)
    drain(rig, before)
    answering = []
    for _ in range(40):
        rig.work(1)
        answering.append({str(one.state) for one in rig.plane.routes["default", "digits"].servers})
    assert all("ready" in states for states in answering)
    (new,) = replicas_of(rig, endpoint)
    assert where(new) == {other_than(before)}
    assert find(rig, before).status.reason.code == "drained"


def test_a_replica_without_room_elsewhere_stays_until_the_deadline_and_then_goes() -> None:
    rig = Rig(machine("a", threads=4))
    endpoint = rig.serve(resources={"cpu": 1})
    rig.work(30)
    drain(rig, "a", seconds=120)
    rig.work(60)
    assert len(replicas_of(rig, endpoint)) == 1
    assert find(rig, "a").status.reason.sentence.startswith("1 task leaves it; what is left at ")
    rig.work(120)
    assert replicas_of(rig, endpoint) == []
    assert find(rig, "a").status.reason.code == "drained"


def test_a_replica_that_has_not_left_yet_stays_when_the_node_is_wanted_again() -> None:
    rig = Rig(machine("a", threads=4))
    endpoint = rig.serve(resources={"cpu": 1})
    rig.work(30)
    (old,) = replicas_of(rig, endpoint)
    drain(rig, "a")
    rig.work(10)
    uncordon(rig, "a")
    rig.work(30)
    assert [task.id for task in replicas_of(rig, endpoint)] == [old.id]
    assert find(rig, "a").status.reason.code == ""


def test_a_drain_goes_on_under_the_next_core() -> None:
    rig = Rig(machine("a", threads=4), machine("b", threads=4))
    rig.submit(command=LONG, resources={"cpu": 1})
    rig.work(5)
    before = node_of_job(rig)
    drain(rig, before)
    rig.start()
    rig.work(30)
    assert node_of_job(rig) == other_than(before)
