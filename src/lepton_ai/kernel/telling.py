"""Who of those that wait has to be told, or told anew, why."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container
from datetime import datetime, timedelta

from lepton_ai.kernel.follower import Objects
from lepton_ai.types.task import Task

# A waiting task's sentence names its place in the queue, which changes all the time; the stored one is renewed at most
# this often, and `lepton explain` asks for the present one.
RENEW_REASON = timedelta(seconds=30)
RENEWED_PER_SECOND = 50  # of all that wait: at 0.3 ms for a task and its owner, 1.5 % of a processor
RENEWED_MAX = 500  # in one plan: 0.15 s


class Telling:
    """Remembers who was told what and when, so that nobody has to be asked."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, datetime]] = {}
        self._by_age: deque[tuple[datetime, str]] = deque()
        self._old: set[str] = set()  # who was told too long ago
        self._unsure: set[str] = set()  # who may not have been told, because that was not committed

    def due(self, waiting: Container[str], looked_at: Collection[str], world: Objects, now: datetime) -> set[str]:
        """Return who is to be told; `looked_at` are those that may have changed, or ended their waiting."""
        for task_id in looked_at:
            if task_id not in waiting:
                self._told.pop(task_id, None)
                self._old.discard(task_id)
        doubtful = [one for one in (*looked_at, *self._unsure) if one in waiting and self._has_not_heard(one, world)]
        self._unsure = set(doubtful)
        self._age(now)
        return self._unsure | self._old

    def is_new(self, task_id: str, refusal: str, code: str, now: datetime) -> bool:
        """Tell whether this refusal is to be written down for a task whose reason has the `code`, and remember it."""
        told = self._told.get(task_id)
        if told is not None and told[0] == refusal == code and task_id not in self._old:
            return False
        self._old.discard(task_id)
        self._told[task_id] = (refusal, now)
        self._by_age.append((now, task_id))
        self._unsure.add(task_id)
        return True

    def _has_not_heard(self, task_id: str, world: Objects) -> bool:
        told, task = self._told.get(task_id), world.get(Task, task_id)
        return told is None or (task is not None and task.status.reason.code != told[0])

    def _age(self, now: datetime) -> None:
        """Bring forward some of those who were told so long ago that it may not be true any more."""
        pause = max(RENEW_REASON, timedelta(seconds=len(self._told) / RENEWED_PER_SECOND))
        while self._by_age and now - self._by_age[0][0] >= pause and len(self._old) < RENEWED_MAX:
            when, task_id = self._by_age.popleft()
            told = self._told.get(task_id)
            if told is not None and told[1] == when:
                self._old.add(task_id)
