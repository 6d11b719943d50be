"""Reads a replica's log by absolute offsets, while the supervisor writes and rotates it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lepton_ai.node.supervisor.log_writer import segment_name, segment_offset
from lepton_ai.node.supervisor.plain_file import open_folder, open_plain

TRIES = 5  # a segment may be rotated away between finding and opening it; each try starts from the oldest that is left


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a log: `text` starts at `offset`, and `end` is the log's end when it was read."""

    text: bytes
    offset: int
    end: int


def read_log(folder: Path, offset: int, limit: int) -> Piece:
    """Return at most `limit` bytes from `offset`, or from the oldest byte kept if that is later.

    An offset beyond the end gives an empty piece at the end. A folder that is not there is an empty log, and so is one
    that is a link or lies in one: the replica could have it lead anywhere.
    """
    try:
        above = open_folder(str(folder.parent))
    except OSError:
        return Piece(b"", 0, 0)
    try:
        log = open_folder(folder.name, above)
    except OSError:
        return Piece(b"", 0, 0)
    finally:
        os.close(above)
    try:
        return _read(log, offset, limit)
    finally:
        os.close(log)


def _read(log: int, offset: int, limit: int) -> Piece:
    for _ in range(TRIES):
        starts = _starts(log)
        if not starts:
            break
        try:
            newest = segment_name(starts[-1])
            end = starts[-1] + os.stat(newest, dir_fd=log, follow_symlinks=False).st_size
            begin = min(max(offset, starts[0], 0), end)
            return Piece(_gather(log, starts, begin, min(limit, end - begin)), begin, end)
        except FileNotFoundError:
            continue
        except OSError:  # not a plain file: the replica put something else in a segment's place
            break
    return Piece(b"", 0, 0)


def _starts(log: int) -> list[int]:
    return sorted(start for name in os.listdir(log) if (start := segment_offset(name)) is not None)


def _gather(log: int, starts: list[int], begin: int, limit: int) -> bytes:
    parts = []
    position = begin
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        if (following is not None and following <= position) or position >= begin + limit:
            continue
        with os.fdopen(open_plain(segment_name(start), log), "rb") as file:
            file.seek(position - start)
            part = file.read(begin + limit - position)
        parts.append(part)
        position += len(part)
    return b"".join(parts)
