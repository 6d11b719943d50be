"""Finds out when a replica that runs is ready to be sent requests."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from lepton_ai.errors import LeptonError, Unavailable
from lepton_ai.types.data_plane import NodeDoor

PAUSE_SECONDS = 0.05  # between two rounds while something is not ready; nothing is asked otherwise
TIMEOUT_SECONDS = 1.0  # for one question as a whole, however slowly the answer comes
DOOR_SECONDS = 0.2  # in which a door hangs up if nobody listens behind it: a refusal on loopback takes no time
ASKED_AT_ONCE = 16  # so many silent replicas hold up the others, and for one time-out
STATUS_LINE_MAX = 1024  # bytes
READY_BELOW = 500  # a server that refuses (401, 404) on its health path is there; one that fails (5xx) is not
ROUND_MAX = 256  # targets asked or about to be asked
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)[ \r\n]")


@dataclass(frozen=True, slots=True)
class Target:
    """One replica to ask, through a `door` if it is behind one. Without a path, a connection that opens counts."""

    id: str
    address: str
    port: int
    path: str
    owner_id: str
    door: NodeDoor | None = None


def no_doors() -> ssl.SSLContext:
    """Say that there is no way to a node's door; raises Unavailable."""
    raise Unavailable("No door of a node can be reached from here.")


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
    """Asks replicas in threads of its own; once ready, a target is asked no more (the data plane watches it)."""

    def __init__(self, wake: Callable[[str], None], tls: Callable[[], ssl.SSLContext] = no_doors) -> None:
        self._wake = wake
        self._tls = tls
        self._lock = threading.Lock()
        self._pending: dict[str, Target] = {}
        self._asking: set[str] = set()
        self._ready: set[str] = set()
        self._news = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="prober", daemon=True)
        self._thread.start()

    def watch(self, targets: Collection[Target]) -> None:
        """Ask these until they are ready, and forget all others."""
        with self._lock:
            self._ready &= {target.id for target in targets}
            wanted = [target for target in targets if target.id not in self._ready]
            self._pending = {target.id: target for target in rejoin(self._pending, wanted)}
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
        """End the threads."""
        self._closing = True
        self._news.set()
        self._thread.join(TIMEOUT_SECONDS * 2)

    def _run(self) -> None:
        with ThreadPoolExecutor(ASKED_AT_ONCE, "probe") as threads:
            while not self._closing:
                self._news.wait()
                for target in self._next():
                    threads.submit(self._ask, target)
                threading.Event().wait(PAUSE_SECONDS)

    def _next(self) -> Sequence[Target]:
        """Return those whose turn it is. They are last from now on, so that nobody waits behind the same ones again."""
        with self._lock:
            if not self._pending:
                self._news.clear()
            free = [target for target in self._pending.values() if target.id not in self._asking]
            chosen = free[: ROUND_MAX - len(self._asking)]
            for target in chosen:
                self._pending[target.id] = self._pending.pop(target.id)
                self._asking.add(target.id)
            return chosen

    def _ask(self, target: Target) -> None:
        try:
            if not self._closing and self._pending.get(target.id) == target and is_ready(target, self._tls):
                self._found(target)
        finally:
            with self._lock:
                self._asking.discard(target.id)

    def _found(self, target: Target) -> None:
        with self._lock:
            if self._pending.get(target.id) != target:
                return  # It moved or was forgotten while it was asked.
            del self._pending[target.id]
            self._ready.add(target.id)
        self._wake(target.owner_id)


def rejoin(waiting: Mapping[str, Target], targets: Collection[Target]) -> list[Target]:
    """Return `targets` in the order in which they wait already, new ones last."""
    turns = {target_id: turn for turn, target_id in enumerate(waiting)}
    return sorted(targets, key=lambda target: turns.get(target.id, len(turns)))


def is_ready(target: Target, tls: Callable[[], ssl.SSLContext] = no_doors) -> bool:
    """Ask once. No client library: their time-outs are for one read, and many reads may never come to an answer."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    try:
        port = target.port if target.door is None else target.door.port
        with socket.create_connection((target.address, port), TIMEOUT_SECONDS) as asked:
            if target.door is None:
                return not target.path or _answers(asked, target, deadline)
            with tls().wrap_socket(asked, server_hostname=target.door.name_of(target.port)) as inside:
                return _answers(inside, target, deadline) if target.path else _stays_open(inside)
    except (OSError, LeptonError):
        return False


def _stays_open(asked: ssl.SSLSocket) -> bool:
    """Tell whether the replica behind a door took the connection: the door has opened its own before it knows."""
    asked.settimeout(DOOR_SECONDS)
    try:
        return bool(asked.recv(1))
    except TimeoutError:
        return True


def _answers(asked: socket.socket, target: Target, deadline: float) -> bool:
    """Tell whether a status line comes in time and tells of a server that is there. 1xx is no answer yet."""
    path = quote(target.path, safe="/~%")
    host = f"{target.address}:{target.port}"
    asked.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    line = b""
    while b"\n" not in line and len(line) < STATUS_LINE_MAX and (left := deadline - time.monotonic()) > 0:
        asked.settimeout(left)
        piece = asked.recv(STATUS_LINE_MAX)
        if not piece:
            return False
        line += piece
    found = _STATUS_LINE.match(line)
    return b"\n" in line and found is not None and 200 <= int(found[1]) < READY_BELOW
