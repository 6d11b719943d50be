"""Measured use of the node, taken at most once a second, whoever asks how often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from lepton_ai.types.node import NodeUse

AGE_SECONDS = 1.0  # CPU use over a shorter time is noise


class Sampler(Protocol):
    """Measures use since it was last asked; one thread at a time."""

    def sample(self) -> NodeUse:
        """Return what was measured."""


class SteadyUse:
    """Safe to ask from any thread: shares one sample among all who ask within a second."""

    def __init__(self, sampler: Sampler, clock: Callable[[], float] = time.monotonic) -> None:
        self._sampler = sampler
        self._clock = clock
        self._lock = threading.Lock()
        self._taken = clock()
        self._last = sampler.sample()

    def sample(self) -> NodeUse:
        """Return the newest sample."""
        with self._lock:
            if self._clock() - self._taken >= AGE_SECONDS:
                self._last = self._sampler.sample()
                self._taken = self._clock()
            return self._last
