"""Logs of all replicas as lines, from the start or as they grow, through broken connections and core restarts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import JsonValue

from lepton_ai.sdk.collection import Collection, read_text
from lepton_ai.sdk.connection import Call
from lepton_ai.sdk.follow import follow
from lepton_ai.sdk.server_events import ServerEvent
from lepton_ai.types.base import AnyObject, Model

LINE_CHARS_MAX = 1024 * 1024  # a longer line is handed out in parts


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that one replica printed, without its line end. `index` counts an array's tasks, `attempt` from 1."""

    text: str
    rank: int = 0
    index: int = 0
    attempt: int = 1
    task: str = ""
    truncated_bytes: int = 0  # so much before this is gone: the log is bounded, the oldest goes first

    def __str__(self) -> str:
        return self.text


class _Piece(Model):
    """A piece of one replica's log as the API sends it."""

    task: str
    index: int = 0
    attempt: int = 1
    rank: int = 0
    text: str
    truncated_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """What to read. `rank` -1 is every replica; `tail_bytes` 0 reads from the start."""

    follow: bool = False
    rank: int = -1
    tail_bytes: int = 0
    timeout_seconds: float = math.inf


class LogStream(Iterator[LogLine]):
    """Iterate for lines; print it (or call str) for the whole text; `pieces` for the text just as it was written."""

    def __init__(self, collection: Collection[AnyObject], object_id: str, request: LogRequest) -> None:
        self._events = _log_events(collection, object_id, request)
        self._lines = _lines(self._events)
        self.state = ""  # of the object, once the log is read to its end

    def __iter__(self) -> LogStream:
        return self

    def __next__(self) -> LogLine:
        return next(self._lines)

    def pieces(self) -> Iterator[LogLine]:
        """Yield text as it arrives: with line ends, and cut anywhere. Each piece is one replica's."""
        for event in self._events:
            yield _piece_of(event)

    def close(self) -> None:
        """Let the connection go; a stream that was read to its end needs no closing."""
        self._events.close()

    def __str__(self) -> str:
        return "\n".join(line.text for line in self)

    def __repr__(self) -> str:
        return "<LogStream: iterate for lines, print for the text>"
