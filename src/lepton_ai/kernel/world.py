"""The loop's picture of the store: every live object in memory, kept true by the change feed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from lepton_ai.kernel.change import Committed, Seen
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.store import CHANGES_MAX
from lepton_ai.kernel.task_index import TaskIndex
from lepton_ai.types.base import AnyObject
from lepton_ai.types.resources import Allocation
from lepton_ai.types.task import Task

T = TypeVar("T", bound=AnyObject)
_ATTEMPT_AND_INDEX = attrgetter("spec.attempt", "spec.index")


class World:
    """A cache, and nothing but a cache: it is empty at start and may be thrown away at any time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = -1
        self._objects: dict[str, AnyObject] = {}
        self._live: defaultdict[str, dict[str, Any]] = defaultdict(dict)  # by kind
        self._tasks: defaultdict[str, dict[str, Task]] = defaultdict(dict)
        self._deleted: dict[str, Task] = {}
        self._changed: set[str] = set()
        self.index = TaskIndex()

    def holding(self) -> Collection[Task]:
        """Return the tasks that hold something. Safe from any thread."""
        task_ids = list(self.index.holders.values())  # at once: the loop goes on changing it
        tasks = [self.get(Task, task_id) for task_id in dict.fromkeys(task_ids)]
        return [task for task in tasks if task is not None]

    def held(self) -> Sequence[Allocation]:
        """Return what tasks hold, as the last pass left it. Safe from any thread."""
        return [allocation for task in self.holding() for allocation in task.status.allocations]

    def refresh(self) -> set[str]:
        """Read what was committed since the last call; return the ids that changed, and their owners'."""
        if self._revision < 0:
            self._revision, seen = self._store.load_live()
            return self._take(seen)
        changed: set[str] = set()
        while True:
            seen = self._store.changes(self._revision)
            changed |= self._take(seen)
            if seen:
                # A batch cut off by its limit may have split a commit: read that revision again, it costs little.
                self._revision = seen[-1].revision - (len(seen) >= CHANGES_MAX)
            if len(seen) < CHANGES_MAX:
                return changed

    def absorb(self, done: Committed) -> set[str]:
        """Take over what we just committed ourselves; read the feed if somebody else committed in between."""
        if done.revision != self._revision + 1:
            return self.refresh()
        self._revision = done.revision
        return self._take(done.seen)

    def deleted_tasks(self) -> Sequence[Task]:
        """Return the tasks whose deletion was seen and whose logs may still be there."""
        return list(self._deleted.values())

    def forget_deleted(self, task: Task) -> None:
        """Take note that nothing is left of a deleted task."""
        self._deleted.pop(task.id, None)

    def get(self, kind: type[T], object_id: str) -> T | None:
        """Return the object of that id, if it is live or owned by a live one."""
        found = self._objects.get(object_id)
        return found if isinstance(found, kind) else None

    def by_id(self, object_id: str) -> AnyObject | None:
        """Return the object of that id, whatever its kind."""
        return self._objects.get(object_id)

    def look_up(self, kind: type[T], project: str, name: str) -> T | None:
        """Return the newest object of that name or id in the project, from the store if it has ended."""
        return self._store.look_up(kind, project, name)

    def all(self, kind: type[T]) -> Collection[T]:
        """Return every live object of the kind."""
        return list(self._live[kind.KIND].values())

    def ids(self, kind: str) -> set[str]:
        """Return the ids of every live object of the kind."""
        return set(self._live[kind])

    def changed_tasks(self) -> set[str]:
        """Return the ids of the tasks that changed since the last call (for placing)."""
        changed, self._changed = self._changed, set()
        return changed

    def tasks_of(self, owner_id: str) -> Sequence[Task]:
        """Return the tasks of a live owner, oldest first: by attempt, and by index within it."""
        # Not by id: ids count in decimal without leading zeros, so that attempt 10 would come before attempt 9.
        return sorted(self._tasks.get(owner_id, {}).values(), key=_ATTEMPT_AND_INDEX)

    def _take(self, seen: Sequence[Seen]) -> set[str]:
        changed: set[str] = set()
        for one in seen:
            thing = one.object
            changed.update(filter(None, (thing.id, thing.metadata.owner_id)))
            if one.is_live or (not one.is_deleted and isinstance(thing, Task)):
                self._keep(thing)
            else:
                self._drop(thing)
                if one.is_deleted and isinstance(thing, Task):
                    self._deleted[thing.id] = thing
        self._sweep(changed)
        return changed

    def _keep(self, thing: AnyObject) -> None:
        self._objects[thing.id] = thing
        if thing.is_final():
            self._live[thing.KIND].pop(thing.id, None)
        else:
            self._live[thing.KIND][thing.id] = thing
        if isinstance(thing, Task):
            self._tasks[thing.metadata.owner_id][thing.id] = thing
            self.index.put(thing)
            self._changed.add(thing.id)

    def _drop(self, thing: AnyObject) -> None:
        self._objects.pop(thing.id, None)
        self._live[thing.KIND].pop(thing.id, None)
        self.index.drop(thing.id)
        self._changed.add(thing.id)
        owned = self._tasks.get(thing.metadata.owner_id)
        if owned is not None:
            owned.pop(thing.id, None)
            if not owned:
                del self._tasks[thing.metadata.owner_id]

    def _sweep(self, changed: set[str]) -> None:
        """Forget finished tasks whose owner has ended or is gone."""
        for object_id in changed:
            if object_id in self._objects and not isinstance(self._objects[object_id], Task):
                continue
            for task in list(self._tasks.get(object_id, {}).values()):
                if task.is_final():
                    self._drop(task)
