"""What a runtime does for the kernel: start, stop and observe replicas, and tell of its nodes.

Two implementations fulfil it: `backends.local_runtime` (supervised processes on this machine) and the seeded one in
`testing`; the Ray runtime is the third. Every call is safe to repeat, and none blocks longer than a local disk does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import BinaryIO, Protocol

from lepton_ai.types.checkpoint import CheckpointPolicy, FoundVersion, StoredFile
from lepton_ai.types.node import Hardware, NodeUse
from lepton_ai.types.resources import Allocation
from lepton_ai.types.task import Program, Replica


class StoredVersion(Protocol):
    """A checkpoint that a replica goes on from. Both calls may wait for the store."""

    @property
    def name(self) -> str:
        """What the program called it."""

    def files(self) -> Sequence[StoredFile]:
        """Return what it consists of; raises NotFound, IntegrityFailed, StorageFailed, Unavailable."""

    def open(self, file: StoredFile) -> BinaryIO:
        """Return one of the files to read; raises the same."""


@dataclass(frozen=True, slots=True)
class ReplicaOrder:
    """Everything that a runtime needs to start one replica. `env` is complete but for what the node itself adds.

    `gang` is what all ranks of its task hold, by rank, where there are several; the ids of their replicas differ only
    in the rank at the end. A runtime may set it all aside together.

    `secrets` holds resolved values: they reach the process's environment, never a file that others can read, a log or
    an argument list.
    """

    replica_id: str
    rank: int
    allocation: Allocation
    program: Program
    processes: int
    env: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    gang: Sequence[Allocation] = ()
    resumes_from: StoredVersion | None = None  # laid into its checkpoint folder before it starts


@dataclass(frozen=True, slots=True)
class NodeObservation:
    """One node as the runtime sees it now. A node that is missing from the observations is lost.

    `serving_address` and `door` are as in `NodeStatus`.
    """

    name: str
    address: str
    hardware: Hardware
    use: NodeUse
    limits: str  # "cgroup-v1", "cgroup-v2" or "rlimit", with a remark where something does not hold
    serving_address: str = ""
    door: int | None = None


@dataclass(frozen=True, slots=True)
class LogChunk:
    """A piece of a replica's log. `offset` counts from the first byte ever written, also of what was rotated away."""

    text: bytes
    offset: int
    next_offset: int
    is_complete: bool  # the replica has exited and there is nothing after `next_offset`


class Runtime(Protocol):
    """The seam between the kernel and the machines."""

    def start(self, order: ReplicaOrder) -> None:
        """Begin to start the replica; a replica id that was ever started here is left as it is."""

    def stop(self, replica_id: str, grace: timedelta) -> None:
        """Send SIGTERM to the whole group, and SIGKILL after `grace`; unknown or ended replicas are left alone."""

    def forget(self, replica_id: str, *, delete_log: bool) -> None:
        """Drop an ended replica from the observations; its log stays readable unless `delete_log`."""

    def replicas(self) -> Mapping[str, Replica]:
        """Return every replica that was started and not forgotten, running or exited."""

    def nodes(self) -> Sequence[NodeObservation]:
        """Return the nodes that answer now."""

    def free_port(self, node: str) -> int:
        """Return a TCP port that nothing listens on at `node` now; a gang meets at its first rank's."""

    def read_log(self, replica_id: str, offset: int, limit: int) -> LogChunk:
        """Return at most `limit` bytes from `offset`; from the oldest byte kept if that was rotated away."""

    def read_result(self, replica_id: str) -> bytes | None:
        """Return what a function replica returned (a pickle), or None if there is nothing."""

    def find_checkpoints(self, replica_id: str, policy: CheckpointPolicy) -> Sequence[FoundVersion]:
        """Return the versions that the replica, which may have ended, has completed; none if it is not known.

        While it runs, one that changed within the last second is left out: it may be written in place.
        """

    def read_checkpoint(self, replica_id: str, path: str, offset: int, limit: int) -> bytes:
        """Return at most `limit` bytes of a file by its path in the working directory; raises NotFound."""

    def on_change(self, wake: Callable[[], None]) -> None:
        """Call `wake` from any thread whenever `replicas()` or `nodes()` may have changed."""
