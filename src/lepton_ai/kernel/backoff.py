"""How long to leave an object alone after work on it failed: twice as long each time, up to a minute."""

from __future__ import annotations

from datetime import datetime, timedelta

FIRST = timedelta(milliseconds=200)
LONGEST = timedelta(minutes=1)


class Backoff:
    """Counts failures in a row by object id."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, datetime] = {}

    def may_try(self, object_id: str, now: datetime) -> bool:
        """Tell whether the pause after the last failure is over."""
        return now >= self._not_before.get(object_id, now)

    def failed(self, object_id: str, now: datetime) -> timedelta:
        """Count a failure; return the pause."""
        count = self._failures[object_id] = self._failures.get(object_id, 0) + 1
        pause = min(FIRST * (1 << min(count - 1, 16)), LONGEST)
        self._not_before[object_id] = now + pause
        return pause

    def succeeded(self, object_id: str) -> None:
        """Forget earlier failures."""
        if self._failures:
            self._failures.pop(object_id, None)
            self._not_before.pop(object_id, None)
