"""Follow a stream of server-sent events through broken connections and restarts of the core."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from lepton_ai.errors import Unavailable
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.problems import Interrupted
from lepton_ai.sdk.server_events import OPENED, EventParser, ServerEvent

SILENCE_SECONDS_MAX = 45.0  # servers ping every 15 s: three missed in a row are a dead connection
GONE_SECONDS_MAX = 60.0  # a core is ready again within 5 s; a machine needs about this long to reboot
BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
FRUITLESS_MAX = 60  # connections in a row that ended at once without an event
SLACK_SECONDS = 0.25  # how much later than `until` a stream may notice it

OpenAt = Callable[[str, float], Call]


def follow(
    connection: Connection, open_at: OpenAt, *, cursor: str = "", until: float = math.inf
) -> Iterator[ServerEvent]:
    """Yield the events of the call that `open_at(cursor, silence_seconds_max)` makes, from `cursor` on.

    A connection that breaks off is made again from the newest cursor; each new one is told of by an event OPENED.
    Ends at `until` (of time.monotonic), never by itself otherwise. Raises what the instance refuses with, and
    Unavailable when it was gone for GONE_SECONDS_MAX.
    """
    heard_at, fruitless = time.monotonic(), 0
    while (left := until - time.monotonic()) > 0:
        silence = min(SILENCE_SECONDS_MAX, left)
        trouble: Interrupted | None = None
        is_late = False
        try:
            with connection.stream(open_at(cursor, silence)) as response:
                heard_at = time.monotonic()
                yield ServerEvent(OPENED)
                parser = EventParser()
                for piece in response.iter_bytes():
                    heard_at = time.monotonic()
                    for event in parser.feed(piece):
                        cursor, fruitless = event.id or cursor, 0
                        yield event
                    # The longest silence is fixed when a stream is opened; one that could outlast `until` is reopened.
                    is_late = until - time.monotonic() < silence - SLACK_SECONDS
                    if is_late:
                        break
        except Interrupted as error:
            trouble = error
        if not is_late:
            fruitless += 1
            _give_up_if_gone(connection, trouble, time.monotonic() - heard_at, fruitless)
            pause = BACKOFF_SECONDS[min(fruitless, len(BACKOFF_SECONDS)) - 1]
            connection.sleep(max(0.0, min(pause, until - time.monotonic())))


def _give_up_if_gone(connection: Connection, trouble: Interrupted | None, gone_seconds: float, fruitless: int) -> None:
    if gone_seconds <= GONE_SECONDS_MAX and fruitless <= FRUITLESS_MAX:
        return
    if trouble is not None:
        raise trouble.error from trouble
    raise Unavailable(
        f"{connection.url} closed {fruitless} streams in a row without an event.", hint="See: lepton status"
    )
