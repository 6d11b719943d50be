"""What each state, end and setting means, in a line for the tables in docs/. A new one without a line here fails."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from lepton_ai.services.jobs.summary import exit_code_of
from lepton_ai.types import bucket, endpoint, job, node_group, task
from lepton_ai.types.bucket import BucketState
from lepton_ai.types.endpoint import EndpointState
from lepton_ai.types.job import JobState
from lepton_ai.types.node_group import GroupNodeState
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

STATES: Mapping[str, Mapping[StrEnum, frozenset[StrEnum]]] = {
    "job": {state: frozenset(nexts) for state, nexts in job.MOVES.items()},
    "endpoint": {state: frozenset(nexts) for state, nexts in endpoint.MOVES.items()},
    "bucket": {state: frozenset(nexts) for state, nexts in bucket.MOVES.items()},
    "node of a group": {state: frozenset(nexts) for state, nexts in node_group.MOVES.items()},
    "task": {state: frozenset(nexts) for state, nexts in task.MOVES.items()},
}

_MEANINGS: Mapping[str, Mapping[StrEnum, str]] = {
    "job": {
        JobState.QUEUED: "waits for other jobs, for room, or for its next attempt; the reason says which",
        JobState.STARTING: "holds its resources; its folder and packages are being made ready",
        JobState.RUNNING: "every replica of it, or of one index of its array, runs",
        JobState.STOPPING: "was asked to stop: SIGTERM, the grace period, SIGKILL",
        JobState.SUCCEEDED: "ended with exit code 0, every index of it",
        JobState.FAILED: "ended in another way, and its retries are used up",
        JobState.STOPPED: "ended because somebody asked for it",
    },
    "endpoint": {
        EndpointState.STARTING: "no replica is ready yet",
        EndpointState.READY: "at least one replica takes requests",
        EndpointState.ASLEEP: "has no replica: idle for its time-out (the next request wakes it), or scaled to 0",
        EndpointState.FAILED: "three replicas in a row ended by themselves; it goes on trying, ever more slowly",
        EndpointState.STOPPING: "is being deleted: requests in flight end first",
    },
    "bucket": {
        BucketState.READY: "takes and gives objects",
        BucketState.DELETING: "its objects are being deleted; then it is gone",
    },
    "node of a group": {
        GroupNodeState.CREATING: "its provider was asked to make it, and has not answered yet",
        GroupNodeState.BOOTING: "it was made, and has not joined yet",
        GroupNodeState.READY: "takes work",
        GroupNodeState.DRAINING: "gets no new work, and goes once nothing runs there",
        GroupNodeState.DELETING: "its provider was asked to delete it; then it is gone",
    },
    "task": {
        TaskState.WAITING: "is in the queue and holds nothing",
        TaskState.STARTING: "holds its allocations; replicas are being started, always all of them",
        TaskState.RUNNING: "every replica has started",
        TaskState.STOPPING: "its replicas are being ended, because somebody asked or because one of them failed",
        TaskState.FINISHED: "nothing of it runs any more; it never runs again",
    },
    "exit": {
        ExitKind.SUCCEEDED: "exit code 0",
        ExitKind.FAILED: "any other exit code",
        ExitKind.SIGNALED: "killed by a signal that was not ours",
        ExitKind.OUT_OF_MEMORY: "needed more memory than it had asked for",
        ExitKind.TIMED_OUT: "ran longer than its time-out",
        ExitKind.STOPPED: "ended because it was asked to",
        ExitKind.PREEMPTED: "made room for another; the next attempt follows, and no retry is used up",
        ExitKind.COST_LIMIT: "had used up what it may cost (`--max-cost`), and got its grace",
        ExitKind.LOST: "its node or its supervisor is gone, so nobody knows how it ended",
        ExitKind.NOT_STARTED: "its folder, its packages or its command could not be had",
    },
}

SETTINGS: Mapping[str, str] = {
    "home": "the state folder; set in the environment only",
    "address": "where the one HTTPS port listens",
    "port": "the one HTTPS port; 0 takes a free one and keeps it",
    "database": "a SQLAlchemy URL; without one, SQLite in the state folder",
    "bundle_bytes_max": "how large an uploaded working directory may be",
    "body_bytes_max": "how large any other request may be",
    "log_bytes_max": "how much log is kept of each replica; the oldest goes first",
    "storage": "where the objects of buckets lie: `local` (a folder) or `seaweedfs` (a server that the platform runs)",
    "cpu_reserved": "CPUs that no task gets",
    "memory_reserved_bytes": "memory that no task gets: for the core, HAProxy and the system",
    "ray_address": "the head of the Ray cluster that work runs on, as `host:port`; empty is this machine alone",
    "cluster_address": "the address by which other machines reach this one; with it, they may join",
    "cluster_port": "where the cluster's head listens on that address",
    "standby": "whether this core waits while another leads the same PostgreSQL, and takes over when that one is gone",
    "shared": "the folder that all cores of one platform reach; without one, the state folder",
    "simulated_devices": "accelerators that are only declared, such as `2x80GB`, and called simulated",
    "cluster_store": "where Ray's head keeps what it knows: `memory`, `redis` (one of our own), or the URL of one",
    "cluster_store_ca": "a file with the authority of that Redis, for `rediss://`; empty is the system's",
}


def of(kind: str, state: StrEnum) -> str:
    """Return the line for one state."""
    return _MEANINGS[kind][state]


def exit_code(kind: ExitKind) -> str:
    """Return the exit code that a job ends with whose only replica ended so."""
    if kind is ExitKind.FAILED:
        return "the command's own"
    if kind is ExitKind.SIGNALED:
        return "128 + the signal"
    if kind in {ExitKind.STOPPED, ExitKind.COST_LIMIT}:
        return "the command's own, or 128 + the signal"
    if kind is ExitKind.PREEMPTED:
        return "none: it goes on"
    ended = Replica(rank=0, node="node", state=ReplicaState.EXITED, exit=ReplicaExit(kind=kind))
    spec = TaskSpec(owner_kind="job", owner_name="job", task_kind="job", program=Program(command=("true",)))
    return str(exit_code_of(Task(spec=spec, status=TaskStatus(outcome=kind, replicas=(ended,)))))
