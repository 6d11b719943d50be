"""Pure: node objects brought up to what the runtime observes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

from lepton_ai.kernel.change import Change, Note, create, update
from lepton_ai.kernel.runtime import NodeObservation
from lepton_ai.types.base import Metadata, Reason
from lepton_ai.types.node import Hardware, Node, NodeState, NodeStatus
from lepton_ai.types.where import BOOKKEEPING

PLATFORM_PROJECT = "platform"  # nodes belong to no team


def observe_nodes(
    known: Collection[Node], seen: Sequence[NodeObservation], now: datetime, new_id: Callable[[str], str]
) -> Iterable[Change]:
    """Yield the changes for nodes that joined, changed, came back or were lost."""
    by_name = {node.name: node for node in known}
    for observation in seen:
        node = by_name.pop(observation.name, None)
        if node is None:
            yield _join(observation, now, new_id("node"))
        elif node.status.state is not NodeState.READY:
            yield update(node.replace(status=_status(observation, now)), _arrival(node))
        elif _differs(node.status, observation):
            yield update(node.replace(status=_status(observation, now)), _change(node.status, observation))
    for node in by_name.values():
        if node.status.state is NodeState.READY:
            reason = Reason(code="lost", sentence=f"Node {node.name} does not answer.")
            yield update(node.with_status(state=NodeState.LOST, reason=reason), Note("lost", reason.sentence))


def place_labels(node: Node) -> tuple[tuple[str, str], ...]:
    """Return the labels by which work may ask for the node, by key; what it costs is not among them."""
    return tuple(sorted((key, value) for key, value in node.metadata.labels.items() if key not in BOOKKEEPING))


def _arrival(node: Node) -> Note:
    if node.status.state is NodeState.JOINING:
        return Note("ready", f"Node {node.name} takes work.")
    return Note("back", f"Node {node.name} answers again.")


def _change(before: NodeStatus, observation: NodeObservation) -> Note:
    if before.door != observation.door and before.hardware == observation.hardware:
        return Note("door", "Its replicas can be reached." if observation.door else "Its door is shut.")
    return Note("changed", "Its hardware changed.")


def _join(observation: NodeObservation, now: datetime, node_id: str) -> Change:
    metadata = Metadata(id=node_id, name=observation.name, project=PLATFORM_PROJECT)
    classes = ", ".join(observation.hardware.resource_classes())
    return create(Node(metadata=metadata, status=_status(observation, now)), Note("joined", f"Joined with {classes}."))


def _status(observation: NodeObservation, now: datetime) -> NodeStatus:
    return NodeStatus(
        state=NodeState.READY,
        address=observation.address,
        serving_address=observation.serving_address,
        door=observation.door,
        hardware=observation.hardware,
        limits=observation.limits,
        last_seen_at=now,
    )


def _differs(status: NodeStatus, observation: NodeObservation) -> bool:
    if status.hardware is None or _place(status) != _place(observation):
        return True
    known, seen = status.hardware, observation.hardware
    return known is not seen and known != seen and _lasting(known) != _lasting(seen)


def _place(seen: NodeStatus | NodeObservation) -> tuple[object, ...]:
    return seen.address, seen.serving_address, seen.door, seen.limits


def _lasting(hardware: Hardware) -> Hardware:
    """Leave out the free space of disks, which changes with every write."""
    return hardware.replace(disks=tuple(disk.replace(free_bytes=0) for disk in hardware.disks))
