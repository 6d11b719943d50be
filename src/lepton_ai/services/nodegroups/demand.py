"""What waits for want of room, and which nodes of which groups would let it start: asked once for all groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lepton_ai.kernel.promised import promised
from lepton_ai.kernel.registry import View
from lepton_ai.kernel.scheduling.growth import Growth, Offer, grow
from lepton_ai.kernel.scheduling.snapshot import Plan, Snapshot
from lepton_ai.settings import Settings
from lepton_ai.types.node_group import COMING, GOING, NodeGroup
from lepton_ai.types.task import Task, TaskState

Queue = Callable[[], tuple[Snapshot, Plan] | None]


class Demand:
    """Remembers the last answer, which holds while neither the queue nor the groups change."""

    def __init__(self, queue: Queue, settings: Settings) -> None:
        self._queue, self._settings = queue, settings
        self._asked: tuple[object, ...] = ()
        self._answer = Growth()

    def growth(self, groups: Sequence[NodeGroup], view: View, room: Callable[[NodeGroup], int]) -> Growth:
        """Return what to add; `groups` are in one order, and `room` says how many more nodes each may have."""
        last = self._queue()
        if last is None:
            return Growth()
        snapshot = last[0]
        waiting = tuple(task for task in snapshot.waiting if _waits(view, task.id))
        rooms = [room(group) for group in groups]
        versions = tuple((group.id, group.metadata.version) for group in groups)
        asked = (snapshot.now, tuple(task.id for task in waiting), versions, tuple(rooms))
        if asked != self._asked:
            self._asked = asked
            self._answer = grow(self._with_coming(replace(snapshot, waiting=waiting), groups), _offers(groups, rooms))
        return self._answer

    def _with_coming(self, snapshot: Snapshot, groups: Sequence[NodeGroup]) -> Snapshot:
        """Return the snapshot with the nodes that are on their way, as their group promises them."""
        nodes = {node.name: node for node in snapshot.nodes}
        for group in groups:
            for node in group.status.nodes:
                if node.state in COMING or (node.state not in GOING and node.name not in nodes):
                    nodes[node.name] = promised(group.name, group.spec, node.name)
        return replace(snapshot, nodes=tuple(nodes.values()))


def _offers(groups: Sequence[NodeGroup], rooms: Sequence[int]) -> list[Offer]:
    pairs = zip(groups, rooms, strict=True)
    return [
        Offer(g.name, promised(g.name, g.spec, g.name), count, g.spec.boot_time.total_seconds()) for g, count in pairs
    ]


def _waits(view: View, task_id: str) -> bool:
    task = view.get(Task, task_id)
    return task is not None and task.status.state is TaskState.WAITING and not task.spec.stop_requested
