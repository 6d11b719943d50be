"""An index over live tasks: which of them are on their way from one state to another, and who holds which replica."""

from __future__ import annotations

from collections.abc import Mapping

from lepton_ai.types.task import Task, TaskState

ACTIVE = frozenset({TaskState.STARTING, TaskState.RUNNING, TaskState.STOPPING})
_MAY_EXCEED = frozenset({TaskState.STARTING, TaskState.RUNNING})
_PASSING = frozenset({TaskState.STARTING, TaskState.STOPPING})


class TaskIndex:
    """Brought up to date with each task that is put or dropped, so that no pass has to look through all of them."""

    def __init__(self) -> None:
        self._moving: dict[str, Task] = {}
        self._limited: dict[str, Task] = {}
        self._leaving: dict[str, Task] = {}
        self._checkpointed: dict[str, Task] = {}
        self._holders: dict[str, str] = {}  # by replica id
        self._held: dict[str, tuple[str, ...]] = {}  # replica ids by task id

    @property
    def moving(self) -> Mapping[str, Task]:
        """The tasks that something is still to be done about: that start, stop, or were asked to stop."""
        return self._moving

    @property
    def limited(self) -> Mapping[str, Task]:
        """The tasks that start or run and may cost no more than so much."""
        return self._limited

    @property
    def leaving(self) -> Mapping[str, Task]:
        """The tasks that hold something and were told to leave their node."""
        return self._leaving

    @property
    def checkpointed(self) -> Mapping[str, Task]:
        """The active tasks whose checkpoints are kept."""
        return self._checkpointed

    @property
    def holders(self) -> Mapping[str, str]:
        """The id of the active task that holds a replica, by the replica's id."""
        return self._holders

    def put(self, task: Task) -> None:
        """Take over the newest form of a task."""
        self.drop(task.id)
        state = task.status.state
        if state in _PASSING or (task.spec.stop_requested and not task.is_final()):
            self._moving[task.id] = task
        if task.spec.max_cost is not None and state in _MAY_EXCEED:
            self._limited[task.id] = task
        if task.status.leave_by is not None and state in ACTIVE:
            self._leaving[task.id] = task
        if state in ACTIVE and task.spec.program.checkpoint is not None:
            self._checkpointed[task.id] = task
        if state in ACTIVE:
            held = tuple([task.replica_id(allocation.rank) for allocation in task.status.allocations])
            self._held[task.id] = held
            self._holders.update(dict.fromkeys(held, task.id))

    def drop(self, task_id: str) -> None:
        """Forget a task."""
        self._moving.pop(task_id, None)
        self._limited.pop(task_id, None)
        self._leaving.pop(task_id, None)
        self._checkpointed.pop(task_id, None)
        for replica_id in self._held.pop(task_id, ()):
            del self._holders[replica_id]
