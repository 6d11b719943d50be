"""Runs a model's calls, joined along the first dimension where the model allows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor

import numpy as np

from lepton_ai.serving.app import HandlerOptions
from lepton_ai.serving.batching import BatchBroken, Batcher, BatchLimits
from lepton_ai.serving.calls import Gate
from lepton_ai.serving.problems import Refusal
from lepton_ai.serving.runtimes.onnx import OnnxModel
from lepton_ai.serving.runtimes.tensor import Tensor

Tensors = Mapping[str, Tensor]


class Runs:
    """Runs one model. Calls are joined if all their inputs have one batch length and agree in the other dimensions."""

    def __init__(
        self, model: OnnxModel, options: HandlerOptions, pool: Executor, observe_batch: Callable[[int], None]
    ) -> None:
        self._model = model
        self._gate = Gate(model.name, options.max_waiting)
        self._pool = pool
        self._observe_batch = observe_batch
        self._is_batched = model.is_batchable and options.is_batched
        self._batcher: Batcher[Tensors, Tensors] = Batcher(
            self._run_joined, BatchLimits(options.max_batch_size, options.max_wait_ms / 1000)
        )

    async def run(self, feeds: Tensors) -> Tensors:
        """Return the model's outputs for `feeds`; a call longer than a batch runs whole, as one batch of its own."""
        with self._gate:
            lengths = {array.shape[0] for array in feeds.values()} if self._is_batched else set()
            if len(lengths) != 1 or 0 in lengths:
                return await self._run(feeds)
            key = tuple((name, array.shape[1:]) for name, array in feeds.items())
            try:
                return await self._batcher.submit(feeds, lengths.pop(), key)
            except BatchBroken as error:
                raise Refusal(
                    500, str(error), hint="Serve it with --max-batch-size 1.", code="handler_failed"
                ) from error

    async def _run(self, feeds: Tensors) -> Tensors:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._model.run, feeds)

    async def _run_joined(self, calls: Sequence[Tensors]) -> Sequence[Tensors]:
        sizes = [next(iter(call.values())).shape[0] for call in calls]
        total = sum(sizes)
        self._observe_batch(total)
        if len(calls) == 1:
            return [await self._run(calls[0])]
        results = await self._run({name: np.concatenate([call[name] for call in calls]) for name in calls[0]})
        for name, array in results.items():
            if array.shape[:1] != (total,):
                raise BatchBroken(f"The model was given a batch of {total}; output {name!r} has shape {array.shape}.")
        ends = np.cumsum(sizes)[:-1]
        parts = {name: np.split(array, ends) for name, array in results.items()}
        return [{name: pieces[index] for name, pieces in parts.items()} for index in range(len(calls))]
