"""The HTTP of a replica: one small ASGI application that maps paths to functions and failures to problem details.

Plain ASGI and no framework: a framework's own share of a request would be larger than all of ours.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from lepton_ai.errors import LeptonError
from lepton_ai.serving import problems
from lepton_ai.serving.metrics import Metrics
from lepton_ai.serving.problems import Refusal, refusal_of

# 32 images of 224 x 224 x 3 float numbers are about 48 MB of JSON; the Python lists they become hold 8 times that.
BODY_BYTES_MAX = 64 * 1024 * 1024
# Most calls end sooner, and so never pay for the task that watches whether their caller is still there.
WATCH_AFTER_SECONDS = 0.02
STATUS_CALLER_GONE = 499  # as nginx logs it; nobody is left to read an answer
JSON = b"application/json"
_REQUEST_ID = re.compile(rb"^[\x21-\x7e]{1,128}$")
_log = logging.getLogger("lepton_ai.serving")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(slots=True)
class Response:
    """A whole answer."""

    body: bytes
    status: int = 200
    media_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(slots=True)
class Stream:
    """An answer in pieces, each sent as it comes."""

    chunks: AsyncGenerator[bytes]
    media_type: bytes


@dataclass(slots=True)
class Request:
    """One request. `is_abandoned` is set once its caller has gone."""

    method: str
    headers: Iterable[tuple[bytes, bytes]]
    receive: Receive
    body_bytes_max: int
    body: bytes = b""
    is_abandoned: bool = False

    def header(self, name: bytes) -> bytes:
        """Return the first header of that name (in small letters), or nothing."""
        return next((value for key, value in self.headers if key == name), b"")

    @property
    def id(self) -> str:
        """Return the caller's own request id where it sent a sane one, else a new one."""
        given = self.header(b"x-request-id")
        return given.decode() if _REQUEST_ID.match(given) else uuid.uuid4().hex


Answer = Response | Stream
Endpoint = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers one path. `name` is what its calls are counted under; empty leaves them uncounted."""

    method: str
    endpoint: Endpoint
    name: str = ""


class Application:
    """An ASGI application over fixed paths."""

    def __init__(self, routes: Mapping[str, Route], metrics: Metrics, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self._routes = dict(routes)
        self._metrics = metrics
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"A replica speaks HTTP, not {scope['type']}.")
        started = time.perf_counter()
        request = Request(scope["method"], scope["headers"], receive, self._body_bytes_max)
        route = self._routes.get(scope["path"])
        status = STATUS_CALLER_GONE
        watch = _Watch(request)
        try:
            answer = await self._answer(route, scope["path"], request, watch)
            if isinstance(answer, Stream):
                status = 200
                await _send_stream(answer, watch, send)
            else:
                watch.stop()
                status = answer.status
                await _send_whole(answer, send)
        except asyncio.CancelledError:
            if not request.is_abandoned:
                raise
            status = STATUS_CALLER_GONE
        finally:
            watch.stop()
            if route and route.name:
                self._metrics.answered(route.name, status, time.perf_counter() - started)

    async def _answer(self, route: Route | None, path: str, request: Request, watch: _Watch) -> Answer:
        try:
            if route is None:
                raise Refusal(404, f"Nothing answers at {path}.", hint=f"Known: {', '.join(sorted(self._routes))}.")
            if request.method != route.method and not (request.method == "HEAD" and route.method == "GET"):
                raise Refusal(
                    405,
                    f"{path} does not answer {request.method}.",
                    hint=f"Use {route.method}.",
                    headers={"allow": route.method},
                )
            if route.method == "POST":
                request.body = await _read_body(request)
            watch.start()
            return await route.endpoint(request)
        except LeptonError as error:
            return problem(refusal_of(error), request.id)
        except Exception as error:
            return broken(error, path, request.id)


def problem(refusal: Refusal, request_id: str) -> Response:
    """Return `refusal` as the answer."""
    headers = tuple((key.encode(), value.encode()) for key, value in refusal.headers.items())
    return Response(problems.encode(refusal, request_id), refusal.http_status, problems.MEDIA_TYPE, headers)


def broken(error: Exception, path: str, request_id: str) -> Response:
    """Log the traceback of a failure that is not the caller's, and return the 500 that names only its type."""
    _log.error("%s failed, request id %s", path, request_id, exc_info=error)
    return problem(refusal_of_failure(error), request_id)


def refusal_of_failure(error: Exception) -> Refusal:
    """Return what a caller may know of a failure: its type. The sentence may hold what is not theirs to read."""
    return Refusal(
        500,
        f"The handler raised {type(error).__name__}.",
        hint="The endpoint's log has the traceback under this request id.",
        code="handler_failed",
    )


class _Watch:
    """Cancels the request's task once its caller has gone, while the watch runs."""

    __slots__ = ("_request", "_timer", "_watcher")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        task = asyncio.current_task()
        if task:
            self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._begin, task)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()

    def _begin(self, task: asyncio.Task[Any]) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._until_gone(task))

    async def _until_gone(self, task: asyncio.Task[Any]) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._request.is_abandoned = True
        task.cancel()


async def _read_body(request: Request) -> bytes:
    declared = request.header(b"content-length")
    if declared.isdigit() and int(declared) > request.body_bytes_max:
        raise _too_large(int(declared), request.body_bytes_max)
    message = await request.receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body = bytes(message.get("body", b""))
        if len(body) > request.body_bytes_max:
            raise _too_large(len(body), request.body_bytes_max)
        return body
    pieces, size = [], 0
    while message["type"] == "http.request":
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > request.body_bytes_max:
            raise _too_large(size, request.body_bytes_max)
        if not message.get("more_body"):
            return b"".join(pieces)
        message = await request.receive()
    request.is_abandoned = True
    raise asyncio.CancelledError


def _too_large(size: int, limit: int) -> Refusal:
    return Refusal(
        413,
        f"The body holds {size} bytes or more; the limit is {limit}.",
        hint="Send fewer items per call.",
        code="too_large",
    )


async def _send_whole(answer: Response, send: Send) -> None:
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _send_stream(answer: Stream, watch: _Watch, send: Send) -> None:
    headers = [(b"content-type", answer.media_type), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async with aclosing(answer.chunks) as chunks:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    watch.stop()
    await send({"type": "http.response.body", "body": b""})
