"""What the scheduler would allocate to a task that nobody submitted yet."""

from __future__ import annotations

from pydantic import AwareDatetime

from lepton_ai.types.base import Model
from lepton_ai.types.resources import Allocation


class AllocationPlan(Model):
    """A dry run: nothing is held. Without allocations the task would wait, until `expected_start` if anybody knows."""

    resource_class: str
    allocations: tuple[Allocation, ...] = ()
    sentence: str = ""
    expected_start: AwareDatetime | None = None

    def __str__(self) -> str:
        return self.sentence
