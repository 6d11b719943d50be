"""How long the queue already is for each class of resource: what a task at its end must expect to wait."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lepton_ai.kernel.scheduling.fleet import Pool
from lepton_ai.kernel.scheduling.groups import Choice, Group
from lepton_ai.kernel.scheduling.occupancy import Occupancy
from lepton_ai.kernel.scheduling.timeline import Releases, Timeline, releases_of, share_of_class

OPENINGS_MAX = 128  # 128 x 0.3 ms = 40 ms; the fluid estimate alone has to do for further shapes


@dataclass(slots=True)
class _Line:
    """Those who wait for one class of that size: the shares that they will take, and for how many share-seconds."""

    size: tuple[int, int, int]
    releases: Releases
    ahead: float = 0.0
    work: float = 0.0


class _Lane(NamedTuple):
    """One shape in one line. `opening` is the moment at which the nodes really have room for it."""

    line: _Line
    share: float
    opening: float


class Backlog:
    """Shares of each class that waiting tasks ahead will take, set against what is expected to be released.

    A fluid estimate (shares, not nodes): it decides between waiting for a fast class and starting on a slow one, and
    says when a task deep in the queue may start. Where there is a choice it is never earlier than the moment at which
    the nodes really have room. Reservations are exact instead.
    """

    def __init__(self, occupancy: Occupancy) -> None:
        self._occupancy = occupancy
        self._timeline: Timeline | None = None
        self._lines: dict[str, _Line] = {}
        self._lanes: dict[tuple[int, int], _Lane] = {}
        self._openings = 0

    def earliest(self, group: Group, choices: Sequence[Choice]) -> tuple[Choice, float]:
        """Return the choice on which the next task of `group` ends first if it joins now, and after what delay."""
        best, least, end = choices[0], math.inf, math.inf
        line: _Line | None = None
        fluid = 0.0
        for choice in choices:
            lane = self._lanes.get((group.number, choice[1])) or self._open_lane(group, choice[1])
            if lane.line is not line:  # nodes with and without accelerators stand in one line
                line = lane.line
                fluid = line.releases.delay(line.ahead + lane.share, line.work / line.ahead if line.ahead else 0.0)
            delay = fluid if fluid > lane.opening else lane.opening
            if delay + choice[0] < end:
                best, least, end = choice, delay, delay + choice[0]
        return best, least

    def join(self, group: Group, option: int, seconds: float) -> None:
        """Let a task of `group`, which will run for `seconds`, wait for `option`."""
        lane = self._lanes.get((group.number, option)) or self._open_lane(group, option)
        lane.line.ahead += lane.share
        lane.line.work += lane.share * seconds

    def _open_lane(self, group: Group, option: int) -> _Lane:
        pool, shape = group.options[option].pool, group.shape
        line = self._lines.get(pool.name) or self._open_line(pool)
        devices = shape.devices * shape.share_milli
        share = shape.size * share_of_class(shape.cpu_milli, shape.memory_bytes, devices, line.size)
        lane = _Lane(line, share, self._opening(group, option))
        self._lanes[group.number, option] = lane
        return lane

    def _open_line(self, pool: Pool) -> _Line:
        fleet, free, holdings = self._occupancy.fleet, self._occupancy.free, self._occupancy.holdings()
        line = _Line(fleet.class_size(pool.classes[0]), releases_of(fleet, free, holdings, pool.name))
        self._lines[pool.name] = line
        return line

    def _opening(self, group: Group, option: int) -> float:
        if len(group.options) == 1 or self._openings >= OPENINGS_MAX:
            return 0.0
        self._openings += 1
        self._timeline = self._timeline or self._occupancy.timeline()
        opening = self._timeline.opening(group.shape, group.options[option].pool)
        return math.inf if opening is None else opening.seconds
