"""Bounds what a request may send, before anything reads it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from lepton_ai.api.problems import problem
from lepton_ai.errors import TooLarge
from lepton_ai.types.quantity import format_bytes

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# Uploads have a limit of their own and are streamed. The whole path: a project may be called "blobs".
_UPLOAD = re.compile(r"/api/v1/projects/[^/]+/blobs/[^/]+")
_HINT = "Send less at once; the limit is the setting body_bytes_max."


class BodyLimit:
    """ASGI middleware that answers 413 to bodies above the limit, announced or not."""

    def __init__(self, app: App, bytes_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._sentence = f"The request holds more than {format_bytes(bytes_max)}."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or _UPLOAD.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        if _announced(scope) > self._bytes_max:
            await problem(413, TooLarge.code, self._sentence, hint=_HINT)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Scope:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._bytes_max:
                raise TooLarge(self._sentence, hint=_HINT)
            return message

        await self._app(scope, counted, send)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
