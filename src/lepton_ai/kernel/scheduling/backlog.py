"""How long the queue already is for each class of resource: what a task must expect to wait for it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lepton_ai.kernel.scheduling.groups import Choice, Group
from lepton_ai.kernel.scheduling.occupancy import Ahead, Occupancy
from lepton_ai.kernel.scheduling.timeline import Releases, Timeline, releases_of
from lepton_ai.kernel.scheduling.waiting import Ranking, Waiting

OPENINGS_MAX = 128  # 128 x 0.3 ms = 40 ms; the fluid estimate alone has to do for further shapes
Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class _Line:
    """Those who would rather have one class than any other: from the head, and summed up."""

    releases: Releases
    keys: list[float]  # ascending
    shares: list[float]  # of the class, of all from the head down to here; one more than keys
    work: list[float]  # the same in share-seconds
    gone_share: float = 0.0  # of those that have started in this walk
    gone_work: float = 0.0


class Backlog:
    """Shares of each class that waiting tasks ahead will take, set against what is expected to be released.

    A fluid estimate (shares, not nodes): it decides between waiting for a fast class and starting on a slow one, and
    says when a task deep in the queue may start. Where there is a choice it is never earlier than the moment at which
    the nodes really have room. Reservations are exact instead.
    """

    def __init__(self, waiting: Waiting, ranking: Ranking, occupancy: Occupancy, ahead: Ahead) -> None:
        self._waiting, self._ranking, self._fleet = waiting, ranking, occupancy.fleet
        # As the walk found it: what an estimate says must not depend on who else was asked, and when.
        self._free, self._holdings = occupancy.free.copy(), ahead.holdings()
        self._lines: dict[int, _Line] = {}
        self._openings: dict[tuple[int, int], float] = {}
        self._decided: set[tuple[int, int]] = set()  # the openings by which somebody declined a start
        self._timeline: Timeline | None = None
        self._started: list[int] = []
        self._keys: list[float] = ranking.key.tolist()

    def earliest(self, row: int, group: Group, choices: Sequence[Choice], *, decides: bool) -> tuple[Choice, float]:
        """Return the choice on which the task of `row` ends first, and after what delay it would start there.

        `decides` tells that a start depends on the answer, not only a sentence.
        """
        best, least, end = choices[0], math.inf, math.inf
        key, is_alone = self._keys[row], len(group.options) == 1
        for choice in choices:
            code, share = group.lines[choice[1]]
            line = self._lines.get(code) or self._open(code)
            at = bisect_right(line.keys, key)
            ahead, work = line.shares[at] - line.gone_share, line.work[at] - line.gone_work
            fluid = line.releases.delay(ahead + share, work / ahead if ahead > 0 else 0.0)
            delay = fluid if is_alone else max(fluid, self._opening(group, choice[1], decides=decides))
            if delay + choice[0] < end:
                best, least, end = choice, delay, delay + choice[0]
        return best, least

    def start(self, row: int) -> None:
        """Take note that the task of `row` stands in no line any more."""
        self._started.append(row)
        code, share, work = self._waiting.place_in_line(row)
        line = self._lines.get(code)
        if line is not None:
            line.gone_share += share
            line.gone_work += work

    def _open(self, code: int) -> _Line:
        rows, shares, work = self._waiting.line(code)
        by = np.argsort(self._ranking.key[rows], kind="stable")
        line = self._lines[code] = _Line(
            releases_of(self._fleet, self._free, self._holdings, self._fleet.class_names[code]),
            self._ranking.key[rows][by].tolist(),
            _from_the_head(shares[by]),
            _from_the_head(work[by]),
        )
        for row in self._started:
            stood, share, seconds = self._waiting.place_in_line(row)
            if stood == code:
                line.gone_share += share
                line.gone_work += seconds
        return line

    def _opening(self, group: Group, option: int, *, decides: bool) -> float:
        key = group.number, option
        if decides and key not in self._decided:
            if len(self._decided) >= OPENINGS_MAX:
                return 0.0
            self._decided.add(key)
        known = self._openings.get(key)
        if known is not None:
            return known
        if not decides and len(self._openings) >= OPENINGS_MAX:
            return 0.0
        self._timeline = self._timeline or Timeline(self._free, self._holdings)
        opening = self._timeline.opening(group.shape, group.options[option].pool)
        seconds = self._openings[key] = math.inf if opening is None else opening.seconds
        return seconds


def _from_the_head(amounts: Floats) -> list[float]:
    """Return how much stands at each place and ahead of it, for amounts that begin at the tail; 0 beyond the head."""
    return [*np.cumsum(amounts[::-1])[::-1].tolist(), 0.0]
