"""Answers requests for an endpoint that has no replica up: wakes it, waits, and carries the request there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from lepton_ai.kernel.registry import Receive, Scope, Send
from lepton_ai.types.data_plane import Server
from lepton_ai.types.endpoint import Endpoint, EndpointState

if TYPE_CHECKING:
    import httpx

HEADER = b"x-lepton-activate"
WAITING_MAX = 1000  # requests held at once over all endpoints: each holds a connection and little else
LOOK_SECONDS = 0.02
RETRY_AFTER_SECONDS = 5
_HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"trailer", b"host", b"expect"}
_NOT_FOR_REPLICAS = {b"authorization"}


@dataclass(frozen=True, slots=True)
class Sleeper:
    """What the activator knows of one endpoint: whether it exists, and which servers take requests now."""

    endpoint: Endpoint
    servers: tuple[Server, ...] = ()


@dataclass(slots=True)
class Activator:
    """An ASGI app. `look` tells of an endpoint, `wake` asks the loop to bring it up."""

    look: Callable[[str, str], Sleeper | None]
    wake: Callable[[Endpoint], None]
    _waiting: int = 0
    _client: httpx.AsyncClient | None = field(default=None, repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name: value for name, value in scope["headers"] if name == HEADER}
        project, _, name = headers.get(HEADER, b"").decode("latin-1").partition("/")
        if self._waiting >= WAITING_MAX:
            await _problem(
                send, HTTPStatus.SERVICE_UNAVAILABLE, f"{WAITING_MAX} requests already wait for endpoints to wake."
            )
            return
        self._waiting += 1
        try:
            sleeper = await self._wait(project, name)
        finally:
            self._waiting -= 1
        if isinstance(sleeper, str):
            await _problem(send, HTTPStatus.SERVICE_UNAVAILABLE, sleeper)
        elif sleeper is None:
            await _problem(send, HTTPStatus.NOT_FOUND, f"There is no endpoint {name!r} in project {project!r}.")
        else:
            await self._carry(scope, receive, send, sleeper)

    async def _wait(self, project: str, name: str) -> Sleeper | str | None:
        """Return the endpoint once a server takes requests; a sentence if that will not happen; None if it is gone."""
        passed = 0.0
        while True:
            sleeper = self.look(project, name)
            if sleeper is None or sleeper.servers:
                return sleeper
            endpoint = sleeper.endpoint
            if endpoint.spec.replicas == 0:
                return f"Endpoint {name!r} is scaled to 0. Start it: lepton endpoint scale {name} 1"
            if endpoint.status.state is EndpointState.FAILED:
                return f"Endpoint {name!r} fails: {endpoint.status.reason.sentence}"
            if passed >= endpoint.spec.start_timeout.total_seconds():
                return f"Endpoint {name!r} did not wake in {passed:.0f} s: {endpoint.status.reason.sentence}"
            self.wake(endpoint)
            await asyncio.sleep(LOOK_SECONDS)
            passed += LOOK_SECONDS

    async def _carry(self, scope: Scope, receive: Receive, send: Send, sleeper: Sleeper) -> None:
        import httpx  # 0.1 s, which every start of the core would pay: a tenth of the time until it is ready again.

        if self._client is None:
            self._client = httpx.AsyncClient(timeout=httpx.Timeout(None, connect=5.0), trust_env=False)
        server = sleeper.servers[0]
        prefix = f"/endpoints/{sleeper.endpoint.project}/{sleeper.endpoint.name}"
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").removeprefix(prefix) or "/"
        query = scope.get("query_string", b"").decode("latin-1")
        request = self._client.build_request(
            scope["method"],
            f"http://{server.address}:{server.port}{path}{'?' + query if query else ''}",
            headers=[(key, value) for key, value in scope["headers"] if _passes(key)],
            content=_body(receive) if _has_body(scope) else None,
        )
        try:
            answer = await self._client.send(request, stream=True)
        except httpx.TransportError as error:
            await _problem(send, HTTPStatus.BAD_GATEWAY, f"The replica did not answer: {type(error).__name__}.")
            return
        try:
            passed = [(key.lower(), value) for key, value in answer.headers.raw if key.lower() not in _HOP_BY_HOP]
            await send({"type": "http.response.start", "status": answer.status_code, "headers": passed})
            async for piece in answer.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await answer.aclose()


def _passes(name: bytes) -> bool:
    return name not in _HOP_BY_HOP | _NOT_FOR_REPLICAS and not name.startswith(b"x-lepton-a")


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _problem(send: Send, status: HTTPStatus, detail: str) -> None:
    """Answer as RFC 9457 has it."""
    body: Mapping[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": detail,
        "code": "not_found" if status is HTTPStatus.NOT_FOUND else "unavailable",
        "hint": "See: lepton endpoint list",
    }
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", str(RETRY_AFTER_SECONDS).encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
