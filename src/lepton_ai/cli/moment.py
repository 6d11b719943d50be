"""Writes moments and spans of time the way people read them in a table."""

from __future__ import annotations

from datetime import datetime, timedelta

from lepton_ai.kernel.clock import SystemClock


def age(moment: datetime | None) -> str:
    """Return how long ago `moment` was, in its largest unit: `5s`, `3m`, `2h`, `4d`; `-` for none."""
    return "-" if moment is None else span(SystemClock().now() - moment)


def lasted(start: datetime | None, end: datetime | None) -> str:
    """Return how long something that began at `start` took, or has taken until now; `-` if it has not begun."""
    if start is None:
        return "-"
    return span((end or SystemClock().now()) - start, is_exact=True)


def span(time: timedelta, *, is_exact: bool = False) -> str:
    """Return a span in its largest unit; exact ones show two units, and tenths of seconds below ten."""
    seconds = max(0.0, time.total_seconds())
    if seconds < 10 and is_exact:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for unit, size, part, part_size in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part_size
            return f"{whole // size}{unit}{rest:02d}{part}" if is_exact else f"{whole // size}{unit}"
    return f"{whole}s"


def clock_time(moment: datetime | None) -> str:
    """Return `moment` to the second in this machine's time zone; `-` for none."""
    return "-" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
