"""One thread that knows which nodes there are and asks each one's agent to tell as soon as anything changes there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lepton_ai.backends.ray_runtime.agent import Told
from lepton_ai.backends.ray_runtime.connection import Connection, RayNode
from lepton_ai.errors import LeptonError, Unavailable

LOOK_SECONDS = 0.5  # how often Ray is asked which nodes live: 1 ms of work each
POLL_SECONDS = 3.0  # how long an agent waits before it tells that nothing changed; as old may measured use be
RETRY_SECONDS = 0.2  # Ray needs 1.5 s to restart an agent whose process was killed
# A node whose raylet lives, but whose agent says nothing for this long, counts as lost.
SILENT_SECONDS_MAX = 20.0
_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who hears of the nodes, in the watch's own thread."""

    def heard(self, name: str, told: Told) -> None:
        """Take in what a node's agent told."""

    def lost(self, name: str) -> None:
        """Take note that a node is gone."""


@dataclass(slots=True)
class _Line:
    """The line to one node's agent."""

    node: RayNode
    agent: Any
    asked: Any = None  # the call that waits for news
    retry_at: float = 0.0
    heard_at: float = field(default_factory=time.monotonic)
    life: str = ""
    count: int = -1


class Watch:
    """The lines to all agents. `close` ends the thread."""

    def __init__(self, connection: Connection, listener: Listener) -> None:
        self._connection = connection
        self._listener = listener
        self._lines: dict[str, _Line] = {}
        self._ended = threading.Event()
        self._look_at = 0.0
        self._thread = threading.Thread(target=self._serve, name="ray-watch", daemon=True)

    def begin(self) -> None:
        """Open the lines to all nodes that live now, and follow them; raises Unavailable."""
        self._look()
        self._thread.start()

    def names(self) -> Mapping[str, RayNode]:
        """Return the living nodes."""
        return {name: line.node for name, line in list(self._lines.items())}

    def agent(self, name: str) -> Any:
        """Return the agent of a node; raises Unavailable if the node is gone."""
        line = self._lines.get(name)
        if line is None:
            raise Unavailable(f"Node {name!r} does not answer.", hint="See which do: lepton node list")
        return line.agent

    def close(self) -> None:
        self._ended.set()
        self._thread.join(POLL_SECONDS)

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                self._step()
            except LeptonError as error:
                _log.warning("the cluster was not looked at", extra={"error": str(error)})
                self._ended.wait(RETRY_SECONDS)
            except Exception:  # the thread is the only one: whatever goes wrong, it looks again
                _log.exception("the cluster was not looked at")
                self._ended.wait(LOOK_SECONDS)

    def _step(self) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._look()
        for line in self._lines.values():
            if line.asked is None and now >= line.retry_at:
                line.asked = line.agent.observe.remote(line.life, line.count, POLL_SECONDS)
        asked = {line.asked: line for line in self._lines.values() if line.asked is not None}
        if not asked:
            self._ended.wait(RETRY_SECONDS)
            return
        pause = LOOK_SECONDS if len(asked) == len(self._lines) else RETRY_SECONDS
        for reference in self._connection.ready(asked, pause):
            self._hear(asked[reference], reference)

    def _look(self) -> None:
        """See which nodes live, and open lines to those that are new."""
        alive = self._connection.nodes()
        now = time.monotonic()
        for name, line in list(self._lines.items()):
            is_same = name in alive and alive[name].ray_id == line.node.ray_id
            if not is_same or now - line.heard_at > SILENT_SECONDS_MAX:
                del self._lines[name]
                self._listener.lost(name)
        for name, node in alive.items():
            if name not in self._lines:
                self._lines[name] = _Line(node, self._connection.agent(name))

    def _hear(self, line: _Line, reference: Any) -> None:
        line.asked = None
        try:
            told: Told = self._connection.get(reference, f"The agent of {line.node.name}")
        except Unavailable as error:
            line.retry_at = time.monotonic() + RETRY_SECONDS
            _log.info("an agent did not answer", extra={"node": line.node.name, "error": str(error)})
            return
        line.heard_at = time.monotonic()
        line.life, line.count = told.life, told.count
        self._listener.heard(line.node.name, told)
