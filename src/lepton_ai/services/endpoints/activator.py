"""Answers requests for an endpoint that has no replica up: wakes it, waits, and carries the request there."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from lepton_ai.kernel.registry import Receive, Scope, Send
from lepton_ai.services.endpoints.carrier import Carrier, Outcome
from lepton_ai.services.endpoints.visitor import Visitor
from lepton_ai.types.data_plane import Server
from lepton_ai.types.endpoint import Endpoint, EndpointState

Key = TypeVar("Key")
HEADER = b"x-lepton-activate"
WAITING_MAX = 1000  # requests held at once over all endpoints: each holds a connection and little else
WAITING_PER_ENDPOINT_MAX = 200  # so that five endpoints that do not wake leave nothing for others, not one
LOOK_SECONDS = 0.02
LEFT_OUT_SECONDS = 1.0  # a server that did not answer; the loop needs less to see that its replica has ended
DROPS_MAX = 3  # replicas that one request may be sent to in vain: it may be what ends them
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Sleeper:
    """What the activator knows of one endpoint: whether it exists, and which servers take requests now."""

    endpoint: Endpoint
    servers: tuple[Server, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request will not be carried anywhere."""

    status: HTTPStatus
    sentence: str


@dataclass(slots=True)
class Errand:
    """One request on its way. `left_out` holds servers that did not answer, and until when they are passed over."""

    project: str
    name: str
    visitor: Visitor
    since: float = field(default_factory=time.monotonic)
    left_out: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Activator:
    """An ASGI app. `look` tells of an endpoint, `wake` asks the loop to bring it up."""

    look: Callable[[str, str], Sleeper | None]
    wake: Callable[[Endpoint], None]
    carrier: Carrier = field(default_factory=Carrier)
    _waiting: Counter[tuple[str, str]] = field(default_factory=Counter)
    _carried: Counter[str] = field(default_factory=Counter)  # requests that each server has from here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name: value for name, value in scope["headers"] if name == HEADER}
        project, _, name = headers.get(HEADER, b"").decode("latin-1").partition("/")
        errand = Errand(project, name, Visitor(receive))
        try:
            refusal = await self._run(errand, scope, send)
        finally:
            errand.visitor.close()
        if refusal is not None:
            await _problem(send, refusal)

    async def _run(self, errand: Errand, scope: Scope, send: Send) -> Refusal | None:
        """Carry the request to one server after the other, until one answers or the client leaves."""
        for _ in range(DROPS_MAX):
            outcome = Outcome.UNREACHED
            while outcome is Outcome.UNREACHED:
                server = await self._wait_in_line(errand)
                if not isinstance(server, Server):
                    return server
                with _one_more(self._carried, server.id):
                    outcome = await self.carrier.carry(scope, errand.visitor, send, server)
                errand.left_out[server.id] = time.monotonic() + LEFT_OUT_SECONDS
            if outcome is Outcome.DONE:
                return None
            if outcome is Outcome.BROKEN:
                break
        return Refusal(HTTPStatus.BAD_GATEWAY, "The replica hung up before it answered.")

    async def _wait_in_line(self, errand: Errand) -> Server | Refusal | None:
        key = errand.project, errand.name
        if self._waiting[key] >= WAITING_PER_ENDPOINT_MAX:
            sentence = f"{WAITING_PER_ENDPOINT_MAX} requests already wait for endpoint {errand.name!r}."
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, sentence)
        if self._waiting.total() >= WAITING_MAX:
            sentence = f"{WAITING_MAX} requests already wait for endpoints to wake."
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, sentence)
        with _one_more(self._waiting, key):
            return await self._wait(errand)

    async def _wait(self, errand: Errand) -> Server | Refusal | None:
        """Return a server that takes the request; why there will be none; None if the client left."""
        while not errand.visitor.has_left:
            sleeper = self.look(errand.project, errand.name)
            if sleeper is None:
                sentence = f"There is no endpoint {errand.name!r} in project {errand.project!r}."
                return Refusal(HTTPStatus.NOT_FOUND, sentence)
            server = self._choose(sleeper, errand)
            if server is not None:
                return server
            sentence = _hopeless(sleeper, time.monotonic() - errand.since)
            if sentence:
                return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, sentence)
            self.wake(sleeper.endpoint)
            await errand.visitor.pause(LOOK_SECONDS)
        return None

    def _choose(self, sleeper: Sleeper, errand: Errand) -> Server | None:
        """Return the server with the fewest requests from here, if any has room."""
        now, room = time.monotonic(), sleeper.endpoint.spec.max_concurrency
        able = [
            server
            for server in sleeper.servers
            if errand.left_out.get(server.id, now) <= now and (not room or self._carried[server.id] < room)
        ]
        return min(able, key=lambda server: self._carried[server.id], default=None)


def _hopeless(sleeper: Sleeper, waited: float) -> str:
    """Return why it makes no sense to wait on; empty if it does."""
    endpoint = sleeper.endpoint
    name, reason = endpoint.name, endpoint.status.reason.sentence
    if endpoint.spec.replicas == 0:
        return f"Endpoint {name!r} is scaled to 0. Start it: lepton endpoint scale {name} 1"
    if endpoint.status.state is EndpointState.FAILED and not sleeper.servers:
        return f"Endpoint {name!r} fails: {reason}"
    if waited >= endpoint.spec.start_timeout.total_seconds():
        return f"Endpoint {name!r} had no free replica for {waited:.0f} s: {reason}"
    return ""


@contextmanager
def _one_more(counts: Counter[Key], key: Key) -> Iterator[None]:
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]


async def _problem(send: Send, refusal: Refusal) -> None:
    """Answer as RFC 9457 has it."""
    status = refusal.status
    body: Mapping[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": refusal.sentence,
        "code": "not_found" if status is HTTPStatus.NOT_FOUND else "unavailable",
        "hint": "See: lepton endpoint list",
    }
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", str(RETRY_AFTER_SECONDS).encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
