"""Compares Ray's books with ours from time to time, and says where they differ for longer than a moment."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from lepton_ai.backends.ray_runtime.amounts import Drift
from lepton_ai.errors import LeptonError

LOOK_SECONDS = 30.0
_log = logging.getLogger(__name__)


class Audit:
    """A thread that calls `look` every 30 s. What is found twice in a row is logged; `lasting` holds it."""

    def __init__(self, look: Callable[[], Sequence[Drift]]) -> None:
        self._look = look
        self._before: frozenset[tuple[str, str]] = frozenset()
        self._ended = threading.Event()
        self.lasting: Sequence[Drift] = ()
        self._thread = threading.Thread(target=self._serve, name="ray-audit", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def step(self) -> None:
        """Look once. A start or an end that is under way differs only once; raises what `look` does."""
        found = self._look()
        self.lasting = [drift for drift in found if (drift.node, drift.resource) in self._before]
        self._before = frozenset((drift.node, drift.resource) for drift in found)
        for drift in self.lasting:
            _log.warning("ray's books differ: %s", drift.sentence())

    def close(self) -> None:
        self._ended.set()

    def _serve(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            try:
                self.step()
            except LeptonError as error:
                _log.warning("ray's books were not compared: %s", error)
