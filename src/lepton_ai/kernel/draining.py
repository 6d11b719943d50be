"""Pure: what leaves the nodes that are wanted empty, and how far that is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from lepton_ai.kernel import tasks
from lepton_ai.kernel.change import Change, Note, update
from lepton_ai.kernel.world import World
from lepton_ai.types.base import Reason
from lepton_ai.types.node import Node, NodeState
from lepton_ai.types.task import Task, TaskState

DRAINING, DRAINED = "draining", "drained"
_MAY_LEAVE = frozenset({TaskState.STARTING, TaskState.RUNNING})


def review(world: World, now: datetime) -> tuple[Sequence[Change], datetime | None]:
    """Return what brings each drained node closer to being empty, and when the next deadline is.

    A job is stopped at once, with its grace, and started elsewhere. What serves is told to leave, so that its service
    first has another one stand in for it; what is left at the deadline is stopped in any case.
    """
    nodes = world.all(Node)
    drained = {node.name: node for node in nodes if node.spec.drain_by is not None}
    told = [node for node in nodes if node.status.reason.code in {DRAINING, DRAINED}]
    if not (drained or told or world.index.leaving):
        return [], None
    holding = world.holding() if drained else list(world.index.leaving.values())
    changes = [change for task in holding if (change := _task(task, drained, now)) is not None]
    for node in {one.id: one for one in (*drained.values(), *told)}.values():
        if (step := _node(node, holding, now)) is not None:
            changes.append(step)
    deadlines = [by for node in drained.values() if (by := node.spec.drain_by) is not None and by > now]
    return changes, min(deadlines, default=None)


def _task(task: Task, drained: Mapping[str, Node], now: datetime) -> Change | None:
    """Return what becomes of one task that holds something, or None if nothing does."""
    if task.status.state not in _MAY_LEAVE or task.spec.stop_requested:
        return None
    here = [drained[one.node] for one in task.status.allocations if one.node in drained]
    by = min((node.spec.drain_by for node in here if node.spec.drain_by is not None), default=None)
    if by is not None and (not task.spec.is_service or by <= now):
        return tasks.drain(task, here[0].name)
    if by == task.status.leave_by:
        return None
    if by is None:
        return update(task.with_status(leave_by=None))
    sentence = f"Node {here[0].name} is being drained: another replica stands in for it, then it is stopped."
    return update(task.with_status(leave_by=by), Note("leaving", sentence))


def _node(node: Node, holding: Collection[Task], now: datetime) -> Change | None:
    """Return the change that tells how far the node is, or None if that has not changed."""
    if node.status.state is not NodeState.READY:
        return None  # why it is no node at present matters more
    reason = _progress(node, holding, now)
    if reason == node.status.reason:
        return None
    is_done = reason.code == DRAINED
    note = [Note(DRAINED, reason.sentence)] if is_done else []
    return update(node.with_status(reason=reason), *note)


def _progress(node: Node, holding: Collection[Task], now: datetime) -> Reason:
    by = node.spec.drain_by
    if by is None:
        return Reason()
    left = sum(any(one.node == node.name for one in task.status.allocations) for task in holding)
    if left == 0:
        return Reason(code=DRAINED, sentence="It is drained: nothing runs on it, and it gets nothing new.")
    until = f"what is left at {by:%H:%M:%S} UTC is stopped" if by > now else "their time is over"
    return Reason(code=DRAINING, sentence=f"{left} {'task leaves' if left == 1 else 'tasks leave'} it; {until}.")
