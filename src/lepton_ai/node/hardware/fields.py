"""Typed reads of what foreign tools print: JSON that may be wrapped in warnings, numbers that may be "N/A"."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TypeGuard

from lepton_ai.node.hardware.probe import ProbeFailed

Record = Mapping[str, object]

UNKNOWN = -1.0
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_UNITS = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_EMPTY = {"", "n/a", "na", "none", "null", "unknown", "-"}


def parse_json(tool: str, output: str) -> object:
    """Return the JSON in `output`, skipping lines of warnings before it; raises ProbeFailed if there is none."""
    decoder = json.JSONDecoder()
    for start in re.finditer(r"^[ \t]*(?=[\[{])", output, re.MULTILINE):
        try:
            value: object = decoder.raw_decode(output, start.end())[0]
        except ValueError:
            continue
        return value
    raise ProbeFailed(f"{tool} printed no readable JSON ({len(output)} characters)")


def records(value: object) -> tuple[Record, ...]:
    """Return those elements of a list that are objects; nothing for anything else."""
    return tuple(item for item in value if _is_record(item)) if isinstance(value, list) else ()


def inner(record: object, *path: str) -> object:
    """Return the value at `path`, or None if any step is missing."""
    value = record
    for name in path:
        if not _is_record(value):
            return None
        value = value.get(name)
    return value


def text(record: object, *path: str) -> str:
    """Return the value at `path` as text; empty for what tools print instead of a value ("N/A", null)."""
    value = inner(record, *path)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    found = str(value).strip()
    return "" if found.lower() in _EMPTY else found


def number(record: object, *path: str) -> float:
    """Return the first number at `path`: 42, "42.5 W", {"value": 42, "unit": "%"}; UNKNOWN if there is none."""
    value = inner(record, *path)
    if _is_record(value):
        return number(value, "value")
    if isinstance(value, bool):
        return UNKNOWN
    found = _NUMBER.search(str(value)) if isinstance(value, str | int | float) else None
    return float(found[0]) if found else UNKNOWN


def size(record: object, *path: str, unit: str = "b") -> int:
    """Return bytes at `path`, 0 if unknown. Makers' MB are 2^20; a unit that the value lacks is `unit`."""
    value = inner(record, *path)
    amount = number(record, *path)
    stated = text(value, "unit") if _is_record(value) else re.sub(r"[\d.\s-]", "", str(value))
    return round(amount * _UNITS.get(stated.lower(), _UNITS[unit])) if amount > 0 else 0


def _is_record(value: object) -> TypeGuard[Record]:
    return isinstance(value, Mapping)
