"""Ids and names made by the platform: sortable by the time they were made, and hard to guess."""

from __future__ import annotations

import secrets
from datetime import datetime

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
_TIME_DIGITS = 10  # 50 bits of microseconds / 32 -> milliseconds until the year 10889
_RANDOM_DIGITS = 10  # 50 bits: a million ids in the same millisecond collide with p < 0.001
_SUFFIX_DIGITS = 8  # 40 bits: 10,000 live jobs of one program share a name with p < 0.0001; with 6, p was 0.05


def new_id(kind: str, now: datetime) -> str:
    """Return an id such as `job-01jd3kq8f2x7m4n9p2qa`; ids of one kind sort by the millisecond they were made in."""
    milliseconds = int(now.timestamp() * 1000)
    stamp = "".join(_BASE32[(milliseconds >> (5 * place)) & 31] for place in reversed(range(_TIME_DIGITS)))
    return f"{kind}-{stamp}{_random(_RANDOM_DIGITS)}"


def new_name(stem: str) -> str:
    """Return `stem` with a short random end, for objects that the user did not name."""
    return f"{stem[:40].strip('-') or 'x'}-{_random(_SUFFIX_DIGITS)}"


def _random(digits: int) -> str:
    number = secrets.randbits(5 * digits)
    return "".join([_BASE32[(number >> (5 * place)) & 31] for place in range(digits)])
