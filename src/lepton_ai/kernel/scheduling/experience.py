"""What finished and running tasks teach about the next ones: one value per key, asked for any task at any moment.

It is told what began and what ended, by times that its caller gives, and keeps no clock and no store of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from lepton_ai.kernel.scheduling.life_table import (
    BINS,
    SECONDS_MAX,
    SECONDS_MIN,
    Floats,
    Forecast,
    Level,
    Lives,
    alive,
    forecast,
    guess,
    learn,
    particular,
    shifted,
)
from lepton_ai.kernel.scheduling.snapshot import Expectation
from lepton_ai.kernel.scheduling.speeds import GUESSED, INFERRED, MEASURED, Speed, Speeds
from lepton_ai.kernel.scheduling.statement import Z80, Honesty, believe, check, still_to_come

ALIVE_SECONDS = 300.0  # how old the ages of running tasks may be: 10,000 of them cost 1 ms to read
REMEMBERED = 200  # runs, as FORGETTING has it
OWN_STALE, OTHERS_STALE = 0.05, 0.25  # shares of those that may be new before hazards are reckoned again
FORECASTS_MAX = 10_000  # of 0.7 kB each with its hazards
TRUSTED = 0.5  # a statement that makes up so much of an expectation is named as its source
NONE_ALIVE = np.zeros(BINS)
TRANSFERRED = ">"  # before a class: runs on all classes, as they would have been on this one

Key = tuple[str, str]  # what was run, and on which class of resource ("": on any)


@dataclass(frozen=True, slots=True)
class Course:
    """What a task is known by: `wider` keys from the general to the particular, its own kind, and a stated length."""

    kind: str
    wider: tuple[str, ...] = ()
    stated_seconds: float = 0.0  # 0: not stated

    def keys(self, resource_class: str) -> tuple[Key, ...]:
        """Return all keys from the general to the particular; the last is that of its kind on the class."""
        own = ((self.kind, ""), (self.kind, resource_class)) if resource_class else ((self.kind, ""),)
        return (*((name, "") for name in self.wider), *own)


@dataclass(frozen=True, slots=True)
class _Running:
    course: Course
    resource_class: str
    since: float


class Experience:
    """Life tables by key, who runs now, and how honest statements were."""

    def __init__(self, lives: Mapping[Key, Lives] | None = None, honesty: Honesty = Honesty()) -> None:  # noqa: B008
        self.lives = dict(lives or {})
        self.honesty = honesty
        self._running: dict[str, _Running] = {}
        self._since: dict[Key, dict[str, float]] = {}
        self._alive: dict[Key, tuple[float, Floats]] = {}
        self._changes: dict[Key, int] = {}
        self._hazards: dict[tuple[Key, ...], tuple[tuple[int, ...], float, Floats]] = {}
        self._forecasts: dict[int, tuple[Floats, Forecast]] = {}
        self._guess = guess()
        self._classes: dict[str, set[str]] = {}
        self.speeds = Speeds()
        self.fleet: tuple[str, ...] = ()  # the classes that there are now
        self._index()

    def replace(self, lives: Mapping[Key, Lives], honesty: Honesty) -> None:
        """Hold these tables from now on; who runs stays known."""
        self.lives, self.honesty = dict(lives), honesty
        self.speeds = Speeds()
        self._hazards.clear()
        self._index()

    def _index(self) -> None:
        self._classes.clear()
        for kind, name in self.lives:
            if name:
                self._classes.setdefault(kind, set()).add(name)

    def began(self, task_id: str, course: Course, resource_class: str, since: float) -> None:
        """Take note that a task runs. Times are seconds on any one scale; saying it again changes nothing."""
        if task_id in self._running:
            return
        self._running[task_id] = _Running(course, resource_class, since)
        for key in course.keys(resource_class):
            self._since.setdefault(key, {})[task_id] = since

    def ended(self, task_id: str) -> None:
        """Take note that a task runs no longer."""
        found = self._running.pop(task_id, None)
        if found is None:
            return
        for key in found.course.keys(found.resource_class):
            those = self._since[key]
            del those[task_id]
            if not those:
                del self._since[key]

    def learn(self, course: Course, resource_class: str, seconds: float) -> tuple[Key, ...]:
        """Learn from a task that took `seconds`; returns the keys whose tables changed."""
        touched = course.keys(resource_class)
        for key in touched:
            self.lives[key] = learn(self.lives.get(key), seconds)
            self._changes[key] = self._changes.get(key, 0) + 1
        if resource_class:
            self._classes.setdefault(course.kind, set()).add(resource_class)
        if course.stated_seconds > 0:
            self.honesty = check(self.honesty, course.stated_seconds * self._factor(course, resource_class)[0], seconds)
        return touched

    def expect(self, course: Course, resource_class: str, now: float, elapsed: float = 0.0) -> Expectation:
        """Return what is still to come of a task that has run for `elapsed` seconds on that class ("": on any)."""
        hazard = self._hazard(self._chain(course, resource_class), now)
        source = self._source(course, resource_class)
        # What is known of no class in particular holds for the middle of the classes that there are.
        factor, sigma = self._factor(course, resource_class)
        is_general = source == GUESSED
        scale = factor if is_general else 1.0
        if course.stated_seconds >= SECONDS_MIN:  # NaN is not
            stated = min(course.stated_seconds, SECONDS_MAX) * (factor / scale)
            belief = believe(hazard, stated, self.honesty)
            source = "stated" if belief.trust >= TRUSTED else source
            found = still_to_come(belief, elapsed / scale)
        else:
            found = self._forecast(hazard, elapsed / scale)
        mean, median, p80 = widened(found, scale, sigma if is_general else 0.0)
        return Expectation(median, p80, source, mean)

    def classes_of(self, kind: str) -> tuple[str, ...]:
        """Return the classes on which that kind has run."""
        return tuple(sorted(self._classes.get(kind, ())))

    def table(self, course: Course, classes: Iterable[str]) -> Mapping[str, Speed]:
        """Return how fast such a task is on each of `classes`."""
        return self.speeds.table(course.kind, {*classes})

    def _forecast(self, hazard: Floats, elapsed: float) -> Forecast:
        """Return the forecast; that of tasks that wait is kept for as long as their hazards are."""
        if elapsed > 0:
            return forecast(hazard, elapsed)
        known = self._forecasts.get(id(hazard))
        if known is None or known[0] is not hazard:
            if len(self._forecasts) > FORECASTS_MAX:
                self._forecasts.clear()
            known = self._forecasts[id(hazard)] = hazard, forecast(hazard)
        return known[1]

    def _factor(self, course: Course, resource_class: str) -> tuple[float, float]:
        """Return how much longer than on the middle of its like such a task takes on one class, and the log-spread."""
        alike = [name for name in self.fleet if name.startswith("cpu") == resource_class.startswith("cpu")]
        if not resource_class or not {*alike} - {resource_class}:
            return 1.0, 0.0
        table = self.table(course, {*alike, resource_class})
        middle = sum(table[name].log_time for name in alike) / len(alike)
        own = table[resource_class]
        return math.exp(own.log_time - middle), own.sigma

    def _source(self, course: Course, resource_class: str) -> str:
        if resource_class and (course.kind, resource_class) in self.lives:
            return MEASURED
        return INFERRED if (course.kind, "") in self.lives else GUESSED

    def _chain(self, course: Course, resource_class: str) -> tuple[Key, ...]:
        """Return the keys to ask: what a kind did on other classes stands for this one by what they differ."""
        keys = course.keys(resource_class)
        classes = self._classes.get(course.kind)
        if not resource_class or not classes:
            return keys
        if len(classes) == 1 and resource_class in classes:
            return keys[:-1]  # all its runs were on this class, so that both tables are one
        return (*keys[:-2], (course.kind, TRANSFERRED + resource_class), keys[-1])

    def _hazard(self, keys: tuple[Key, ...], now: float) -> Floats:
        if not keys:
            return self._guess
        changes = tuple([self._changes.get(_stored(key), 0) for key in keys])
        known = self._hazards.get(keys)
        if known is not None and 0 <= now - known[1] < ALIVE_SECONDS and _is_fresh(known[0], changes):
            return known[2]
        belief = self._hazard(keys[:-1], now)
        level = self._level(keys[-1], now)
        hazard = belief if level is None else particular(belief, level)
        self._hazards[keys] = changes, now, hazard
        return hazard

    def _level(self, key: Key, now: float) -> Level | None:
        if key[1].startswith(TRANSFERRED):
            return self._transferred(key[0], key[1].removeprefix(TRANSFERRED))
        lives, running = self.lives.get(key), self._since.get(key)
        if lives is None and not running:
            return None
        ages = NONE_ALIVE
        if running:
            before = self._alive.get(key)
            if before is None or not 0 <= now - before[0] < ALIVE_SECONDS:
                before = self._alive[key] = now, alive(now - since for since in tuple(running.values()))
            ages = before[1]
        return Level((lives or Lives()).row(), ages)

    def _transferred(self, kind: str, resource_class: str) -> Level:
        """Return the runs of a kind on all classes as they would have been on one."""
        table = self.speeds.table(kind, self._classes[kind] | {resource_class})
        here, row = table[resource_class], np.zeros(BINS)
        for name in sorted(self._classes[kind]):
            there, runs = table[name], self.lives[kind, name].row()
            sigma = math.hypot(here.sigma, there.sigma) if name != resource_class else 0.0
            row += shifted(runs, here.log_time - there.log_time, sigma) if name != resource_class else runs
        return Level(row, NONE_ALIVE)


def widened(found: Forecast, factor: float, sigma: float) -> Forecast:
    """Return a forecast for where work takes `factor` times as long, with a log-normal spread of that factor."""
    if factor == 1.0 and not sigma:
        return found
    mean, median, p80 = (seconds * factor for seconds in found)
    own = math.log(max(p80 / median, 1.0)) / Z80
    p80 = median * math.exp(Z80 * math.hypot(own, sigma))
    low, high = SECONDS_MIN, SECONDS_MAX
    median = min(max(median, low), high)
    return Forecast(min(max(mean * math.exp(sigma**2 / 2), low), high), median, min(max(p80, median), high))


def _is_fresh(then: tuple[int, ...], now: tuple[int, ...]) -> bool:
    """Tell whether few runs were learnt since: of the last, most particular key 5 % of what counts, of others 25 %."""
    shares = [OTHERS_STALE] * (len(now) - 1) + [OWN_STALE]
    return all(b - a <= share * min(b, REMEMBERED) for a, b, share in zip(then, now, shares, strict=True))


def _stored(key: Key) -> Key:
    return (key[0], "") if key[1].startswith(TRANSFERRED) else key
