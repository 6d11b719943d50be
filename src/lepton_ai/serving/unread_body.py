"""Closes a connection on which an answer went out before the whole request had come in.

Behind a proxy the rest of such a request may never come; a proxy that uses the connection again would have its next
request taken for the rest of this one's body. So the answer says `Connection: close`. A client that is still sending
when the connection is closed may lose the answer (RFC 9112, 9.6), so it is closed only once the client has stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LINGER_SECONDS = 2.0  # so long a client that has its answer may go on sending


class CloseUnread:
    """ASGI middleware for servers that are reached through a proxy."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer; `_is_read` once the whole request has come in, or the client has gone."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._is_read = False

    async def receive(self) -> Scope:
        message = await self._receive()
        self._is_read = self._is_read or not message.get("more_body", False)
        return message

    async def send(self, message: Scope) -> None:
        if message["type"] == "http.response.start" and not self._is_read:
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not is_last or self._is_read:
            await self._send(message)
            return
        await self._send({**message, "more_body": True})  # the server closes with the last part, so that has to wait
        await self._discard()
        await self._send({"type": "http.response.body", "body": b""})

    async def _discard(self) -> None:
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._is_read:
                    await self.receive()
        except TimeoutError:
            pass


def _has_body(scope: Scope) -> bool:
    names = {name: value for name, value in scope["headers"] if name in {b"content-length", b"transfer-encoding"}}
    return bool(names) and names.get(b"content-length") != b"0"
