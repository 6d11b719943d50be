"""Places at work in the whole control plane."""

from __future__ import annotations

from lepton_ai.kernel.change import update
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.machines import machine
from lepton_ai.types.job import JobState
from lepton_ai.types.node import Node
from tests.unit.kernel.rig import Rig

LONG = Behaviour(seconds=10_000).command()


def label(made: Rig, name: str, **labels: str) -> None:
    node = next(one for one in made.store.page(Node) if one.name == name)
    made.store.commit([update(node.replace(metadata=node.metadata.replace(labels=labels)))], actor="ada")


def test_a_job_waits_for_a_place_and_starts_once_a_node_is_labelled() -> None:
    made = Rig(machine("a"), machine("b"))
    made.work()
    made.submit(command=LONG, resources={"where": "site=berlin"})
    made.work(2)
    assert made.job().status.reason.code == "no_such_place"
    label(made, "b", site="berlin")
    made.work(2)
    assert [one.node for one in made.tasks(made.job())[0].status.allocations] == ["b"]
    label(made, "b", site="rome")
    made.work(5)
    assert made.job().status.state is JobState.RUNNING


def test_an_endpoint_keeps_to_its_place() -> None:
    made = Rig(machine("a"), machine("b"))
    made.work()
    label(made, "a", site="berlin")
    label(made, "b", site="paris")
    made.serve(resources={"where": "site=paris"})
    made.work(5)
    assert {name.node for task in made.tasks(made.endpoint()) for name in task.status.allocations} == {"b"}
