"""A task: any work as the kernel sees it. A gang of equal replicas that start together or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, field_validator

from lepton_ai.types.base import Model, Object, ObjectStatus
from lepton_ai.types.checkpoint import Checkpoint, CheckpointPolicy
from lepton_ai.types.quantity import Duration
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI, Allocation, Resources
from lepton_ai.types.share import Spent

GANG_MAX = 4096
HOUR_SECONDS = 3600.0
DEFAULT_GRACE = timedelta(seconds=10)
Money = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]  # in whatever the nodes' prices are in
DEFAULT_RESTART, RESTART_MIN = timedelta(minutes=1), timedelta(seconds=1)


class TaskState(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"


MOVES: Mapping[TaskState, frozenset[TaskState]] = {
    TaskState.WAITING: frozenset({TaskState.STARTING, TaskState.FINISHED}),
    TaskState.STARTING: frozenset({TaskState.RUNNING, TaskState.STOPPING, TaskState.FINISHED}),
    TaskState.RUNNING: frozenset({TaskState.STOPPING, TaskState.FINISHED}),
    TaskState.STOPPING: frozenset({TaskState.FINISHED}),
    TaskState.FINISHED: frozenset(),
}


class ReplicaState(StrEnum):
    PREPARING = "preparing"  # bundle or virtual environment not there yet
    RUNNING = "running"
    EXITED = "exited"


class ExitKind(StrEnum):
    """Why a replica ended. The classes that retries are counted by."""

    SUCCEEDED = "succeeded"  # exit code 0
    FAILED = "failed"  # any other exit code
    SIGNALED = "signaled"  # killed by a signal that we did not send
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    STOPPED = "stopped"  # we were asked to stop it
    PREEMPTED = "preempted"  # it made room for another and goes on later
    COST_LIMIT = "cost_limit"  # it had used up what it may cost
    LOST = "lost"  # node or supervisor gone: nobody knows how it ended
    NOT_STARTED = "not_started"  # bundle, environment or executable could not be had


class ReplicaExit(Model):
    """How one replica ended, with what it used."""

    kind: ExitKind
    exit_code: int = -1
    signal: int = 0
    sentence: str = ""
    peak_memory_bytes: int = 0
    cpu_seconds: float = 0.0


class Replica(Model):
    """One process of a task, as the runtime last saw it."""

    rank: int
    node: str
    state: ReplicaState = ReplicaState.PREPARING
    sentence: str = ""
    limits: str = ""
    port: int = 0
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    exit: ReplicaExit | None = None


class Program(Model):
    """What every replica of a task runs. Secrets are named here and resolved only when the replica starts."""

    command: tuple[str, ...]
    env: Mapping[str, str] = {}
    secrets: Mapping[str, str] = {}  # environment variable -> secret name
    bundle: str = ""  # digest of the working directory; empty starts in an empty folder
    call: str = ""  # digest of a pickled call, laid beside the working directory for the function runner
    requirements: tuple[str, ...] = ()
    timeout: Duration | None = None
    grace: Duration = DEFAULT_GRACE
    checkpoint: CheckpointPolicy | None = None
    needs_port: bool = False  # the runtime picks a free port on the node and sets PORT


class Preemptible(Model):
    """What it costs to stop the work and start it again later; work without this is never preempted.

    If it `resumes` from a checkpoint of its own, that takes `restart`; otherwise it begins anew.
    """

    resumes: bool = False
    restart: Duration = DEFAULT_RESTART

    @field_validator("restart")
    @classmethod
    def _not_for_nothing(cls, restart: timedelta) -> timedelta:
        if restart < RESTART_MIN:
            raise ValueError(f"a restart takes {RESTART_MIN.total_seconds():g} s at least")
        return restart


class TaskSpec(Model):
    """What the service that owns the task wants of it."""

    owner_kind: str
    owner_name: str
    index: int = 0  # which of the owner's tasks: a job's array index, an endpoint's slot
    attempt: int = 1
    template: str = ""  # digest of what the owner wanted when it made this task; a rolling update compares it
    task_kind: str  # what the estimates learn by, such as "ada/train.py"
    program: Program
    resources: Resources = Resources()
    size: Annotated[int, Field(ge=1, le=GANG_MAX)] = 1
    per_node: Annotated[int, Field(ge=0, le=GANG_MAX)] = 0  # exactly so many replicas on each node; 0: as they fit
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    expected_duration: Duration | None = None
    preemptible: Preemptible | None = None
    done: Duration = timedelta(0)  # how long earlier attempts ran from which it resumes
    resumes_from: Checkpoint | None = None  # what lies in its checkpoint folder when it starts
    max_cost: Money | None = None  # of all attempts together
    earlier_cost: float = 0.0  # of those before this one
    due_at: AwareDatetime | None = None
    is_first: bool = False  # of a service that has none: it weighs more than further ones
    is_service: bool = False  # runs until stopped, so its duration says nothing
    drain_requested_at: AwareDatetime | None = None  # gets no new requests; stopped once it has none in flight
    stop_requested: bool = False
    stop_reason: str = ""


class TaskStatus(ObjectStatus):
    state: TaskState = TaskState.WAITING
    allocations: tuple[Allocation, ...] = ()
    replicas: tuple[Replica, ...] = ()
    submitted_at: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    expected_seconds: float = 0.0  # the estimate that the placement was decided with
    placement: str = ""  # why here, in words
    terms: Mapping[str, float] = {}  # the numbers that reproduce the placement
    master_address: str = ""
    master_port: int = 0
    has_claim: bool = False  # others were stopped to make room for it
    leave_by: AwareDatetime | None = None  # a node of it is drained: another stands in for it, or it is stopped then
    outcome: ExitKind | None = None
    checkpoint: Checkpoint | None = None  # the last one that this attempt saved
    saving_until: AwareDatetime | None = None  # it has ended, and waits no longer than that for its last checkpoint
    price_per_hour: float = 0.0  # of what it holds, by its nodes' prices when it was placed


class Task(Object[TaskSpec, TaskStatus]):
    KIND: ClassVar[str] = "task"
    PLURAL: ClassVar[str] = "tasks"

    kind: Literal["task"] = "task"
    status: TaskStatus = TaskStatus()

    def is_final(self) -> bool:
        return self.status.state is TaskState.FINISHED

    def spent(self, until: datetime) -> Spent:
        """Return what the task has used up from its first start to its end, or `until` while it runs."""
        status = self.status
        if status.started_at is None:
            return Spent()
        seconds = max(((status.finished_at or until) - status.started_at).total_seconds(), 0.0)
        devices = sum(device.share_milli for held in status.allocations for device in held.devices)
        return Spent(
            device_seconds=devices / WHOLE_DEVICE_MILLI * seconds, money=status.price_per_hour * seconds / HOUR_SECONDS
        )

    def replica_id(self, rank: int) -> str:
        """Return the id under which the runtime knows one process of this task."""
        return f"{self.id}-{rank}"
