"""Reads a replica's log by absolute offsets, while the supervisor writes and rotates it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lepton_ai.node.supervisor.log_writer import segment_name, segment_offset

TRIES = 5  # a segment may be rotated away between finding and opening it; each try starts from the oldest that is left


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a log: `text` starts at `offset`, and `end` is the log's end when it was read."""

    text: bytes
    offset: int
    end: int


def read_log(folder: Path, offset: int, limit: int) -> Piece:
    """Return at most `limit` bytes from `offset`, or from the oldest byte kept if that is later.

    An offset beyond the end gives an empty piece at the end. A folder that is not there is an empty log.
    """
    for _ in range(TRIES):
        starts = _starts(folder)
        if not starts:
            break
        try:
            end = starts[-1] + os.path.getsize(folder / segment_name(starts[-1]))
            begin = min(max(offset, starts[0], 0), end)
            return Piece(_gather(folder, starts, begin, min(limit, end - begin)), begin, end)
        except FileNotFoundError:
            continue
    return Piece(b"", 0, 0)


def _starts(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(start for name in names if (start := segment_offset(name)) is not None)


def _gather(folder: Path, starts: list[int], begin: int, limit: int) -> bytes:
    parts = []
    position = begin
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        if (following is not None and following <= position) or position >= begin + limit:
            continue
        with open(folder / segment_name(start), "rb") as file:
            file.seek(position - start)
            part = file.read(begin + limit - position)
        parts.append(part)
        position += len(part)
    return b"".join(parts)
