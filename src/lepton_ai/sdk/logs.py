"""Logs of all replicas as lines, from the start or as they grow, through broken connections and core restarts."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

from lepton_ai.sdk.collection import read_text
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.follow import follow
from lepton_ai.sdk.server_events import OPENED
from lepton_ai.types.base import Model

LOG, END = "log", "end"
RECENT_MAX = 256  # cursors kept to tell a repeat by
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
    seconds_max: float = math.inf


class LogStream(Iterator[LogLine]):
    """Iterate for lines; print it (or call str) for the whole text; `pieces` for the text just as it was written.

    `state` is the object's own, once the log was read to its end.
    """

    def __init__(self, connection: Connection, path: str, request: LogRequest) -> None:
        self.state = ""
        self._connection = connection
        self._path = path
        self._request = request
        self._pieces = self._read()
        self._lines = _lines(self._pieces)

    def __iter__(self) -> LogStream:
        return self

    def __next__(self) -> LogLine:
        return next(self._lines)

    def pieces(self) -> Iterator[LogLine]:
        """Yield text as it arrives: with its line ends, and cut anywhere. Each piece is one replica's."""
        return self._pieces

    def close(self) -> None:
        """Let the connection go; a stream that was read to its end needs no closing."""
        self._lines.close()
        self._pieces.close()

    def __str__(self) -> str:
        return "\n".join(line.text for line in self)

    def __repr__(self) -> str:
        return "<LogStream: iterate for lines, print for the text>"

    def _read(self) -> Generator[LogLine, None, None]:
        recent: deque[str] = deque(maxlen=RECENT_MAX)
        repeated: frozenset[str] = frozenset()
        for event in follow(self._connection, self._call, until=time.monotonic() + self._request.seconds_max):
            if event.event == OPENED:
                # A server that goes on a little before the cursor repeats what was handed out already.
                repeated = frozenset(recent)
            elif event.event == END:
                self.state = str(json.loads(event.data).get("state", ""))
                return
            elif event.event == LOG and event.id not in repeated:
                recent.extend([event.id] if event.id else [])
                piece = read_text(_Piece, event.data)
                yield LogLine(**piece.model_dump())

    def _call(self, cursor: str, silence_seconds_max: float) -> Call:
        wanted = self._request
        params: dict[str, str | int] = {"follow": "true" if wanted.follow else "false"}
        if cursor:
            params["cursor"] = cursor
        elif wanted.tail_bytes:
            params["tail_bytes"] = wanted.tail_bytes
        if wanted.rank >= 0:
            params["rank"] = wanted.rank
        return Call("GET", self._path, params, answer_seconds_max=silence_seconds_max)


def _lines(pieces: Iterator[LogLine]) -> Generator[LogLine, None, None]:
    """Join the pieces of each replica to lines; what a replica wrote without a line end comes last."""
    open_lines: dict[tuple[str, int], LogLine] = {}
    for piece in pieces:
        key = (piece.task, piece.rank)
        held = open_lines.pop(key, None)
        if held is not None and piece.truncated_bytes:
            yield held  # Its rest is gone: what follows is another line.
            held = None
        *whole, rest = ((held.text if held else "") + piece.text).split("\n")
        truncated_bytes = piece.truncated_bytes
        for text in whole:
            yield replace(piece, text=text.removesuffix("\r"), truncated_bytes=truncated_bytes)
            truncated_bytes = 0
        if len(rest) > LINE_CHARS_MAX:
            yield replace(piece, text=rest, truncated_bytes=truncated_bytes)
        elif rest:
            open_lines[key] = replace(piece, text=rest, truncated_bytes=truncated_bytes)
    yield from open_lines.values()
