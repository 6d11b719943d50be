"""Joins calls that wait at the same time into batches, and hands each its own part of the result."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Call = TypeVar("Call")
Result = TypeVar("Result")


class BatchBroken(Exception):
    """A batch gave something that cannot be split among its calls; running them again will not mend that."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """`max_items` together in one batch; the first of them waits at most `max_wait_seconds`."""

    max_items: int
    max_wait_seconds: float


@dataclass(slots=True)
class _Waiting(Generic[Call, Result]):
    call: Call
    items: int
    key: Hashable
    since: float
    answer: asyncio.Future[Result]


class Batcher(Generic[Call, Result]):
    """Runs one batch at a time.

    A batch starts when `max_items` wait or when the first has waited `max_wait_seconds`. After a batch of a single
    call that nobody else waited behind, the next call starts at once: a lone client would pay the wait for nothing.
    Only calls with equal keys are joined (arrays whose other dimensions differ cannot be).
    """

    def __init__(self, run: Callable[[Sequence[Call]], Awaitable[Sequence[Result]]], limits: BatchLimits) -> None:
        self._run_calls = run
        self._limits = limits
        self._waiting: deque[_Waiting[Call, Result]] = deque()
        self._items = 0
        self._running: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_alone = False

    async def submit(self, call: Call, items: int, key: Hashable = None) -> Result:
        """Return the result of `call`, which counts for `items`; raises what running it raised."""
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Call, Result] = _Waiting(call, items, key, loop.time(), loop.create_future())
        self._waiting.append(waiting)
        self._items += items
        self._start_if_due()
        # If the caller is cancelled, so is the future, and the call is left out of its batch.
        return await waiting.answer

    def _start_if_due(self) -> None:
        if self._running or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        due_at = self._waiting[0].since + self._limits.max_wait_seconds
        if self._is_alone or self._items >= self._limits.max_items or loop.time() >= due_at:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_at(due_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._running and self._waiting:
            self._start()

    def _start(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        batch = self._take()
        if batch:
            self._running = asyncio.get_running_loop().create_task(self._run(batch))

    def _take(self) -> list[_Waiting[Call, Result]]:
        batch: list[_Waiting[Call, Result]] = []
        items = 0
        while self._waiting:
            first = self._waiting[0]
            if batch and (items + first.items > self._limits.max_items or first.key != batch[0].key):
                break
            self._waiting.popleft()
            self._items -= first.items
            if not first.answer.done():
                batch.append(first)
                items += first.items
        return batch

    async def _run(self, batch: Sequence[_Waiting[Call, Result]]) -> None:
        try:
            await self._answer(batch)
        finally:
            self._running = None
            self._is_alone = len(batch) == 1 and not self._waiting
            self._start_if_due()

    async def _answer(self, batch: Sequence[_Waiting[Call, Result]]) -> None:
        try:
            results = await self._run_calls([each.call for each in batch])
            if len(results) != len(batch):
                raise BatchBroken(f"{len(results)} results came back for {len(batch)} calls")
        except Exception as error:
            if len(batch) == 1 or isinstance(error, BatchBroken):
                _fail(batch, error)
                return
            # One bad item must not fail its neighbours: at most `max_items` more runs tell which it was.
            for each in batch:
                await self._answer([each])
            return
        for each, result in zip(batch, results, strict=True):
            if not each.answer.done():
                each.answer.set_result(result)


def _fail(batch: Sequence[_Waiting[Call, Result]], error: Exception) -> None:
    for each in batch:
        if not each.answer.done():
            each.answer.set_exception(error)
