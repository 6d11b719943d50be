"""What waits for want of room, and which nodes of which groups would let it start: asked once for all groups."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from lepton_ai.kernel.promised import promised
from lepton_ai.kernel.registry import Door, View
from lepton_ai.kernel.scheduling.growth import Growth, Offer, grow
from lepton_ai.kernel.scheduling.snapshot import Snapshot
from lepton_ai.types.node_group import COMING, GOING, NodeGroup
from lepton_ai.types.task import Task, TaskState

log = logging.getLogger(__name__)

PAUSE_FACTOR = 9  # pauses between questions, in units of the time that the last one took


class Question(NamedTuple):
    """What an answer depends on: the versions of the groups, how many nodes each may add, the queue and its moment."""

    versions: tuple[tuple[str, int], ...]
    rooms: tuple[int, ...]
    moment: datetime
    waiting: tuple[str, ...]


class Demand:
    """Asks in a thread, since that may take a second: the loop goes on meanwhile. One question at a time.

    An answer holds while the groups are as they were when it was asked for; otherwise nodes would be started twice.
    """

    def __init__(self, door: Door, thread: Executor | None = None) -> None:
        self._queue, self._clock, self._wake = door.queue, door.clock, door.wake
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix="node-demand")
        self._asked: Question | None = None
        self._last: tuple[Question | None, Growth] = None, Growth()
        self._not_before: datetime | None = None

    def growth(self, groups: Sequence[NodeGroup], view: View, room: Callable[[NodeGroup], int]) -> Growth:
        """Return what to add, as far as it is known; `room` says how many more nodes each group may have."""
        last = self._queue()
        if last is None:
            return Growth()
        snapshot = last[0]
        waiting = tuple(task for task in snapshot.waiting if _waits(view, task.id))
        rooms = tuple(room(group) for group in groups)
        versions = tuple((group.id, group.metadata.version) for group in groups)
        question = Question(versions, rooms, snapshot.now, tuple(task.id for task in waiting))
        if question not in {self._asked, self._last[0]} and self._may_ask():
            self._asked = question
            there = self._with_coming(replace(snapshot, waiting=waiting), groups)
            self._thread.submit(self._ask, question, there, _offers(groups, rooms), groups[0].id)
        return self._known(question, {task.id for task in waiting})

    def close(self) -> None:
        """Ask nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _may_ask(self) -> bool:
        is_early = self._not_before is not None and self._clock.now() < self._not_before
        return self._asked is None and not is_early

    def _ask(self, question: Question, snapshot: Snapshot, offers: Sequence[Offer], wakes: str) -> None:
        began = self._clock.now()
        try:
            self._last = question, grow(snapshot, offers)
        except Exception:
            log.exception("demand_not_reckoned")
        finally:
            ended = self._clock.now()
            self._not_before = ended + PAUSE_FACTOR * (ended - began)
            self._asked = None
        self._wake(wakes)

    def _known(self, question: Question, waiting: AbstractSet[str]) -> Growth:
        """Return the last answer: what it adds only if the groups are the same, for tasks that still wait."""
        answered, answer = self._last
        if answered is None or (answered.versions, answered.rooms) != (question.versions, question.rooms):
            return Growth(used=answer.used)
        add = {
            group: kept
            for group, nodes in answer.add.items()
            if (kept := [tasks for tasks in nodes if not waiting.isdisjoint(tasks)])
        }
        return replace(answer, add=add)

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
