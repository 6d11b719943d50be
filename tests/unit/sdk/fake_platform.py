"""A platform that answers from a script, so that the SDK's real HTTP client can be tested without a server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import httpx

from lepton_ai.sdk.client import LeptonAI
from lepton_ai.sdk.connection import Connection
from lepton_ai.sdk.profiles import Target

URL = "https://lepton.test:8443"
TOKEN = "lepton_secret-token"
PROJECT = "/api/v1/projects/default"

Reply = Callable[[httpx.Request], httpx.Response]


class FakePlatform:
    """Give it replies with `on`; each request takes the next, and the last one stays. `requests` is what it saw.

    Uploads need no reply: it keeps them in `blobs`, by digest.
    """

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.naps: list[float] = []
        self.blobs: dict[str, bytes] = {}
        self._replies: dict[tuple[str, str], list[Reply]] = {}
        target = Target(url=URL, token=TOKEN, token_source="LEPTON_TOKEN")
        self.connection = Connection(target, transport=httpx.MockTransport(self._answer), sleep=self.naps.append)
        self.client = LeptonAI.over(self.connection)

    def on(self, method: str, path: str, *replies: Reply) -> FakePlatform:
        self._replies[(method, path)] = list(replies)
        return self

    def seen(self, method: str, path: str) -> Sequence[httpx.Request]:
        return [one for one in self.requests if one.method == method and one.url.path == path]

    def bodies(self, method: str, path: str) -> Sequence[Any]:
        return [json.loads(one.content) for one in self.seen(method, path)]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        if "/blobs/" in request.url.path:
            return self._take_blob(request)
        replies = self._replies.get((request.method, request.url.path))
        assert replies, f"nobody expected {request.method} {request.url.path}"
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return reply(request)

    def _take_blob(self, request: httpx.Request) -> httpx.Response:
        digest = request.url.path.rpartition("/")[2]
        if request.method == "HEAD":
            return httpx.Response(200 if digest in self.blobs else 404)
        assert digest == f"sha256:{hashlib.sha256(request.content).hexdigest()}"
        self.blobs[digest] = request.content
        return httpx.Response(201, json={"digest": digest})


def ok(value: object, status: int = 200) -> Reply:
    return lambda _: httpx.Response(status, json=value)


def plain(status: int, content: bytes = b"") -> Reply:
    return lambda _: httpx.Response(status, content=content)


def page(*items: object, following: str = "") -> Reply:
    return ok({"items": list(items), "next": following})


def problem(status: int, code: str, detail: str, **more: object) -> Reply:
    body = {"type": "about:blank", "title": "x", "status": status, "code": code, "detail": detail, **more}
    headers = {"content-type": "application/problem+json"}
    return lambda _: httpx.Response(status, json=body, headers=headers)


def failing(error: httpx.TransportError) -> Reply:
    def reply(request: httpx.Request) -> httpx.Response:
        error.request = request
        raise error

    return reply


def stream(*pieces: str | bytes, breaks: bool = False) -> Reply:
    """Return a stream of server-sent events that ends after `pieces`, or breaks off."""
    return lambda _: httpx.Response(200, stream=_Pieces(pieces, breaks=breaks))


class _Pieces(httpx.SyncByteStream):
    def __init__(self, pieces: Iterable[str | bytes], *, breaks: bool) -> None:
        self._pieces = pieces
        self._breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece.encode() if isinstance(piece, str) else piece
        if self._breaks:
            raise httpx.ReadError("broke off")


def event(kind: str, data: object, identifier: str = "") -> str:
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n"


def log(text: str, cursor: str = "", **more: object) -> str:
    return event("log", {"task": "task-1", "index": 0, "attempt": 1, "rank": 0, "text": text, **more}, cursor)


def job(state: str = "queued", **status: object) -> dict[str, Any]:
    """Return a job as the API shows it."""
    return {
        "kind": "job",
        "metadata": {"id": "job-1", "name": "train", "project": "default", "version": 1},
        "spec": {"command": ["true"]},
        "status": {"state": state, **status},
    }


def function_job(state: str = "succeeded") -> dict[str, Any]:
    return {**job(state), "spec": {"function": f"sha256:{'0' * 64}"}}


def endpoint(state: str = "ready", **status: object) -> dict[str, Any]:
    """Return an endpoint as the API shows it."""
    return {
        "kind": "endpoint",
        "metadata": {"id": "endpoint-1", "name": "digits", "project": "default", "version": 1},
        "spec": {"app": "digits:Digits"},
        "status": {"state": state, **status},
    }


def labelled(thing: Mapping[str, Any], **metadata: object) -> dict[str, Any]:
    return {**thing, "metadata": {**thing["metadata"], **metadata}}
