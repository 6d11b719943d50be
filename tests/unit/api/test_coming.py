"""What a task that waits is told of the nodes that are on their way for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lepton_ai.api.coming import coming_for
from lepton_ai.types.base import Metadata
from lepton_ai.types.node_group import GroupNode, GroupNodeState, NodeGroup, NodeGroupSpec, NodeGroupStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def group(name: str, *nodes: GroupNode) -> NodeGroup:
    spec = NodeGroupSpec(provider="command", max=5, boot_time=timedelta(seconds=180))
    return NodeGroup(metadata=Metadata(name=name), spec=spec, status=NodeGroupStatus(nodes=nodes))


def node(name: str, state: GroupNodeState, age: float, *tasks: str) -> GroupNode:
    moment = NOW - timedelta(seconds=age)
    return GroupNode(name=name, state=state, since=moment, created_at=moment, tasks=tasks)


def test_the_group_and_the_time_left_are_told() -> None:
    groups = [group("gpus", node("gpus-1", GroupNodeState.BOOTING, 60, "t"))]
    assert coming_for("t", groups, NOW) == "A node of group gpus is being started, ready in about 2 min."


def test_of_several_the_last_counts() -> None:
    nodes = [node("a-1", GroupNodeState.BOOTING, 60, "t"), node("a-2", GroupNodeState.CREATING, 0, "t")]
    assert coming_for("t", [group("a", *nodes)], NOW) == "2 nodes of group a are being started, ready in about 3 min."


def test_one_that_is_late_is_said_to_be() -> None:
    groups = [group("gpus", node("gpus-1", GroupNodeState.BOOTING, 600, "t"))]
    assert coming_for("t", groups, NOW).endswith("being started, later than expected.")


def test_nodes_for_others_or_that_are_there_are_not_told_of() -> None:
    nodes = [node("a-1", GroupNodeState.BOOTING, 1, "other"), node("a-2", GroupNodeState.READY, 1, "t")]
    assert coming_for("t", [group("a", *nodes)], NOW) == ""
