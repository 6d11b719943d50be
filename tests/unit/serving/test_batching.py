"""How waiting calls become batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from lepton_ai.serving.batching import BatchBroken, Batcher, BatchLimits

pytestmark = pytest.mark.anyio
NEVER_SECONDS = 3600.0  # a wait that would outlast the test's own time limit


class Doubler:
    """Doubles numbers; remembers its batches; fails on 13; waits for `gate`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, calls: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(calls))
        await self.gate.wait()
        if 13 in calls:
            raise ValueError("13")
        return [2 * call for call in calls]


async def submit_all(batcher: Batcher[int, int], calls: Sequence[int]) -> list[int | BaseException]:
    return await asyncio.gather(*(batcher.submit(call, 1) for call in calls), return_exceptions=True)


async def test_calls_are_joined_until_the_batch_is_full() -> None:
    run = Doubler()
    results = await submit_all(Batcher(run, BatchLimits(3, NEVER_SECONDS)), [1, 2, 3])
    assert results == [2, 4, 6]
    assert run.batches == [[1, 2, 3]]


async def test_a_batch_that_does_not_fill_starts_when_its_first_call_has_waited_long_enough() -> None:
    run = Doubler()
    assert await submit_all(Batcher(run, BatchLimits(3, 0.01)), [1, 2]) == [2, 4]
    assert run.batches == [[1, 2]]


async def test_a_caller_behind_a_batch_of_one_call_does_not_wait() -> None:
    batcher = Batcher(Doubler(), BatchLimits(2, NEVER_SECONDS))
    assert await batcher.submit(1, 2) == 2  # full by itself
    assert await batcher.submit(2, 1) == 4


async def test_calls_gather_while_a_batch_runs() -> None:
    run = Doubler()
    run.gate.clear()
    batcher = Batcher(run, BatchLimits(4, 0.0))
    pending = [asyncio.create_task(batcher.submit(call, 1)) for call in (1, 2, 3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    run.gate.set()
    assert await asyncio.gather(*pending) == [2, 4, 6]
    assert run.batches == [[1], [2, 3]]


async def test_a_batch_never_holds_more_items_than_allowed() -> None:
    run = Doubler()
    batcher = Batcher(run, BatchLimits(4, 0.0))
    await asyncio.gather(*(batcher.submit(call, 3) for call in (1, 2, 3)))
    assert run.batches == [[1], [2], [3]]


async def test_calls_with_different_keys_are_not_joined() -> None:
    run = Doubler()
    batcher = Batcher(run, BatchLimits(4, 0.0))
    keyed = ((1, "a"), (2, "a"), (3, "b"), (4, "b"))
    assert await asyncio.gather(*(batcher.submit(call, 1, key) for call, key in keyed)) == [2, 4, 6, 8]
    assert all({1, 2}.isdisjoint(batch) or {3, 4}.isdisjoint(batch) for batch in run.batches)


async def test_only_the_culprit_of_a_failed_batch_fails() -> None:
    run = Doubler()
    results = await submit_all(Batcher(run, BatchLimits(3, NEVER_SECONDS)), [1, 13, 3])
    assert results[0] == 2
    assert isinstance(results[1], ValueError)
    assert results[2] == 6
    assert run.batches == [[1, 13, 3], [1], [13], [3]]


async def test_a_result_that_cannot_be_split_fails_every_call_at_once() -> None:
    batches: list[int] = []

    async def run(calls: Sequence[int]) -> Sequence[int]:
        batches.append(len(calls))
        return [1]

    results = await submit_all(Batcher(run, BatchLimits(3, NEVER_SECONDS)), [1, 2, 3])
    assert [type(result) for result in results] == [BatchBroken] * 3
    assert batches == [3]


async def test_a_call_whose_caller_has_gone_is_left_out() -> None:
    run = Doubler()
    run.gate.clear()
    batcher = Batcher(run, BatchLimits(2, 0.0))
    pending = [asyncio.create_task(batcher.submit(call, 1)) for call in (1, 2, 3)]
    await asyncio.sleep(0)
    pending[1].cancel()
    await asyncio.sleep(0)
    run.gate.set()
    assert [await pending[0], await pending[2]] == [2, 6]
    assert run.batches == [[1], [3]]
