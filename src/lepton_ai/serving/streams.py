"""Turns what a generator yields into server-sent events or lines of JSON, its failures included."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import TypeVar

from lepton_ai.errors import LeptonError
from lepton_ai.serving import problems
from lepton_ai.serving.encoding import to_json
from lepton_ai.serving.http import Request, Stream, refusal_of_failure
from lepton_ai.serving.problems import refusal_of

EVENT_STREAM = b"text/event-stream"
JSON_LINES = b"application/x-ndjson"
_END = object()
_log = logging.getLogger("lepton_ai.serving")
T = TypeVar("T")


async def open_stream(values: AsyncIterator[object], request: Request) -> Stream:
    """Wait for the first value, so that a generator that fails at once is still answered with a status of its own.

    Server-sent events: `data: VALUE` each, then `event: end`; on failure `event: error` with the problem as data.
    JSON lines: VALUE each; on failure a last line `{"error": PROBLEM}`. Either ends only once all is said, so that a
    cut connection is told from a complete answer.
    """
    first = await anext(values, _END)
    is_events = EVENT_STREAM in request.header(b"accept")
    frame = _event if is_events else _line
    chunks = _chunks(first, values, request, frame)
    return Stream(chunks, EVENT_STREAM if is_events else JSON_LINES)


async def in_threads(values: Iterator[T], pool: Executor) -> AsyncIterator[T]:
    """Yield what a plain generator yields, each step taken in `pool` so that the event loop stays free."""
    loop = asyncio.get_running_loop()
    step: asyncio.Future[object] | None = None
    try:
        while True:
            step = loop.run_in_executor(pool, next, values, _END)
            value = await asyncio.shield(step)
            if value is _END:
                return
            yield value  # type: ignore[misc]
    finally:
        # A generator cannot be closed while it runs: its caller may have gone in the middle of a step.
        if step is not None and not step.done():
            step.add_done_callback(lambda _: _close(values))
        else:
            _close(values)


def _close(values: Iterator[object]) -> None:
    close = getattr(values, "close", None)
    if close:
        close()


async def _chunks(
    first: object, values: AsyncIterator[object], request: Request, frame: Callable[[str, bytes], bytes]
) -> AsyncGenerator[bytes]:
    try:
        if first is not _END:
            yield frame("", to_json(first))
            async for value in values:
                yield frame("", to_json(value))
    except Exception as error:
        yield frame("error", _problem_of(error, request.id))
        return
    finally:
        close = getattr(values, "aclose", None)
        if close:
            await close()
    if frame is _event:
        yield frame("end", b"{}")


def _problem_of(error: Exception, request_id: str) -> bytes:
    if isinstance(error, LeptonError):
        return problems.encode(refusal_of(error), request_id)
    _log.error("A stream failed, request id %s", request_id, exc_info=error)
    return problems.encode(refusal_of_failure(error), request_id)


def _event(kind: str, data: bytes) -> bytes:
    return (f"event: {kind}\n".encode() if kind else b"") + b"data: " + data + b"\n\n"


def _line(kind: str, data: bytes) -> bytes:
    return (b'{"error":' + data + b"}" if kind else data) + b"\n"
