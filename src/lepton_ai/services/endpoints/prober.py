"""Finds out when a replica that runs is ready to be sent requests."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.05  # between two rounds while something is not ready; nothing is asked otherwise
TIMEOUT_SECONDS = 1.0
READY_BELOW = 500  # a server that refuses (401, 404) on its health path is there; one that fails (5xx) is not
ROUND_MAX = 256  # targets asked in one round


@dataclass(frozen=True, slots=True)
class Target:
    """One replica to ask. Without a path, accepting a connection counts as ready."""

    id: str
    address: str
    port: int
    path: str
    owner_id: str


class Probing(Protocol):
    """What the service asks about its replicas: the prober here, one without sockets and threads in `testing`."""

    def watch(self, targets: Collection[Target]) -> None:
        """Ask these until they are ready, and forget all others."""

    def ready(self) -> frozenset[str]:
        """Return the ids that have answered."""

    def trust(self, ids: Collection[str]) -> None:
        """Count these as ready without asking."""

    def close(self) -> None:
        """Ask nobody any more."""


class Prober:
    """Asks replicas in a thread of its own; once ready, a target is asked no more (the data plane watches it)."""

    def __init__(self, wake: Callable[[str], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._pending: dict[str, Target] = {}
        self._ready: set[str] = set()
        self._news = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
        self._thread.start()

    def watch(self, targets: Collection[Target]) -> None:
        """Ask these until they are ready, and forget all others."""
        with self._lock:
            self._ready &= {target.id for target in targets}
            self._pending = {target.id: target for target in targets if target.id not in self._ready}
            if self._pending:
                self._news.set()

    def ready(self) -> frozenset[str]:
        """Return the ids that have answered."""
        with self._lock:
            return frozenset(self._ready)

    def trust(self, ids: Collection[str]) -> None:
        """Count these as ready without asking: the data plane has been sending them requests."""
        with self._lock:
            self._ready.update(ids)

    def close(self) -> None:
        """End the thread."""
        self._closing = True
        self._news.set()
        self._thread.join(TIMEOUT_SECONDS * 2)

    def _run(self) -> None:
        while not self._closing:
            self._news.wait()
            with self._lock:
                pending = list(self._pending.values())[:ROUND_MAX]
                # Those asked now are asked last next time, so that no target waits behind others that never answer.
                for target in pending:
                    self._pending[target.id] = self._pending.pop(target.id)
                if not pending:
                    self._news.clear()
            for target in pending:
                if is_ready(target):
                    self._found(target)
            if pending:
                threading.Event().wait(PAUSE_SECONDS)

    def _found(self, target: Target) -> None:
        with self._lock:
            if self._pending.pop(target.id, None) is not None:
                self._ready.add(target.id)
        self._wake(target.owner_id)


def is_ready(target: Target) -> bool:
    """Ask once."""
    try:
        if not target.path:
            socket.create_connection((target.address, target.port), TIMEOUT_SECONDS).close()
            return True
        connection = http.client.HTTPConnection(target.address, target.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", target.path, headers={"Connection": "close"})
            return connection.getresponse().status < READY_BELOW
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False
