"""What the scheduler is told of a task's length: the truth, the truth with errors, or what was learnt so far."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from enum import StrEnum
from statistics import NormalDist
from typing import Protocol

from lepton_ai.kernel.scheduling.estimate import Estimate, learn, remaining
from lepton_ai.kernel.scheduling.experience import Course, Experience
from lepton_ai.kernel.scheduling.snapshot import Expectation
from lepton_ai.kernel.scheduling.statement import Z80
from lepton_ai.simulation.trace import TraceTask

ANY = ""  # stands for every class and every kind, as in the live estimates


class Lengths(StrEnum):
    """From what the scheduler estimates how long tasks take."""

    LEARNT = "learnt"  # as live: from those of its kind that ended before
    NOISY = "noisy"  # the real length, off by a factor that is drawn
    KNOWN = "known"  # the real length


class Told(Protocol):
    """What the scheduler is told. It never sees the length of a task that has not ended, but where it is known."""

    def expect(self, task: TraceTask, done: float) -> Mapping[str, Expectation]:
        """Return what to expect of a task of which `done` seconds are done, by resource class."""

    def learn(self, task: TraceTask, resource_class: str) -> None:
        """Take note that a task ended."""


class Known:
    """Tells real lengths."""

    def expect(self, task: TraceTask, done: float) -> Mapping[str, Expectation]:
        left = task.seconds - done
        return {ANY: Expectation(left, left, "stated")}

    def learn(self, task: TraceTask, resource_class: str) -> None:
        """Nothing to learn: all is known."""


class Noisy:
    """Tells real lengths times a log-normal factor of `sigma`, which follows from the task's id and the seed."""

    def __init__(self, sigma: float, seed: int = 0) -> None:
        self._sigma, self._seed = sigma, seed

    def expect(self, task: TraceTask, done: float) -> Mapping[str, Expectation]:
        drawn = (zlib.crc32(f"{self._seed}/{task.id}".encode()) + 0.5) / 2**32
        median = task.seconds * math.exp(self._sigma * NormalDist().inv_cdf(drawn))
        return {ANY: remaining(Expectation(median, median * math.exp(Z80 * self._sigma), "stated"), done)}

    def learn(self, task: TraceTask, resource_class: str) -> None:
        """Nothing to learn: the errors stay."""


class Learnt:
    """Tells what the live platform would have known then: its `Experience`, fed by each task that ends."""

    def __init__(self) -> None:
        self._known = Experience()
        self._runs: dict[tuple[str, str], Estimate] = {}

    def expect(self, task: TraceTask, done: float) -> Mapping[str, Expectation]:
        course = _course(task)
        classes = (ANY, *self._known.classes_of(course.kind))
        return {name: self._known.expect(course, name, now=0.0, elapsed=done) for name in classes}

    def learn(self, task: TraceTask, resource_class: str) -> None:
        if task.is_service:
            return
        course = _course(task)
        self._known.learn(course, resource_class if task.kind else ANY, task.seconds)
        if task.kind:
            key = task.kind, resource_class
            self._runs[key] = learn(self._runs.get(key), task.seconds)
            self._known.speeds.note((task.kind, ANY), resource_class, self._runs[key])


def _course(task: TraceTask) -> Course:
    """Return what a task is known by: its kind, those of its size, and all; without a kind, the last two."""
    size = f"*/{task.devices:g} devices"
    kind, wider = (task.kind, (ANY, size)) if task.kind else (size, (ANY,))
    return Course(kind, wider, max(task.stated_seconds, 0.0))


def told(lengths: Lengths, sigma: float, seed: int = 0) -> Told:
    """Return what tells lengths in that way; `sigma` and `seed` are for the noisy one alone."""
    if lengths is Lengths.KNOWN:
        return Known()
    return Noisy(sigma, seed) if lengths is Lengths.NOISY else Learnt()
