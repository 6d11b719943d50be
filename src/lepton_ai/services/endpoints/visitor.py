"""A client that waits for a replica: what it sends meanwhile is kept for later, and it is seen to leave."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from lepton_ai.kernel.registry import Receive, Scope

READ_AHEAD_MAX = 64 * 1024  # bytes; with 1000 who wait 64 MB. Beyond it a client that leaves is noticed only later.


class Left(Exception):
    """The client closed its connection before its request was whole."""


class Visitor:
    """Reads what a client sends, at most once at a time, and loses none of it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Scope] = deque()
        self._kept_bytes = 0
        self._reading: asyncio.Future[Scope] | None = None
        self.has_left = False

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until the client sends something or leaves."""
        if self._kept_bytes >= READ_AHEAD_MAX:
            await asyncio.sleep(seconds)
            return
        # A read that is not over goes on: to cancel it might lose a piece.
        self._reading = self._reading or asyncio.ensure_future(self._receive())
        done, _ = await asyncio.wait({self._reading}, timeout=seconds)
        if done:
            message = await self._next()
            self.has_left = message["type"] == "http.disconnect"
            self._kept.append(message)
            self._kept_bytes += len(message.get("body", b""))

    async def body(self) -> AsyncIterator[bytes]:
        """Give the request's body; raises Left if it breaks off, which must not look like its end."""
        while True:
            message = self._kept.popleft() if self._kept else await self._next()
            if message["type"] == "http.disconnect":
                raise Left
            yield message.get("body", b"")
            if not message.get("more_body", False):
                return

    def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()

    async def _next(self) -> Scope:
        reading, self._reading = self._reading, None
        return await (reading or self._receive())
