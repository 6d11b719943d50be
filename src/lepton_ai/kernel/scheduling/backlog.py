"""How long the queue already is for each class of resource: what a task at its end must expect to wait."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lepton_ai.kernel.scheduling.fleet import Fleet, Holding, Ledger
from lepton_ai.kernel.scheduling.groups import Choice, Group
from lepton_ai.kernel.scheduling.timeline import Releases, Timeline, releases_of, share_of_class

OPENINGS_MAX = 128  # 128 x 0.3 ms = 40 ms; the fluid estimate alone has to do for further shapes


class Backlog:
    """Shares of each class that waiting tasks ahead will take, set against what is expected to be released.

    A fluid estimate (shares, not nodes): it decides between waiting for a fast class and starting on a slow one, and
    says when a task deep in the queue may start. Where there is a choice it is bounded from below by the moment at which
    the nodes really have room. Reservations are exact instead.
    """

    def __init__(self, fleet: Fleet, free: Ledger, holdings: list[Holding], timeline: Callable[[], Timeline]) -> None:
        self._fleet, self._free, self._holdings, self._timeline_now = fleet, free, holdings, timeline
        self._timeline: Timeline | None = None
        self._openings: dict[tuple[int, int], float] = {}
        self._releases: dict[str, Releases] = {}
        self._shares: dict[tuple[int, int], float] = {}
        self._ahead: dict[str, float] = {}
        self._work: dict[str, float] = {}  # share-seconds

    def delay(self, group: Group, option: int) -> float:
        """Return in how many seconds the next task of `group` may start on `option`, behind those who joined before."""
        name = group.options[option].name
        releases = self._releases.get(name)
        if releases is None:
            releases = self._releases[name] = releases_of(self._fleet, self._free, self._holdings, name)
        ahead = self._ahead.get(name, 0.0)
        each = self._work[name] / ahead if ahead else 0.0
        fluid = releases.delay(ahead + self._share(group, option), each)
        return fluid if len(group.options) == 1 else max(fluid, self._opening(group, option))

    def join(self, group: Group, choices: Sequence[Choice]) -> tuple[int, float]:
        """Let a task wait for the option on which it is expected to end first; returns that option and the delay."""
        best, delay, median = choices[0][2], math.inf, choices[0][0]
        for choice in choices:
            here = self.delay(group, choice[2])
            if here + choice[0] < delay + median:
                best, delay, median = choice[2], here, choice[0]
        name, share = group.options[best].name, self._share(group, best)
        self._ahead[name] = self._ahead.get(name, 0.0) + share
        self._work[name] = self._work.get(name, 0.0) + share * median
        return best, delay

    def _opening(self, group: Group, option: int) -> float:
        """Return when the nodes have room for one more of `group`; asked once, as soon as one of it is blocked."""
        key = (id(group), option)
        if key not in self._openings:
            if len(self._openings) >= OPENINGS_MAX:
                return 0.0
            self._timeline = self._timeline or self._timeline_now()
            opening = self._timeline.opening(group.shape, group.options[option])
            self._openings[key] = math.inf if opening is None else opening.seconds
        return self._openings[key]

    def _share(self, group: Group, option: int) -> float:
        key = (id(group), option)
        share = self._shares.get(key)
        if share is None:
            shape = group.shape
            size = self._fleet.class_size(group.options[option].classes[0])
            devices = shape.devices * shape.share_milli
            share = shape.size * share_of_class(shape.cpu_milli, shape.memory_bytes, devices, size)
            self._shares[key] = share
        return share
