"""Wait for an object to reach a state: told by the watch, looked up again whenever something may have been missed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from lepton_ai.errors import InvalidInput, NotFound, TimedOut
from lepton_ai.sdk.collection import ChangeKind, Collection
from lepton_ai.sdk.connection import Call
from lepton_ai.sdk.follow import follow
from lepton_ai.sdk.server_events import OPENED, PING
from lepton_ai.types.base import AnyObject
from lepton_ai.types.quantity import format_duration, parse_duration

K = TypeVar("K", bound=AnyObject)

Timeout = float | str | timedelta | None  # seconds, "90s", "1h30m" or a timedelta; None waits without end


def wait_for(collection: Collection[K], seen: K, is_done: Callable[[K], bool], timeout: Timeout = None) -> K:
    """Return the object once `is_done`; raises TimedOut, and NotFound if it is deleted meanwhile.

    A core that restarts meanwhile is waited for (`follow` says how long).
    """
    if is_done(seen):
        return seen
    until = time.monotonic() + seconds_of(timeout)
    latest = collection.get(seen.id)  # Often done by now, and a look is cheaper than a stream of its own.
    if is_done(latest):
        return latest

    def open_at(cursor: str, silence_seconds_max: float) -> Call:
        # A server that knows `name` sends this object's changes alone; one that does not sends all, sorted out below.
        params = {"name": seen.id, **({"since": cursor} if cursor else {})}
        return Call("GET", f"{collection.path}/watch", params, answer_seconds_max=silence_seconds_max)

    for event in follow(collection.connection, open_at, until=until):
        if event.event in {OPENED, PING}:
            # What changed before the watch began is told by no event: look at the level, not the edge.
            latest = collection.get(seen.id)
        else:
            change = collection.change_of(event)
            if change.object.id != seen.id:
                continue
            if change.kind is ChangeKind.DELETE and not is_done(change.object):
                raise NotFound(f"The {seen.KIND} {seen.name!r} was deleted.")
            latest = change.object
        if is_done(latest):
            return latest
    state = getattr(latest.status, "state", "not done")
    raise TimedOut(
        f"The {seen.KIND} {seen.name!r} is {state} after {format_duration(timedelta(seconds=seconds_of(timeout)))}. "
        f"{latest.status.reason}".strip(),
        hint=f"It goes on: lepton explain {seen.name}",
    )


def seconds_of(timeout: Timeout) -> float:
    """Return a timeout in seconds, infinity for None; raises InvalidInput."""
    if timeout is None:
        return math.inf
    try:
        return parse_duration(timeout).total_seconds()
    except ValueError as error:
        raise InvalidInput(f"{error}.") from error
