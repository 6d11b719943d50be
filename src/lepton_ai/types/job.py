"""A job: work that ends. One gang of replicas, or an array of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints, field_validator, model_validator

from lepton_ai.types.base import Model, Name, Object, ObjectStatus, form
from lepton_ai.types.checkpoint import DIRECTORY_VARIABLE, Checkpoint, CheckpointPolicy
from lepton_ai.types.gang import whole_gang
from lepton_ai.types.quantity import Due, Duration
from lepton_ai.types.resources import Resources
from lepton_ai.types.task import DEFAULT_GRACE, GANG_MAX, ExitKind, Money, Preemptible, Replica

ARRAY_MAX = 10_000  # each index is a task of its own in the queue
COMMAND_WORDS_MAX = 4096
AFTER_MAX = 256
RETRIES_MAX = 100

Word = Annotated[str, StringConstraints(max_length=131_072)]  # Linux takes no longer argument (MAX_ARG_STRLEN)
EnvName = Annotated[
    str, form(r"[A-Za-z_][A-Za-z0-9_]{0,127}", "a variable's name: letters, digits and _, no digit first, at most 128")
]
Digest = Annotated[str, form(r"(sha256:[0-9a-f]{64})?", "a digest: sha256: and 64 hexadecimal digits")]


_INTERPRETERS = ("python", "bash", "sh", "node", "torchrun", "uv")  # the program proper is their first argument


class JobState(StrEnum):
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


_ENDS = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED})
MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.STARTING, JobState.RUNNING, JobState.STOPPING}) | _ENDS,
    JobState.STARTING: frozenset({JobState.QUEUED, JobState.RUNNING, JobState.STOPPING}) | _ENDS,
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.STARTING, JobState.STOPPING}) | _ENDS,
    JobState.STOPPING: _ENDS,
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.STOPPED: frozenset(),
}


class Retries(Model):
    """How often each class of failure is tried again. `exit_codes` narrows `failed` to these codes."""

    failed: Annotated[int, Field(ge=0, le=RETRIES_MAX)] = 0
    exit_codes: tuple[int, ...] = ()
    out_of_memory: Annotated[int, Field(ge=0, le=RETRIES_MAX)] = 0
    lost_node: Annotated[int, Field(ge=0, le=RETRIES_MAX)] = 3

    def allowed(self, kind: ExitKind, exit_code: int) -> int:
        """Return how many times an end of this kind may be tried again."""
        if kind is ExitKind.LOST:
            return self.lost_node
        if kind is ExitKind.OUT_OF_MEMORY:
            return self.out_of_memory
        if kind in {ExitKind.FAILED, ExitKind.SIGNALED} and (not self.exit_codes or exit_code in self.exit_codes):
            return self.failed
        return 0


class JobSpec(Model):
    """What to run, with what, when, and what to do when it fails. Either `command` or `function` is set."""

    command: Annotated[tuple[Word, ...], Field(max_length=COMMAND_WORDS_MAX)] = ()
    function: Digest = ""  # a pickled call in the blob store; its returned value is the job's result
    env: Mapping[EnvName, Word] = {}
    secrets: Mapping[EnvName, Name] = {}  # environment variable -> name of a secret
    bundle: Digest = ""  # the working directory
    requirements: Annotated[tuple[Word, ...], Field(max_length=1000)] = ()
    resources: Resources = Resources()
    replicas: Annotated[int, Field(ge=1, le=GANG_MAX)] = 1  # with `nodes`: of all of them together
    nodes: Annotated[int, Field(ge=0, le=GANG_MAX)] = (
        0  # so many, each with as many replicas; 0: wherever there is room
    )
    replicas_per_node: Annotated[int, Field(ge=0, le=GANG_MAX)] = 0  # 0 without `nodes`
    array: Annotated[int, Field(ge=0, le=ARRAY_MAX)] = 0  # 0: no array
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    expected_duration: Duration | None = None
    preemptible: Preemptible | None = None  # it may be stopped to make room for others, and goes back to the queue
    due: Due | None = None  # by when it should have ended: a moment, or so long after its submission
    max_cost: Money | None = None  # of each task, all its attempts together, at the nodes' prices
    checkpoint: CheckpointPolicy | None = None  # versions of it are kept, and a later attempt goes on from the last
    retries: Retries = Retries()
    timeout: Duration | None = None
    grace: Duration = DEFAULT_GRACE
    after: Annotated[tuple[Name, ...], Field(max_length=AFTER_MAX)] = ()
    stop_requested: bool = False

    @field_validator("checkpoint", mode="before")
    @classmethod
    def _folder_alone(cls, value: Any) -> Any:
        return {"folder": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _count_replicas(cls, value: Any) -> Any:
        return whole_gang(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_program(self) -> JobSpec:
        if bool(self.command) == bool(self.function):
            raise ValueError("give either a command or a function")
        if self.command and not self.command[0].strip():
            raise ValueError("the command is empty")
        if any("\0" in word for word in (*self.command, *self.env.values())):
            raise ValueError("a command or environment value may not hold a NUL byte")
        if self.timeout == timedelta(0):
            raise ValueError("a time-out of 0 would end the job before it starts")
        if self.checkpoint is not None and DIRECTORY_VARIABLE in self.env:
            raise ValueError(f"{DIRECTORY_VARIABLE} is set by the platform; the folder is what `checkpoint` says")
        return self


class ArrayCounts(Model):
    """How many of a job's tasks are where."""

    waiting: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    stopped: int = 0


class JobStatus(ObjectStatus):
    state: JobState = JobState.QUEUED
    submitted_at: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    exit_code: int | None = None  # None until the job ended; 128 + n for signal n, as a shell has it
    exit_kind: ExitKind | None = None
    attempt: int = 0  # the newest attempt, from 1; 0 before the first
    tasks: ArrayCounts = ArrayCounts()
    replicas: tuple[Replica, ...] = ()  # of the newest attempt; of the first failed or first task of an array
    limits: str = ""
    peak_memory_bytes: int = 0
    cpu_seconds: float = 0.0
    checkpoint: Checkpoint | None = None  # the last one saved; of an array, of the task whose story this is
    resumed_from: Checkpoint | None = None  # by the newest attempt


class Job(Object[JobSpec, JobStatus]):
    KIND: ClassVar[str] = "job"
    PLURAL: ClassVar[str] = "jobs"

    kind: Literal["job"] = "job"
    status: JobStatus = JobStatus()

    def is_final(self) -> bool:
        """Tell whether it has ended. One that is to be deleted is not through before its checkpoints are gone, too."""
        is_to_go = self.spec.checkpoint is not None and self.metadata.deletion_requested_at is not None
        return not MOVES[self.status.state] and not is_to_go

    def task_kind(self) -> str:
        """Return what the estimates learn by: who runs which program, on how many replicas; arguments vary too much."""
        words = self.spec.command
        first = words[0].rsplit("/", maxsplit=1)[-1] if words else ""
        if not words:
            program = f"function:{self.metadata.labels.get('function', '')}"
        elif first.startswith(_INTERPRETERS):
            script = next((word for word in words[1:] if not word.startswith("-")), "")
            program = f"{first} {script[:80]}"
        else:
            program = first[:80]
        return f"{self.metadata.created_by}/{program}/{self.spec.replicas}"
