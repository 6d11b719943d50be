"""Tells requests that wait in the event loop that something was committed in some other thread."""

from __future__ import annotations

import asyncio


class Bell:
    """Rings for everybody who waits, in the event loop's thread, whenever something was committed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Wake everybody; safe from any thread."""
        loop = self._loop
        if loop is not None and self._waiting and not loop.is_closed():
            loop.call_soon_threadsafe(self._ring)

    def event(self) -> asyncio.Event:
        """Return an event that is set at the next ring; give it back with `drop`."""
        self._loop = asyncio.get_running_loop()
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def drop(self, event: asyncio.Event) -> None:
        """Forget an event."""
        self._waiting.discard(event)

    def _ring(self) -> None:
        for event in self._waiting:
            event.set()
