"""The names of the nodes that belong to the cluster, so that a machine that was removed is not seen any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class Roster:
    """Which nodes belong here: those that have joined, and the core's own machine. Safe to use from several threads."""

    def __init__(self, own: str, members: Callable[[], Iterable[str]]) -> None:
        self._own = own
        self._members = members
        self._lock = threading.RLock()
        self._names: frozenset[str] = frozenset({own})

    def has(self, name: str) -> bool:
        """Tell whether the node belongs to the cluster; waits while that is being changed."""
        with self._lock:
            return name in self._names

    def refresh(self) -> None:
        """Look up who has joined."""
        with self._lock:
            self._names = frozenset({self._own, *self._members()})

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Let nobody look while members are being stored or deleted; then look up who there is.

        The loop sees each commit at once. Between it and this, it would make a node anew that was just deleted.
        """
        with self._lock:
            try:
                yield
            finally:
                self.refresh()
