"""The only module that may ask what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time. The real one here, a settable one in `testing`."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is the one place


def steady_seconds() -> float:
    """Return seconds that only ever grow, at the same pace while this process or the whole machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
