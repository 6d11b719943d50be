"""An HTTP client in process that reads an endless answer piece by piece and can go away, which httpx cannot here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from fastapi import FastAPI

WAIT_SECONDS_MAX = 10.0


class Sent(NamedTuple):
    """One server-sent event."""

    event: str
    data: Any
    id: str


class Opening(NamedTuple):
    """How a request begins."""

    method: str
    path: str
    token: str
    body: bytes = b""

    def scope(self) -> dict[str, Any]:
        """Return it as ASGI has it."""
        parts = urlsplit(self.path)
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "https",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(b"host", b"core"), (b"authorization", f"Bearer {self.token}".encode())],
            "client": ("127.0.0.1", 1),
            "server": ("core", 443),
        }


class Stream:
    """One open request."""

    def __init__(self, runner: asyncio.Runner, app: FastAPI, opening: Opening) -> None:
        self._runner = runner
        self._messages: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._is_asked = False
        self._text = ""
        serve = _serve(app, opening.scope(), self._receive, self._messages)
        self._task = runner.get_loop().create_task(serve)
        self.status = int(self._take()["status"])

    def next(self) -> Sent:
        """Return the next event, comments passed over; fails after WAIT_SECONDS_MAX."""
        frame = ":"
        while frame.startswith(":"):
            while "\n\n" not in self._text:
                self._text += bytes(self._take()["body"]).decode()
            frame, _, self._text = self._text.partition("\n\n")
        fields = dict(line.split(": ", 1) for line in frame.splitlines())
        return Sent(fields.get("event", ""), json.loads(fields.get("data", "null")), fields.get("id", ""))

    def rest(self) -> list[Sent]:
        """Return all events up to the end of the answer."""
        while (message := self._take()).get("more_body") or message["body"]:
            self._text += bytes(message["body"]).decode()
        found = []
        while self._events():
            found.append(self.next())
        return found

    def is_silent(self) -> bool:
        """Tell whether nothing was sent, after giving the application every chance to."""
        self._runner.run(_idle())
        while not self._messages.empty():
            self._text += bytes(self._take()["body"]).decode()
        return not self._events()

    def hang_up(self) -> None:
        """Go away, and wait until the application has noticed; raises what the application raised."""
        self._gone.set()
        self._runner.run(asyncio.wait_for(_finish(self._task), WAIT_SECONDS_MAX))

    def _events(self) -> str:
        """Return what came and was not read, after dropping comments, which tell of no event."""
        while self._text.startswith(":") and "\n\n" in self._text:
            self._text = self._text.partition("\n\n")[2]
        return self._text

    def _take(self) -> MutableMapping[str, Any]:
        return self._runner.run(asyncio.wait_for(self._messages.get(), WAIT_SECONDS_MAX))

    async def _receive(self) -> MutableMapping[str, Any]:
        if not self._is_asked:
            self._is_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}


def cut_off(runner: asyncio.Runner, app: FastAPI, opening: Opening) -> int:
    """Send the beginning of a body, go away, and return the status that nobody hears."""
    arriving: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": opening.body, "more_body": True},
        {"type": "http.disconnect"},
    ]
    answers: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return arriving.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    runner.run(app(opening.scope(), receive, send))
    return int(answers[0]["status"])


async def _serve(
    app: FastAPI, scope: dict[str, Any], receive: Any, messages: asyncio.Queue[MutableMapping[str, Any]]
) -> None:
    try:
        await app(scope, receive, messages.put)
    finally:
        await messages.put({"body": b"", "more_body": False})


async def _finish(task: asyncio.Task[None]) -> None:
    await task


async def _idle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.005)
