"""Why a task runs where it runs, or why it waits: the answer of `lepton explain`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import AwareDatetime, Field

from lepton_ai.types.base import Model, Reason


class Standing(StrEnum):
    """Where a task stands with the scheduler."""

    WAITING = "waiting"
    STARTING = "starting"  # placed by this very plan
    RUNNING = "running"
    ENDED = "ended"


class NodeVerdict(Model):
    """One node as the scheduler sees it for this task; `replicas` is how many of the gang have room there now."""

    node: str
    replicas: int
    sentence: str


class CountedReason(Model):
    """So many nodes of the class cannot take even one replica now, for this reason (device, cpu, memory)."""

    lack: str
    nodes: int


class Candidate(Model):
    """One class of resource that could run the task. `cost` is the mean of the seconds x share: the least is best.

    `earliest_start` is when the class has room if nothing else in the queue goes first; None: nobody knows.
    """

    resource_class: str
    expected_seconds: float
    expected_seconds_p80: float
    source: str  # "stated", "measured", "inferred" or "guessed"
    share: float
    cost: float
    nodes: int
    nodes_with_room: int
    has_room: bool  # for the whole gang
    takes_device_room: bool = False  # CPU work on nodes with accelerators, the last resort
    lacks: tuple[CountedReason, ...] = ()
    best_nodes: tuple[NodeVerdict, ...] = ()
    earliest_start: AwareDatetime | None = None


class Explanation(Model):
    """Everything that decided about one task. `terms` are the few numbers that reproduce its place in the queue."""

    task_id: str  # "" while its owner has made none, since it waits for others or sleeps
    name: str = ""
    standing: Standing
    reason: Reason
    rank: int = 0  # place in the queue, from 1; 0 for a task that runs
    queue_length: int = 0
    nodes: tuple[str, ...] = ()  # where it runs or starts
    resource_class: str = ""
    expected_start: AwareDatetime | None = None
    expected_start_early: AwareDatetime | None = None
    expected_start_late: AwareDatetime | None = None
    expected_end: AwareDatetime | None = None
    candidates: tuple[Candidate, ...] = ()
    excluded: tuple[CountedReason, ...] = ()  # nodes that are no candidates at all
    terms: Mapping[str, float] = Field(default_factory=dict)
