"""How long tasks of one kind took, per resource class: what the scheduler learns by."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lepton_ai.types.base import Model, Object, ObjectStatus


class EstimateSpec(Model):
    """The key: what was run and on which class of resource ("" stands for any).

    `unit` is empty for whole runs; what `lepton profile` measured has its own: "step" or "run".
    """

    task_kind: str
    resource_class: str
    unit: str = ""


class EstimateStatus(ObjectStatus):
    """Running statistics of the logarithm of the seconds that it took, and how many runs ended in which bin of lengths.

    Records from before there were bins have none; what they say is then read from the statistics.
    """

    count: float = 0.0
    mean_log: float = 0.0
    variance_log: float = 0.0
    ended: tuple[tuple[Annotated[int, Field(ge=0)], float], ...] = ()


class EstimateRecord(Object[EstimateSpec, EstimateStatus]):
    KIND: ClassVar[str] = "estimate"
    PLURAL: ClassVar[str] = "estimates"

    kind: Literal["estimate"] = "estimate"
    status: EstimateStatus = EstimateStatus()
