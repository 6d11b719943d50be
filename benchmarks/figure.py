"""A figure: one measured number beside its goal, and the report that a benchmark makes of its figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Goal(StrEnum):
    """On which side of its goal a figure should be."""

    AT_MOST = "<="
    AT_LEAST = ">="
    NONE = ""  # told for comparison alone


class Figure(BaseModel):
    """One number with its unit. `spread` holds the lowest and the highest of the samples, if there are several."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    unit: str
    goal: Goal = Goal.NONE
    bound: float = 0.0
    spread: tuple[float, float] | None = None
    samples: int = 1

    @property
    def is_met(self) -> bool:
        if self.goal is Goal.AT_MOST:
            return self.value <= self.bound
        return self.goal is Goal.NONE or self.value >= self.bound

    def row(self) -> tuple[str, str, str, str, str]:
        """Return what a table shows of it: name, value, spread, goal, verdict."""
        spread = ""
        if self.spread:
            spread = f"{_shown(self.spread[0])} to {_shown(self.spread[1])}, n={self.samples}"
        goal = f"{self.goal} {_shown(self.bound)} {self.unit}".rstrip() if self.goal else ""
        verdict = ("met" if self.is_met else "MISSED") if self.goal else ""
        return self.name, f"{_shown(self.value)} {self.unit}".rstrip(), spread, goal, verdict


class Report(BaseModel):
    """What one benchmark found: its figures, and notes that a reader needs to judge them."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    figures: Sequence[Figure]
    notes: Sequence[str] = ()
    date: str = ""
    machine: str = ""


def at_most(name: str, samples: Sequence[float], bound: float, unit: str) -> Figure:
    """Return the median of `samples`, which should not exceed `bound`."""
    return _median(name, samples, unit).model_copy(update={"goal": Goal.AT_MOST, "bound": bound})


def at_least(name: str, samples: Sequence[float], bound: float, unit: str) -> Figure:
    """Return the median of `samples`, which should reach `bound`."""
    return _median(name, samples, unit).model_copy(update={"goal": Goal.AT_LEAST, "bound": bound})


def told(name: str, samples: Sequence[float], unit: str) -> Figure:
    """Return the median of `samples`, which has no goal."""
    return _median(name, samples, unit)


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that at least `percent` of all do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * percent // 100).__trunc__() - 1)]


def _median(name: str, samples: Sequence[float], unit: str) -> Figure:
    spread = (min(samples), max(samples)) if len(samples) > 1 else None
    return Figure(name=name, value=statistics.median(samples), unit=unit, spread=spread, samples=len(samples))


def _shown(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
