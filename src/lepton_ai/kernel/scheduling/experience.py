"""What finished and running tasks teach about the next ones: one value per key, asked for any task at any moment.

It is told what began and what ended, by times that its caller gives, and keeps no clock and no store of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lepton_ai.kernel.scheduling.life_table import (
    BINS,
    SECONDS_MAX,
    SECONDS_MIN,
    Floats,
    Level,
    Lives,
    alive,
    forecast,
    guess,
    learn,
    particular,
)
from lepton_ai.kernel.scheduling.snapshot import Expectation
from lepton_ai.kernel.scheduling.statement import Honesty, believe, check, still_to_come

ALIVE_SECONDS = 300.0  # how old the ages of running tasks may be: 10,000 of them cost 1 ms to read
TRUSTED = 0.5  # a statement that makes up so much of an expectation is named as its source
NONE_ALIVE = np.zeros(BINS)

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
        self._hazards: dict[tuple[Key, ...], tuple[int, float, Floats]] = {}
        self._guess = guess()

    def replace(self, lives: Mapping[Key, Lives], honesty: Honesty) -> None:
        """Hold these tables from now on; who runs stays known."""
        self.lives, self.honesty = dict(lives), honesty
        self._hazards.clear()

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
        if course.stated_seconds > 0:
            self.honesty = check(self.honesty, course.stated_seconds, seconds)
        return touched

    def expect(self, course: Course, resource_class: str, now: float, elapsed: float = 0.0) -> Expectation:
        """Return what is still to come of a task that has run for `elapsed` seconds on that class ("": on any)."""
        hazard = self._hazard(course.keys(resource_class), now)
        source = self._source(course, resource_class)
        if course.stated_seconds >= SECONDS_MIN:  # NaN is not
            belief = believe(hazard, min(course.stated_seconds, SECONDS_MAX), self.honesty)
            mean, median, p80 = still_to_come(belief, elapsed)
            return Expectation(median, p80, "stated" if belief.trust >= TRUSTED else source, mean)
        mean, median, p80 = forecast(hazard, elapsed)
        return Expectation(median, p80, source, mean)

    def classes_of(self, kind: str) -> tuple[str, ...]:
        """Return the classes on which that kind has run."""
        return tuple(sorted(name for known, name in self.lives if known == kind and name))

    def _source(self, course: Course, resource_class: str) -> str:
        if resource_class and (course.kind, resource_class) in self.lives:
            return "measured"
        return "inferred" if (course.kind, "") in self.lives else "guessed"

    def _hazard(self, keys: tuple[Key, ...], now: float) -> Floats:
        if not keys:
            return self._guess
        changes = sum(self._changes.get(key, 0) for key in keys)
        known = self._hazards.get(keys)
        if known is not None and known[0] == changes and 0 <= now - known[1] < ALIVE_SECONDS:
            return known[2]
        belief = self._hazard(keys[:-1], now)
        level = self._level(keys[-1], now)
        hazard = belief if level is None else particular(belief, level)
        self._hazards[keys] = changes, now, hazard
        return hazard

    def _level(self, key: Key, now: float) -> Level | None:
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
