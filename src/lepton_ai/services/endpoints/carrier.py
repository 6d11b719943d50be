"""Carries one request to one replica, and the answer back."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from lepton_ai.errors import LeptonError
from lepton_ai.kernel.registry import Scope, Send
from lepton_ai.services.endpoints.prober import no_doors
from lepton_ai.services.endpoints.visitor import Left, Visitor
from lepton_ai.types.data_plane import Server

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 5.0
_HOP_BY_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"trailer", b"host", b"expect"}
_NOT_FOR_REPLICAS = {b"authorization", b"cookie"}
_OURS, _FOR_REPLICAS = b"x-lepton-", {b"x-lepton-project"}
_REPEATABLE = {"GET", "HEAD"}


class Outcome(StrEnum):
    DONE = "done"  # the client has its answer, or has left
    UNREACHED = "unreached"  # nothing was sent
    DROPPED = "dropped"  # the replica hung up before it answered, and the request may be sent again
    BROKEN = "broken"  # the replica hung up before it answered, and may have done what was asked


class Carrier:
    """Keeps a client for replicas here and one for those behind doors, to which `tls` is how to speak."""

    def __init__(self, tls: Callable[[], ssl.SSLContext] = no_doors) -> None:
        self._tls = tls
        self._clients: dict[bool, httpx.AsyncClient] = {}  # by whether they are for doors

    async def carry(self, scope: Scope, visitor: Visitor, send: Send, server: Server) -> Outcome:
        """Send the request once."""
        import httpx  # 0.1 s, which every start of the core would pay: a tenth of the time until it is ready again.

        try:
            client = self._client_for(server)
        except LeptonError:
            return Outcome.UNREACHED
        has_body = _has_body(scope)
        request = client.build_request(
            scope["method"],
            f"{_origin(server)}{_target(scope)}",
            headers=passed_on(scope["headers"]),
            content=visitor.body() if has_body else None,
            extensions={"sni_hostname": server.door.name_of(server.port)} if server.door else None,
        )
        try:
            answer = await client.send(request, stream=True)
        except Left:
            return Outcome.DONE
        except (httpx.ConnectError, httpx.ConnectTimeout):
            self._clients.pop(True, None)  # its certificate may be one from before a renewal
            return Outcome.UNREACHED
        except httpx.TransportError:
            return Outcome.DROPPED if scope["method"] in _REPEATABLE and not has_body else Outcome.BROKEN
        await _give(answer, send)
        return Outcome.DONE

    def _client_for(self, server: Server) -> httpx.AsyncClient:
        import httpx

        is_behind_door = server.door is not None
        if is_behind_door not in self._clients:
            # Connections are not kept: one that its replica closes in the moment of its use loses a request.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
            verify = self._tls() if is_behind_door else True
            self._clients[is_behind_door] = httpx.AsyncClient(
                timeout=timeout, limits=limits, trust_env=False, verify=verify
            )
        return self._clients[is_behind_door]


def passed_on(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return what a replica may see: neither the caller's token nor what only the data plane and the core may know."""
    hidden = _HOP_BY_HOP | _NOT_FOR_REPLICAS
    return [
        (name, value)
        for name, value in headers
        if name not in hidden and (not name.startswith(_OURS) or name in _FOR_REPLICAS)
    ]


async def _give(answer: httpx.Response, send: Send) -> None:
    try:
        passed = [(key.lower(), value) for key, value in answer.headers.raw if key.lower() not in _HOP_BY_HOP]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": passed})
        async for piece in answer.aiter_raw():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await answer.aclose()


def _origin(server: Server) -> str:
    host = f"[{server.address}]" if ":" in server.address else server.address
    return f"https://{host}:{server.door.port}" if server.door else f"http://{host}:{server.port}"


def _target(scope: Scope) -> str:
    """Return the path below `/endpoints/PROJECT/NAME`, and the query."""
    path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    below = "/" + "/".join(path.split("/")[4:])
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{below}?{query}" if query else below


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])
