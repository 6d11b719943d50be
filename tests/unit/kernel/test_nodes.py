"""Node objects follow what the runtime sees, and only what lasts is written."""

from __future__ import annotations

from collections.abc import Sequence

from lepton_ai.kernel.change import Change
from lepton_ai.kernel.nodes import observe_nodes
from lepton_ai.kernel.runtime import NodeObservation
from lepton_ai.testing.machines import machine
from lepton_ai.types.node import Disk, Hardware, Node, NodeState, NodeUse
from tests.unit.kernel.samples import later

SMALL, LARGE = machine("n", threads=2).hardware, machine("n", threads=8, devices=1).hardware


def seen(name: str = "node-1", hardware: Hardware = SMALL, **more: str) -> NodeObservation:
    return NodeObservation(name, more.get("address", "10.0.0.1"), hardware, NodeUse(cpu=0.5), "cgroup-v2")


def observe(known: Sequence[Node], *observations: NodeObservation) -> list[Change]:
    return list(observe_nodes(known, observations, later(5), lambda kind: f"{kind}-new"))


def _node(change: Change) -> Node:
    assert isinstance(change.object, Node)
    return change.object


def joined(hardware: Hardware = SMALL) -> Node:
    return _node(observe([], seen(hardware=hardware))[0])


def test_a_node_that_is_new_joins_with_its_classes_of_resources() -> None:
    (change,) = observe([], seen(hardware=LARGE))
    assert (change.verb, change.object.name, change.notes[0].code) == ("create", "node-1", "joined")
    assert change.notes[0].sentence == "Joined with cpu-avx2, nvidia-h100-80gb."


def test_a_node_that_is_as_it_was_is_not_written() -> None:
    assert observe([joined()], seen()) == []


def test_free_space_on_a_disk_comes_and_goes_without_a_word() -> None:
    disks = [Disk(mount="/", device="sda", total_bytes=100, free_bytes=free) for free in (50, 40)]
    before, after = (SMALL.replace(disks=(disk,)) for disk in disks)
    assert observe([joined(hardware=before)], seen(hardware=after)) == []


def test_a_node_whose_hardware_changed_is_brought_up_to_date() -> None:
    (change,) = observe([joined()], seen(hardware=LARGE))
    assert (change.verb, change.notes[0].code, _node(change).status.hardware) == ("update", "changed", LARGE)


def test_a_node_that_does_not_answer_is_lost_once() -> None:
    (change,) = observe([joined()])
    lost = _node(change)
    assert (lost.status.state, change.notes[0].code) == (NodeState.LOST, "lost")
    assert lost.status.hardware == SMALL
    assert observe([lost]) == []


def test_a_lost_node_that_answers_again_is_back() -> None:
    lost = _node(observe([joined()])[0])
    (change,) = observe([lost], seen())
    assert (_node(change).status.state, change.notes[0].code) == (NodeState.READY, "back")
    assert _node(change).status.last_seen_at == later(5)


def test_what_the_operator_wants_of_a_node_outlives_its_loss() -> None:
    node = joined()
    cordoned = node.replace(spec=node.spec.replace(cordoned=True))
    lost = _node(observe([cordoned])[0])
    assert _node(observe([lost], seen())[0]).spec.cordoned


def test_a_node_that_joins_is_ready_once_it_is_seen_and_was_never_lost() -> None:
    waiting = joined().with_status(state=NodeState.JOINING)
    (change,) = observe([waiting], seen())
    assert observe([waiting]) == []
    assert (_node(change).status.state, change.notes[0].code) == (NodeState.READY, "ready")
