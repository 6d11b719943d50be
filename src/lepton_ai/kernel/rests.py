"""Objects on which a decision took long rest for a while, so that they do not take all of the loop's time."""

from __future__ import annotations

from datetime import datetime, timedelta

from lepton_ai.kernel.decision import Decision

LONG_DECISION = timedelta(milliseconds=20)  # of wall time: other threads may have had some of it
REST_FACTOR = 2  # a decision that took long (an array of 10,000 tasks) is not asked for again before twice that time


class Rests:
    """Until when each object rests."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}

    def until(self, object_id: str, now: datetime) -> datetime | None:
        """Return when the rest of an object is over, or None if it does not rest."""
        until = self._until.get(object_id)
        if until is not None and until <= now:
            del self._until[object_id]
            return None
        return until

    def after(self, object_id: str, decision: Decision, now: datetime, spent: timedelta) -> None:
        """Take note that a decision took `spent`."""
        if spent >= LONG_DECISION and decision.look_again_at != now:  # then there is more of it to be done at once
            self._until[object_id] = now + spent * (1 + REST_FACTOR)
