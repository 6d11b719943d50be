"""The logs of a job or endpoint: every replica of every task, merged as they come, resumable by a cursor."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from lepton_ai.api import changes, sse
from lepton_ai.api.access import Access, GuardedRoute
from lepton_ai.api.core import Core
from lepton_ai.api.kinds import Gate, collection_path
from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.runtime import LogChunk
from lepton_ai.types.base import AnyObject
from lepton_ai.types.task import Task

CHUNK_BYTES = 64 * 1024
FOLLOW_SECONDS = 0.05  # how often a followed log is looked at; nothing is looked at that nobody follows
CURSOR_MAX = 65536  # 1,000 replicas x 60 bytes
RANKS_MAX = 1000  # replicas in one stream; more must be asked for by rank


def log_routes(kind: type[AnyObject]) -> APIRouter:
    """Return the log route of a kind that owns tasks."""
    router = APIRouter(prefix=collection_path(kind, in_project=True), route_class=GuardedRoute, tags=[kind.PLURAL])

    @router.get("/{name}/logs", operation_id=f"{kind.KIND}.logs")
    def read_logs(
        gate: Gate,
        name: str,
        follow: bool = False,
        cursor: Annotated[str, Query(max_length=CURSOR_MAX)] = "",
        rank: int = -1,
        tail_bytes: Annotated[int, Query(ge=0)] = 0,
        last: Annotated[str, Header(alias="Last-Event-ID", max_length=CURSOR_MAX)] = "",
    ) -> StreamingResponse:
        thing = changes.find(gate, kind, name, in_project=True)
        reader = Reader(gate.core, kind, thing.id, rank, read_cursor(cursor or last), tail_bytes)
        return sse.respond(stream(reader, gate, follow=follow))

    return router


@dataclass(slots=True)
class Reader:
    """Where each replica's log has been read to."""

    core: Core
    kind: type[AnyObject]
    object_id: str
    rank: int
    offsets: dict[str, int]
    tail_bytes: int
    done: set[str] = field(default_factory=set)

    def is_over(self) -> bool:
        """Tell whether the object has ended, so that no task can follow."""
        thing = self.core.store.get(self.kind, self.object_id)
        return thing.is_final() or thing.metadata.deletion_requested_at is not None

    def replicas(self) -> Sequence[tuple[Task, int]]:
        """Return every replica that was ever started for the object and is not read to its end."""
        found = [
            (task, allocation.rank)
            for task in self.core.store.owned(Task, self.object_id)
            for allocation in task.status.allocations
            if self.rank in {-1, allocation.rank} and task.replica_id(allocation.rank) not in self.done
        ]
        return found[:RANKS_MAX]

    def read(self, task: Task, rank: int) -> dict[str, Any] | None:
        """Return the next piece of one replica's log as the API shows it, or None if there is nothing new."""
        replica_id = task.replica_id(rank)
        offset = self.offsets.get(replica_id)
        if offset is None:
            offset = self._tail(replica_id) if self.tail_bytes else 0
        chunk = self.core.runtime.read_log(replica_id, offset, CHUNK_BYTES)
        text, used = decode(chunk)
        self.offsets[replica_id] = chunk.offset + used
        if chunk.is_complete and used == len(chunk.text) and task.is_final():
            self.done.add(replica_id)
        if not text and chunk.offset <= offset:
            return None
        shown = {"task": task.id, "index": task.spec.index, "attempt": task.spec.attempt, "rank": rank, "text": text}
        return shown | {"truncated_bytes": chunk.offset - offset}

    def _tail(self, replica_id: str) -> int:
        end = self.core.runtime.read_log(replica_id, 2**62, 0).next_offset
        return max(0, end - self.tail_bytes)


async def stream(reader: Reader, gate: Access, *, follow: bool) -> AsyncIterator[str]:
    """Yield the log as it grows; an `end` event once nothing more can come (or, without `follow`, is there)."""
    event = gate.core.bell.event()
    try:
        while True:
            event.clear()
            is_over = await run_in_threadpool(reader.is_over)
            replicas = await run_in_threadpool(reader.replicas)
            grew = False
            for task, rank in replicas:
                while (shown := await run_in_threadpool(reader.read, task, rank)) is not None:
                    grew = True
                    yield sse.frame("log", shown, write_cursor(reader.offsets))
            if not grew and (not follow or (is_over and not await run_in_threadpool(reader.replicas))):
                thing = await run_in_threadpool(gate.core.store.get, reader.kind, reader.object_id)
                yield sse.frame("end", {"state": thing.status.state})
                return
            if not grew:
                await _wait(event, FOLLOW_SECONDS if replicas else None)
    finally:
        gate.core.bell.drop(event)


def decode(chunk: LogChunk) -> tuple[str, int]:
    """Return the text of a chunk and how many of its bytes that is: a character cut in half waits for its rest."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(chunk.text, final=chunk.is_complete)
    held = len(decoder.getstate()[0])
    return text, len(chunk.text) - held


def read_cursor(text: str) -> dict[str, int]:
    """Return the offsets in a cursor; raises InvalidInput if it is none of ours."""
    try:
        return {name: int(offset) for name, _, offset in (part.rpartition(":") for part in text.split(",") if part)}
    except ValueError:
        raise InvalidInput(f"{text[:60]!r} is not a log cursor.", hint="Leave it out to read from the start.") from None


def write_cursor(offsets: dict[str, int]) -> str:
    """Return the cursor from which reading goes on after everything sent so far."""
    return ",".join(f"{name}:{offset}" for name, offset in sorted(offsets.items()))


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
