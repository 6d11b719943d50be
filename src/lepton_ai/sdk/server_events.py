"""Read server-sent events (WHATWG HTML, section 9.2) from bytes that arrive in pieces of any size."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lepton_ai.errors import Unavailable

# A job with an array of 10,000 tasks is about 3 MB of JSON; what is larger than this was not sent by a core.
EVENT_CHARS_MAX = 32 * 1024 * 1024
OPENED = "opened"  # ours: a connection was made; what was missed before it must be looked up
PING = "ping"  # ours: a comment line, which servers send to show that they live
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event. `id` is the newest cursor that the server gave, this event's own or an earlier one's."""

    event: str
    data: str = ""
    id: str = ""


class EventParser:
    """Turns pieces of a stream into events. An event cut off by the end of the stream is never told of."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._rest = ""
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._id = ""

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        """Yield what is complete now."""
        text = self._rest + self._decoder.decode(piece)
        # A carriage return at the end may be the first half of \r\n: it waits for the next piece.
        held = "\r" if text.endswith("\r") else ""
        lines = _LINE_END.split(text[: len(text) - len(held)])
        self._rest = lines.pop() + held
        self._check(len(self._rest))
        for line in lines:
            event = self._take(line)
            if event:
                yield event

    def _take(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        if line.startswith(":"):
            return ServerEvent(PING, id=self._id)
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._size += len(value)
            self._check(self._size)
            self._data.append(value)
        elif field == "event":
            self._event = value
        elif field == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        event = ServerEvent(self._event or "message", "\n".join(self._data), self._id) if self._data else None
        self._event, self._data, self._size = "", [], 0
        return event

    def _check(self, size: int) -> None:
        if size > EVENT_CHARS_MAX:
            raise Unavailable(f"The instance sent an event of more than {EVENT_CHARS_MAX:,} characters.")
