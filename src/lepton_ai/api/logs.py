"""The logs of a job or endpoint: every replica of every task, merged as they come, resumable by a cursor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from lepton_ai.api import changes, sse
from lepton_ai.api.access import GuardedRoute
from lepton_ai.api.bell import Bell
from lepton_ai.api.kinds import NUMBER_MAX, Gate, collection_path
from lepton_ai.api.log_cursor import CURSOR_MAX, read_cursor
from lepton_ai.api.log_reading import LogReader, Selection
from lepton_ai.types.base import AnyObject, Model
from lepton_ai.types.task import GANG_MAX

FOLLOW_SECONDS = 0.05  # how often a followed log is looked at; nothing is looked at that nobody follows
TURN_CHUNKS_MAX = 16  # 1 MB of one replica, then the others have their turn


class LogQuery(Model):
    """What of a log is wanted."""

    follow: bool = False
    cursor: Annotated[str, Field(max_length=CURSOR_MAX)] = ""
    rank: Annotated[int, Field(ge=-1, le=GANG_MAX)] = -1
    tail_bytes: Annotated[int, Field(ge=0, le=NUMBER_MAX)] = 0


def log_routes(kind: type[AnyObject]) -> APIRouter:
    """Return the log route of a kind that owns tasks."""
    router = APIRouter(prefix=collection_path(kind, in_project=True), route_class=GuardedRoute, tags=[kind.PLURAL])

    @router.get("/{name}/logs", operation_id=f"{kind.KIND}.logs")
    def read_logs(
        gate: Gate,
        name: str,
        wanted: Annotated[LogQuery, Query()],
        last: Annotated[str, Header(alias="Last-Event-ID", max_length=CURSOR_MAX)] = "",
    ) -> StreamingResponse:
        """Send what every replica printed, from the start, the cursor or the tail on; then, with `follow`, wait."""
        thing = changes.find(gate, kind, name, in_project=True)
        selection = Selection(wanted.rank, wanted.tail_bytes)
        reader = LogReader(gate.core, thing, selection, read_cursor(wanted.cursor or last))
        return sse.respond(stream(reader, gate.core.bell, follow=wanted.follow), gate)

    return router


async def stream(reader: LogReader, bell: Bell, *, follow: bool) -> AsyncGenerator[str, None]:
    """Yield the log as it grows; an `end` event once nothing more can come (or, without `follow`, is there)."""
    event = bell.event()
    try:
        while True:
            event.clear()
            await run_in_threadpool(reader.refresh)
            replicas = await run_in_threadpool(reader.replicas)
            grew = False
            for task, rank in replicas:
                for _ in range(TURN_CHUNKS_MAX):
                    shown = await run_in_threadpool(reader.read, task, rank)
                    if shown is None:
                        break
                    grew = True
                    yield sse.frame("log", shown, str(reader.cursor))
            if not grew and (not follow or (reader.is_over() and not await run_in_threadpool(reader.replicas))):
                yield sse.frame("end", {"state": reader.state()})
                return
            if not grew:
                await _wait(event, FOLLOW_SECONDS if replicas else None)
    finally:
        bell.drop(event)


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
