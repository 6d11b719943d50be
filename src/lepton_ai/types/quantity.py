"""Amounts as people write them ("4GB", "1h30m", "2.5") and as the code holds them (bytes, timedelta, milli-CPU)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {
    "": 1,
    "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40,
}  # fmt: skip
_BYTES = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*$", re.IGNORECASE)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MOMENT = re.compile(r"^\s*\d{4}-")
BYTES_MAX = 2**53  # JSON numbers are exact up to here (RFC 8259 section 6).


def parse_bytes(value: Any) -> int:
    """Return bytes for 1024, "1KB" (10^3) or "1KiB" (2^10); raises ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{value!r} is not an amount of bytes: write 512MB, 4GB or a whole number")
    if isinstance(value, int):
        amount = value
    else:
        found = _BYTES.match(value[:64])
        if not found:
            raise ValueError(f"{value[:64]!r} is not an amount of bytes: write 512MB, 4GB or a whole number")
        amount = int(float(found[1]) * _UNITS[(found[2] or "").lower()])
    if not 0 <= amount <= BYTES_MAX:
        raise ValueError(f"{value!r} is out of range: 0 to {BYTES_MAX} bytes")
    return amount


def format_bytes(amount: int) -> str:
    """Return a short form such as `1.5 GB`."""
    size = float(amount)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def parse_duration(value: Any) -> timedelta:
    """Return a duration for seconds (90, 1.5), "1h30m", "250ms" or a timedelta; raises ValueError otherwise."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _seconds_of(value.strip()[:64])
    else:
        raise ValueError(f"{value!r} is not a duration: write 90, 30s, 5m or 1h30m")
    if not 0 <= seconds <= 10 * 366 * 86400:
        raise ValueError(f"{value!r} is out of range: 0 to 10 years")
    return timedelta(seconds=seconds)


def parse_due(value: Any) -> timedelta | datetime:
    """Return a moment (RFC 3339, with its zone) or a duration; raises ValueError otherwise."""
    if isinstance(value, str) and _MOMENT.match(value):
        try:
            value = datetime.fromisoformat(value.strip()[:64])
        except ValueError:
            raise ValueError(f"{value[:64]!r} is no moment: write 2026-05-01T18:00Z, or 2h from now") from None
    if not isinstance(value, datetime):
        try:
            return parse_duration(value)
        except ValueError as error:
            raise ValueError(f"{error}, or a moment: 2026-05-01T18:00Z") from None
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone: write {value.isoformat(timespec='minutes')}Z for UTC")
    return value


def _seconds_of(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        parts = _DURATION_PART.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise ValueError(f"{text!r} is not a duration: write 90, 30s, 5m or 1h30m") from None
        return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)


def format_duration(duration: timedelta) -> str:
    """Return a short form such as `850ms`, `12s` or `1h05m`."""
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


Bytes = Annotated[int, BeforeValidator(parse_bytes)]
_Span = Annotated[timedelta, PlainSerializer(timedelta.total_seconds, return_type=float)]
Duration = Annotated[_Span, BeforeValidator(parse_duration)]
Due = Annotated[_Span | datetime, BeforeValidator(parse_due)]
