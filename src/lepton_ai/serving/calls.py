"""Runs the calls of one handler: on the loop or in threads, one by one or in batches, never more than may wait."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from lepton_ai.serving.app import HandlerOptions
from lepton_ai.serving.batching import BatchBroken, Batcher, BatchLimits
from lepton_ai.serving.problems import Refusal
from lepton_ai.serving.streams import in_threads

Arguments = Mapping[str, Any]
RETRY_AFTER_SECONDS = 1  # a full line of 1024 calls of 1 ms is gone by then


class Gate:
    """Counts the calls inside and refuses one too many."""

    __slots__ = ("_inside", "_limit", "_name")

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._inside = 0

    def __enter__(self) -> None:
        if self._inside >= self._limit:
            raise Refusal(
                429,
                f"{self._inside} calls of {self._name!r} are in progress or waiting; the limit is {self._limit}.",
                hint="Try again later, or run more replicas.",
                code="too_many_waiting",
                headers={"retry-after": str(RETRY_AFTER_SECONDS)},
            )
        self._inside += 1

    def __exit__(self, *_: object) -> None:
        self._inside -= 1

    @contextmanager
    def prolonged(self) -> Iterator[None]:
        """Stay inside for longer; whoever was let in is not refused half way."""
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


class Calls:
    """The calls of one handler. `gate` is held by whoever makes one, for a stream until its last value."""

    def __init__(
        self,
        name: str,
        method: Callable[..., Any],
        options: HandlerOptions,
        pool: Executor,
        observe_batch: Callable[[int], None],
    ) -> None:
        self.gate = Gate(name, options.max_waiting)
        self._name = name
        self._method = method
        self._options = options
        self._pool = pool
        self._observe_batch = observe_batch
        self._is_async = inspect.iscoroutinefunction(method)
        self._is_generator = inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method)
        limits = BatchLimits(options.max_batch_size, options.max_wait_ms / 1000)
        self._batcher: Batcher[Arguments, list[Any]] = Batcher(self._run_batch, limits)

    async def call(self, arguments: Arguments) -> Any:
        """Return the handler's result, or an asynchronous iterator where it streams."""
        if self._options.is_batched:
            try:
                return await self._call_batched(arguments)
            except BatchBroken as error:
                raise Refusal(500, str(error), hint="Return one result per item.", code="handler_failed") from error
        result = await self._run(arguments)
        if isinstance(result, AsyncIterator):
            return result
        return in_threads(result, self._pool) if isinstance(result, Iterator) else result

    async def _run(self, arguments: Arguments) -> Any:
        if self._is_async:
            return await self._method(**arguments)
        if self._is_generator:
            return self._method(**arguments)  # makes the generator; none of its code runs yet
        call = functools.partial(self._method, **arguments)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def _call_batched(self, arguments: Arguments) -> list[Any]:
        items = _count_items(arguments)
        most = self._options.max_batch_size
        if items == 0:
            return []
        if items <= most:
            return await self._batcher.submit(arguments, items)
        parts: list[Awaitable[list[Any]]] = []
        for start in range(0, items, most):
            part = {name: values[start : start + most] for name, values in arguments.items()}
            parts.append(self._batcher.submit(part, min(most, items - start)))
        return [result for results in await asyncio.gather(*parts) for result in results]

    async def _run_batch(self, calls: Sequence[Arguments]) -> Sequence[list[Any]]:
        sizes = [_count_items(call) for call in calls]
        total = sum(sizes)
        self._observe_batch(total)
        joined = {name: [item for call in calls for item in call[name]] for name in calls[0]}
        results = await self._run(joined)
        given = len(results) if hasattr(results, "__len__") else None
        if given != total or isinstance(results, str | bytes | Mapping):
            what = "no list" if given is None or given == total else f"{given} results"
            raise BatchBroken(f"The handler {self._name!r} was given {total} items and returned {what}.")
        split: list[list[Any]] = []
        start = 0
        for size in sizes:
            split.append(results[start : start + size])
            start += size
        return split


def _count_items(arguments: Arguments) -> int:
    lengths = {name: len(values) for name, values in arguments.items()}
    first = next(iter(lengths.values()))
    if any(length != first for length in lengths.values()):
        listed = ", ".join(f"{name} holds {length}" for name, length in lengths.items())
        raise Refusal(
            422,
            f"The lists of one call must be of one length: {listed}.",
            hint="Send one element per item in each list.",
            code="invalid_input",
        )
    return first
