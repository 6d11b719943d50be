"""The newest commits as they were written, so that whoever follows the feed need not read them back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Sequence

from lepton_ai.kernel.change import Seen

RECENT_MAX = 3000  # objects: mostly shared with the loop's own picture, else 3,000 x 2 kB = 6 MB


class Recent:
    """Commits without a gap between them, up to the newest that this process made. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._commits: deque[tuple[int, Sequence[Seen]]] = deque()
        self._objects = 0

    def add(self, revision: int, stored: Sequence[Seen]) -> None:
        """Take note of a commit. If another process committed before it, what was known is of no use any more."""
        with self._lock:
            if self._commits and self._commits[-1][0] != revision - 1:
                self._commits.clear()
                self._objects = 0
            self._commits.append((revision, stored))
            self._objects += len(stored)
            while self._objects > RECENT_MAX:
                self._objects -= len(self._commits.popleft()[1])

    def since(self, revision: int, newest: int, kinds: Collection[str], project: str | None) -> Sequence[Seen] | None:
        """Return the newest form of what changed after `revision`, in commit order, or None if not all of it is here.

        `newest` is the last revision that the database knows.
        """
        with self._lock:
            if not self._commits or self._commits[-1][0] < newest or self._commits[0][0] > revision + 1:
                return None
            later = [stored for number, stored in self._commits if number > revision]
        found: dict[str, Seen] = {}
        for stored in later:
            for one in stored:
                if one.object.KIND in kinds and project in {None, one.object.project}:
                    found.pop(one.object.id, None)  # so that it stands where its newest commit stands
                    found[one.object.id] = one
        return list(found.values())
