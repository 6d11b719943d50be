"""Reads the logs of everything that one object ever started, as they grow."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lepton_ai.api.core import Core
from lepton_ai.api.log_cursor import LogCursor
from lepton_ai.kernel.store.store import CHANGES_MAX
from lepton_ai.types.base import AnyObject
from lepton_ai.types.task import Task

CHUNK_BYTES = 64 * 1024
RANKS_MAX = 1000  # replicas read in one round; the next ones come when some of these are done
DELETED = "deleted"  # the state told at the end of a log whose object is gone


@dataclass(frozen=True, slots=True)
class Selection:
    """What of the logs is wanted: of one rank or (-1) of all, and only the last bytes of each, or (0) everything."""

    rank: int = -1
    tail_bytes: int = 0


class LogReader:
    """Follows one object and its tasks by the change feed, since an array may have 10,000 of them."""

    def __init__(self, core: Core, thing: AnyObject, selection: Selection, cursor: LogCursor) -> None:
        self._core = core
        self._selection = selection
        self._done: set[str] = set()
        self._skipped: set[str] = set()
        self.cursor = cursor
        self._revision = core.store.revision()
        # What was committed since `thing` was looked up is in no later change: look again.
        current = core.store.look_up(type(thing), thing.project, thing.id)
        self._thing, self._is_deleted = current or thing, current is None
        owned = core.store.owned(Task, thing.id)
        self._tasks = {task.id: task for task in owned if place(task) > cursor.done_to}
        self._order: deque[str] = deque()
        self._sort()

    def refresh(self) -> None:
        """See what was committed since the last call."""
        while True:
            seen = self._core.store.changes(
                self._revision, kinds=(self._thing.KIND, Task.KIND), project=self._thing.project
            )
            known = len(self._tasks)
            for one in seen:
                self._take(one.object, is_deleted=one.is_deleted)
            if len(self._tasks) != known:
                self._sort()
            if seen:
                # A batch cut off by its limit may have split a commit: read that revision again.
                self._revision = seen[-1].revision - (len(seen) >= CHANGES_MAX)
            if len(seen) < CHANGES_MAX:
                return

    def is_over(self) -> bool:
        """Tell whether the object has ended or is going, so that no task can follow."""
        return self._is_going() or self._thing.is_final()

    def state(self) -> str:
        """Return the object's state; one that is going counts as deleted: nothing more is told of it."""
        return DELETED if self._is_going() else str(self._thing.status.state)

    def replicas(self) -> Sequence[tuple[Task, int]]:
        """Return the replicas that were ever started for the object and are not read to their ends, oldest first."""
        self._skip_what_is_done()
        found: list[tuple[Task, int]] = []
        for task_id in self._order:
            found.extend((self._tasks[task_id], rank) for rank in self._pending(self._tasks[task_id]))
            if len(found) >= RANKS_MAX:
                break
        return found[:RANKS_MAX]

    def read(self, task: Task, rank: int) -> dict[str, Any] | None:
        """Return the next piece of one replica's log as the API shows it, or None if there is nothing new."""
        replica_id = task.replica_id(rank)
        if task.id not in self._tasks or replica_id in self._done:
            return None
        offset = self.cursor.get(task.id, rank)
        if offset is None:
            offset = self._tail(replica_id) if self._selection.tail_bytes else 0
        chunk = self._core.runtime.read_log(replica_id, offset, CHUNK_BYTES)
        # A task that had ended before its log was read writes no more, even if nobody knows how its replicas ended.
        is_rest = chunk.is_complete or (task.is_final() and len(chunk.text) < CHUNK_BYTES)
        text, used = decode(chunk.text, is_rest=is_rest)
        self.cursor.put(task.id, rank, chunk.offset + used)
        if is_rest and task.is_final():
            self._done.add(replica_id)
            if not self._pending(task):
                self.cursor.ended.add(task.id)
            self._skip_what_is_done()
        if not text and chunk.offset <= offset:
            return None
        shown = {"task": task.id, "index": task.spec.index, "attempt": task.spec.attempt, "rank": rank, "text": text}
        return shown | {"truncated_bytes": max(0, chunk.offset - offset)}

    def _is_going(self) -> bool:
        return self._is_deleted or self._thing.metadata.deletion_requested_at is not None

    def _take(self, thing: AnyObject, *, is_deleted: bool) -> None:
        if thing.id == self._thing.id:
            self._thing, self._is_deleted = thing, is_deleted
        elif isinstance(thing, Task) and thing.metadata.owner_id == self._thing.id:
            if is_deleted:
                self._tasks.pop(thing.id, None)
            elif thing.id in self._tasks or thing.id not in self._skipped:
                self._tasks[thing.id] = thing

    def _sort(self) -> None:
        self._order = deque(sorted(self._tasks, key=lambda task_id: place(self._tasks[task_id])))

    def _pending(self, task: Task) -> Sequence[int]:
        ranks = (allocation.rank for allocation in task.status.allocations)
        wanted = (rank for rank in ranks if self._selection.rank in {-1, rank})
        return [rank for rank in wanted if task.replica_id(rank) not in self._done]

    def _skip_what_is_done(self) -> None:
        """Drop the oldest tasks that are read to their ends, so that the cursor stays short."""
        while self._order:
            task = self._tasks[self._order[0]]
            if not task.is_final() or self._pending(task):
                return
            self._order.popleft()
            del self._tasks[task.id]
            self._skipped.add(task.id)
            self.cursor.finish(place(task), task.id)

    def _tail(self, replica_id: str) -> int:
        end = self._core.runtime.read_log(replica_id, 2**62, 0).next_offset
        return max(0, end - self._selection.tail_bytes)


def place(task: Task) -> str:
    """Return where the task stands among those of its owner: ids do not tell which of them was made first."""
    made = task.metadata.created_at
    assert made is not None, f"{task.id} was never stored"
    return f"{int(made.timestamp() * 1_000_000):016d}-{task.id}"


def decode(piece: bytes, *, is_rest: bool) -> tuple[str, int]:
    """Return the text of a piece and how many of its bytes that is: a character cut in half waits for its rest."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(piece, final=is_rest)
    held = len(decoder.getstate()[0])
    return text, len(piece) - held
