"""Server-sent events: watching objects, and following events and logs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.encoders import jsonable_encoder
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from lepton_ai.api.access import Access
from lepton_ai.api.core import Core
from lepton_ai.kernel.change import Seen
from lepton_ai.kernel.store.store import CHANGES_MAX
from lepton_ai.types.base import AnyObject

PING_SECONDS = 15.0
READY = ": ready\n\n"
COALESCE_SECONDS = 0.005  # commits of one pass come in bursts; one read serves them all
EVENTS_BATCH = 500


class EventStream(StreamingResponse):
    """A stream that lets go of what it waits for as soon as its client has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream ends or the client goes."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Left to the garbage collector, its listener would stay for as long as that takes.
            await self.body_iterator.aclose()  # type: ignore[attr-defined]


def respond(stream: AsyncGenerator[str, None], gate: Access) -> EventStream:
    """Return a response that sends `stream` as it comes, with pings between, for as long as the token is good."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return EventStream(_with_pings(stream, gate), media_type="text/event-stream", headers=headers)


def frame(event: str, data: object, identifier: str = "") -> str:
    """Return one event as the WHATWG HTML standard (section 9.2) has it on the wire."""
    head = f"id: {identifier}\n" if identifier else ""
    return f"{head}event: {event}\ndata: {json.dumps(jsonable_encoder(data), separators=(',', ':'))}\n\n"


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched: a kind, in one project or (None) in all, as far as the caller may see it."""

    kind: type[AnyObject]
    project: str | None
    is_visible: Callable[[Any], bool]


async def watch(core: Core, scope: Watched, since: int, shown: Callable[[Any], Any]) -> AsyncGenerator[str, None]:
    """Yield every object in the scope as it changes; with `since` below 0, first those that are live now."""
    event = core.bell.event()
    try:
        if since < 0:
            since = await run_in_threadpool(core.store.revision)
            live = await run_in_threadpool(core.live, scope.kind, scope.project)
            visible = [thing for thing in reversed(live) if scope.is_visible(thing)]
            for place, thing in enumerate(visible, 1):
                # Who resumes after a part of these must get all of them again: only the last one is a place to resume.
                yield frame("put", shown(thing), str(since) if place == len(visible) else "")
        # A client that looks the object up after this misses nothing that happens to it.
        yield READY
        while True:
            event.clear()
            seen: Sequence[Seen] = await run_in_threadpool(_changes, core, scope, since)
            for one, resume_at in zip(seen, cursors(seen), strict=True):
                since = resume_at
                if scope.is_visible(one.object):
                    yield frame("delete" if one.is_deleted else "put", shown(one.object), str(since))
            if not seen:
                await event.wait()
                await asyncio.sleep(COALESCE_SECONDS)
    finally:
        core.bell.drop(event)


def cursors(seen: Sequence[Seen]) -> Sequence[int]:
    """Return, for each change, the revision after which a reader who has got so far must go on.

    One commit changes several objects: its revision is done with only after the last of them, which a full batch may
    not hold. Going on before it repeats objects, which does no harm; going on after it would lose some.
    """
    following = [one.revision for one in seen[1:]] + [seen[-1].revision if len(seen) >= CHANGES_MAX else -1]
    return [one.revision - (one.revision == later) for one, later in zip(seen, following, strict=True)] if seen else []


async def follow_events(core: Core, project: str | None, after: int) -> AsyncGenerator[str, None]:
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


def _changes(core: Core, scope: Watched, since: int) -> Sequence[Seen]:
    return core.store.changes(since, kinds=(scope.kind.KIND,), project=scope.project)


def _events(core: Core, project: str | None, after: int) -> list[Any]:
    return list(core.store.events(project, after=after, limit=EVENTS_BATCH))


async def _with_pings(stream: AsyncGenerator[str, None], gate: Access) -> AsyncGenerator[str, None]:
    """Pass `stream` on; when it is silent, send comments, so that proxies and clients know that it lives."""
    pending: asyncio.Task[str | None] | None = None
    try:
        while True:
            pending = pending or asyncio.create_task(_next(stream))
            done, _ = await asyncio.wait({pending}, timeout=PING_SECONDS)
            if not gate.is_still_good():
                return
            if not done:
                yield ": ping\n\n"
                continue
            finished, pending = pending, None
            piece = finished.result()
            if piece is None:
                return
            yield piece
    finally:
        if pending is not None and not pending.done():
            pending.cancel()  # which ends the stream where it waits; it cannot be closed while it runs
        else:
            await stream.aclose()


async def _next(stream: AsyncGenerator[str, None]) -> str | None:
    return await anext(stream, None)
