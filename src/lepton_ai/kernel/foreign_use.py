"""How much memory of nodes and devices is used by processes that are not ours, so that nobody is promised it.

A sample cannot tell whose memory it counts. What our tasks may use at most is known, so whatever is used beyond that
is foreign for certain. A task that has just ended may still be in the sample: the least of a minute counts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from lepton_ai.kernel.runtime import NodeObservation
from lepton_ai.types.task import Task

WINDOW = timedelta(seconds=60)
LOOK_EVERY = timedelta(seconds=2)  # 30 samples for each node and device
STEPS = 32  # of a node's or device's memory: smaller changes would have every score reckoned anew for nothing

Place = tuple[str, str]  # a node, and a device of it or "" for the node's own memory


class ForeignUse:
    """Keeps the samples of the last minute. One thread notes, any may read."""

    def __init__(self) -> None:
        self._samples: dict[Place, deque[tuple[datetime, int]]] = {}
        self._foreign: dict[Place, int] = {}
        self._looked_at: datetime | None = None
        self.changes = 0  # how often what `of` tells has changed

    def note(self, nodes: Iterable[NodeObservation], tasks: Collection[Task], now: datetime) -> None:
        """Take in a sample of each node, given the tasks that hold something there."""
        if self._looked_at is not None and now - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = now
        held, busy = _held(tasks)
        seen: set[Place] = set()
        before = dict(self._foreign)
        for node in nodes:
            totals = {device.id: device.memory_bytes for device in node.hardware.devices}
            used = node.use.memory_used_bytes - held[node.name]
            seen.add(self._sample((node.name, ""), used, node.hardware.memory_bytes, now))
            for use in node.use.devices:
                is_ours = (node.name, use.device_id) in busy
                used = 0 if is_ours else use.memory_used_bytes
                seen.add(self._sample((node.name, use.device_id), used, totals.get(use.device_id, 0), now))
        for place in self._samples.keys() - seen:
            del self._samples[place]
            self._foreign.pop(place, None)
        self.changes += before != self._foreign

    def of(self, node: str, device: str = "") -> int:
        """Return the bytes that are used there by others, in steps; 0 if nobody knows."""
        return self._foreign.get((node, device), 0)

    def _sample(self, place: Place, used: int, total: int, now: datetime) -> Place:
        samples = self._samples.setdefault(place, deque())
        samples.append((now, max(used, 0)))
        while now - samples[0][0] > WINDOW:
            samples.popleft()
        least, step = min(amount for _, amount in samples), max(total // STEPS, 1)
        before = self._foreign.get(place, 0)
        if least < step:
            self._foreign[place] = 0
        elif abs(least - before) >= step:
            self._foreign[place] = min(least // step * step, total)
        return place


def _held(tasks: Collection[Task]) -> tuple[Counter[str], set[Place]]:
    """Return the memory that tasks may use, by node, and the devices that they hold."""
    held: Counter[str] = Counter()
    busy: set[Place] = set()
    for task in tasks:
        for allocation in task.status.allocations if not task.is_final() else ():
            held[allocation.node] += allocation.memory_bytes
            busy.update((allocation.node, share.device_id) for share in allocation.devices)
    return held, busy
