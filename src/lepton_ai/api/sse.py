"""Server-sent events: watching objects, and following events and logs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.encoders import jsonable_encoder
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from lepton_ai.api.core import Core
from lepton_ai.kernel.change import Seen
from lepton_ai.types.base import AnyObject

PING_SECONDS = 15.0
COALESCE_SECONDS = 0.005  # commits of one pass come in bursts; one read serves them all
EVENTS_BATCH = 500


def respond(stream: AsyncIterator[str]) -> StreamingResponse:
    """Return a response that sends `stream` as it comes, with pings between."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_with_pings(stream), media_type="text/event-stream", headers=headers)


def frame(event: str, data: object, identifier: str = "") -> str:
    """Return one event as the WHATWG HTML standard (section 9.2) has it on the wire."""
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {event}\ndata: {json.dumps(jsonable_encoder(data), separators=(',', ':'))}\n\n"


async def watch(
    core: Core, kind: type[AnyObject], project: str | None, since: int, shown: Callable[[Any], Any]
) -> AsyncIterator[str]:
    """Yield every object of the kind as it changes; with `since` below 0, first those that are live now."""
    bell = core.bell
    event = bell.event()
    try:
        if since < 0:
            since = await run_in_threadpool(core.store.revision)
            for thing in reversed(await run_in_threadpool(core.store.page, kind, project, live_only=True)):
                yield frame("put", shown(thing), str(since))
        while True:
            event.clear()
            seen: list[Seen] = await run_in_threadpool(_changes, core, kind, project, since)
            for one in seen:
                since = one.revision
                yield frame("delete" if one.is_deleted else "put", shown(one.object), str(since))
            if not seen:
                await event.wait()
                await asyncio.sleep(COALESCE_SECONDS)
    finally:
        bell.drop(event)


async def follow_events(core: Core, project: str | None, after: int) -> AsyncIterator[str]:
    """Yield the project's events from the cursor on, for ever."""
    bell = core.bell
    event = bell.event()
    try:
        while True:
            event.clear()
            found = await run_in_threadpool(_events, core, project, after)
            for one in found:
                after = one.seq
                yield frame("event", one, str(after))
            if not found:
                await event.wait()
    finally:
        bell.drop(event)


def _changes(core: Core, kind: type[AnyObject], project: str | None, since: int) -> list[Seen]:
    return list(core.store.changes(since, kinds=(kind.KIND,), project=project))


def _events(core: Core, project: str | None, after: int) -> list[Any]:
    return list(core.store.events(project, after=after, limit=EVENTS_BATCH))


async def _with_pings(stream: AsyncIterator[str]) -> AsyncIterator[str]:
    """Pass `stream` on; when it is silent, send comments, so that proxies and clients know that it lives."""
    iterator = stream.__aiter__()
    pending: asyncio.Task[str] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(iterator))  # type: ignore[arg-type]
            done, _ = await asyncio.wait({pending}, timeout=PING_SECONDS)
            if not done:
                yield ": ping\n\n"
                continue
            finished, pending = pending, None
            try:
                yield finished.result()
            except StopAsyncIteration:
                return
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.wait({pending})
        await stream.aclose()  # type: ignore[attr-defined]
