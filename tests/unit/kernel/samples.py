"""Objects for the tests of the kernel and of the services: small, valid, and no more said than the test is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from lepton_ai.testing.fakes import START
from lepton_ai.types.base import Metadata
from lepton_ai.types.resources import Allocation
from lepton_ai.types.task import (
    ExitKind,
    Program,
    Replica,
    ReplicaExit,
    ReplicaState,
    Task,
    TaskSpec,
    TaskState,
    TaskStatus,
)

NOW = START
NODE = "node-1"


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def allocation(rank: int = 0, node: str = NODE) -> Allocation:
    return Allocation(rank, node, 1000, 10**9, "cpu-avx2")


def task(
    name: str = "task-1", state: TaskState = TaskState.WAITING, *, status: Mapping[str, Any] | None = None, **spec: Any
) -> Task:
    """Return a task of `spec`; one that is not waiting holds its allocations on one node."""
    wanted = {
        "owner_kind": "job",
        "owner_name": "train",
        "task_kind": "ada/train.py",
        "program": Program(command=("true",)),
        **spec,
    }
    size = wanted.get("size", 1)
    held = () if state is TaskState.WAITING else tuple(allocation(rank) for rank in range(size))
    return Task(
        metadata=Metadata(id=name, name=name, owner_id="job-1"),
        spec=TaskSpec(**wanted),
        status=TaskStatus(**{"state": state, "allocations": held, "submitted_at": NOW, **(status or {})}),
    )


def runs(rank: int = 0, *, node: str = NODE, started: float = 0) -> Replica:
    return Replica(rank=rank, node=node, state=ReplicaState.RUNNING, started_at=later(started))


def prepares(rank: int = 0, sentence: str = "Builds its environment.") -> Replica:
    return Replica(rank=rank, node=NODE, state=ReplicaState.PREPARING, sentence=sentence)


def ended(
    rank: int = 0, kind: ExitKind = ExitKind.SUCCEEDED, *, at: float = 5, code: int = -1, signal: int = 0
) -> Replica:
    exit_code = {ExitKind.SUCCEEDED: 0, ExitKind.FAILED: 1}.get(kind, -1) if code < 0 else code
    return runs(rank).replace(
        state=ReplicaState.EXITED,
        finished_at=later(at),
        exit=ReplicaExit(kind=kind, exit_code=exit_code, signal=signal, cpu_seconds=1.5, peak_memory_bytes=1000),
    )


def seen(of: Task, *replicas: Replica) -> Mapping[str, Replica]:
    """Return what a runtime tells that sees these replicas of the task."""
    return {of.replica_id(replica.rank): replica for replica in replicas}


def finished(name: str = "task-1", outcome: ExitKind = ExitKind.SUCCEEDED, *, at: float = 5, **spec: Any) -> Task:
    """Return a task that ended `at` seconds from the start."""
    status = {
        "outcome": outcome,
        "started_at": NOW,
        "finished_at": later(at),
        "replicas": tuple(ended(rank, outcome, at=at) for rank in range(spec.get("size", 1))),
    }
    return task(name, TaskState.FINISHED, status=status, **spec)
