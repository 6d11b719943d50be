"""Pure: what a task that waits is told of the nodes that are being started for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from lepton_ai.kernel.scheduling.reasons import in_words
from lepton_ai.types.node_group import COMING, NodeGroup


def coming_for(task_id: str, groups: Iterable[NodeGroup], now: datetime) -> str:
    """Return a sentence about the nodes on their way for this task; empty if there are none."""
    found = [
        (group, node)
        for group in groups
        for node in group.status.nodes
        if node.state in COMING and task_id in node.tasks
    ]
    if not found:
        return ""
    left = max((node.created_at + group.spec.boot_time - now).total_seconds() for group, node in found)
    names = " and ".join(sorted({group.name for group, _ in found}))
    nodes = "A node" if len(found) == 1 else f"{len(found)} nodes"
    verb = "is" if len(found) == 1 else "are"
    when = f"ready in about {in_words(left)}" if left > 0 else "later than expected"
    return f"{nodes} of group {names} {verb} being started, {when}."
