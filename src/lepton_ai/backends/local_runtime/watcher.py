"""One thread that sleeps until a supervisor tells something or ends."""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Watcher:
    """Calls back once when a file descriptor becomes readable (a pidfd: when its process ends), or when time is up.

    After each round of calls it calls `changed`, so that many ends at once wake the reconcile loop once.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._epoll = select.epoll()
        self._acts: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name="replica-watcher", daemon=True)
        self._thread.start()

    def once(self, fd: int, act: Callable[[], None]) -> None:
        """Call `act` when `fd` is readable; the caller keeps owning `fd` and closes it in `act`."""
        with self._lock:
            self._acts[fd] = act
        self._epoll.register(fd, select.EPOLLIN)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` once, `seconds` from now."""
        with self._lock:
            heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), act))
        self._rouse()

    def close(self) -> None:
        """End the thread; nothing that was watched is touched."""
        self._is_closed = True
        self._rouse()
        self._thread.join()
        self._epoll.close()
        os.close(self._wake)
        os.close(self._waker)

    def _rouse(self) -> None:
        try:
            os.write(self._waker, b"w")
        except BlockingIOError:
            return  # The pipe is full of wake-ups already.

    def _serve(self) -> None:
        while not self._is_closed:
            due = self._due(self._epoll.poll(self._timeout()))
            for act in due:
                _call(act)
            if due:
                _call(self._changed)

    def _timeout(self) -> float:
        with self._lock:
            return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1.0

    def _due(self, events: list[tuple[int, int]]) -> list[Callable[[], None]]:
        due = []
        for fd, _ in events:
            if fd == self._wake:
                os.read(self._wake, 4096)
                continue
            self._epoll.unregister(fd)
            with self._lock:
                due.append(self._acts.pop(fd))
        with self._lock:
            while self._timers and self._timers[0][0] <= time.monotonic():
                due.append(heapq.heappop(self._timers)[2])
        return due


def _call(act: Callable[[], None]) -> None:
    try:
        act()
    except Exception:  # the thread is the only one: it must outlive any single replica's trouble
        _log.exception("a watched replica could not be looked at")
