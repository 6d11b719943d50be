"""How far the log of each replica of an object has been read: kept while reading, and sent along as a cursor."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lepton_ai.errors import InvalidInput

# A gang of 1,000 replicas with 9 digits each is 10 kB: a cursor is sent back in a URL, for which HAProxy has 16 kB.
CURSOR_MAX = 12_000
# "~9-task-a,task-b:5.7": all up to task-a, made at moment 9, is read; of task-b, 5 bytes of rank 0, 7 of rank 1.
_PART = re.compile(r"([a-z0-9-]{1,64}):((?:[0-9]{0,18}\.)*[0-9]{1,18})")
_DONE = re.compile(r"~([0-9]{16}-[a-z0-9-]{1,64})")


@dataclass(slots=True)
class LogCursor:
    """`done_to` is the place of the last task that, like all before it, is read to its end."""

    done_to: str = ""
    offsets: dict[str, dict[int, int]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set, compare=False)  # read to their ends, but not all before them

    def get(self, task_id: str, rank: int) -> int | None:
        """Return the offset to read from, or None if nothing was read of that replica."""
        return self.offsets.get(task_id, {}).get(rank)

    def put(self, task_id: str, rank: int, offset: int) -> None:
        """Take note of what was read."""
        self.offsets.setdefault(task_id, {})[rank] = offset

    def finish(self, place: str, task_id: str) -> None:
        """Take note that the task at this place and all before it are read to their ends."""
        self.done_to = place
        self.offsets.pop(task_id, None)
        self.ended.discard(task_id)

    def __str__(self) -> str:
        """Return the cursor as text. Where it would be too long, what had ended is read again by who resumes."""
        parts = {task_id: _listed(task_id, ranks) for task_id, ranks in self.offsets.items()}
        size = sum(len(part) + 1 for part in parts.values()) + len(self.done_to) + 1
        for task_id in [*(self.ended & parts.keys()), *(parts.keys() - self.ended)]:
            if size <= CURSOR_MAX:
                break
            size -= len(parts.pop(task_id)) + 1
        return ",".join([*([f"~{self.done_to}"] if self.done_to else []), *parts.values()])


def read_cursor(text: str) -> LogCursor:
    """Return the cursor that a client sent back; raises InvalidInput if it is none of ours."""
    cursor = LogCursor()
    for part in filter(None, text.split(",")):
        done, found = _DONE.fullmatch(part), _PART.fullmatch(part)
        if done:
            cursor.done_to = done[1]
        elif found:
            listed = enumerate(found[2].split("."))
            cursor.offsets[found[1]] = {rank: int(offset) for rank, offset in listed if offset}
        else:
            raise InvalidInput(f"{text[:60]!r} is not a log cursor.", hint="Leave it out to read from the start.")
    return cursor


def _listed(task_id: str, ranks: dict[int, int]) -> str:
    return f"{task_id}:{'.'.join(str(ranks.get(rank, '')) for rank in range(max(ranks) + 1))}"
