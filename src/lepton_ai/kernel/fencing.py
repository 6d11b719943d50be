"""A runtime that obeys only a core that leads: whoever was deposed, and does not know it yet, starts and ends nothing.

Between the check and the effect a process may still be put to sleep. What it then does when it wakes is harmless: a
replica id is started once whoever asks, a stop follows a state that is in the store, and only what has ended is
forgotten. On a cluster the agents compare epochs as well (ADR 0023).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from lepton_ai.kernel.runtime import LogChunk, NodeObservation, ReplicaOrder, Runtime
from lepton_ai.types.checkpoint import CheckpointPolicy, FoundVersion
from lepton_ai.types.task import Replica


class OwnRuntime(Runtime, Protocol):
    """A runtime whose replicas this core alone answers for."""

    def keep_only(self, replica_ids: Collection[str]) -> None:
        """Delete what is left of every ended replica but these."""

    def close(self) -> None:
        """Stop watching; replicas run on."""


class FencedRuntime:
    """`inner`, behind `check`, which raises NotLeading when this core may not act."""

    def __init__(self, inner: OwnRuntime, check: Callable[[], None]) -> None:
        self._inner = inner
        self._check = check

    def start(self, order: ReplicaOrder) -> None:
        self._check()
        self._inner.start(order)

    def stop(self, replica_id: str, grace: timedelta) -> None:
        self._check()
        self._inner.stop(replica_id, grace)

    def forget(self, replica_id: str, *, delete_log: bool) -> None:
        self._check()
        self._inner.forget(replica_id, delete_log=delete_log)

    def keep_only(self, replica_ids: Collection[str]) -> None:
        self._check()
        self._inner.keep_only(replica_ids)

    def replicas(self) -> Mapping[str, Replica]:
        return self._inner.replicas()

    def nodes(self) -> Sequence[NodeObservation]:
        return self._inner.nodes()

    def free_port(self, node: str) -> int:
        return self._inner.free_port(node)

    def read_log(self, replica_id: str, offset: int, limit: int) -> LogChunk:
        return self._inner.read_log(replica_id, offset, limit)

    def read_result(self, replica_id: str) -> bytes | None:
        return self._inner.read_result(replica_id)

    def find_checkpoints(self, replica_id: str, policy: CheckpointPolicy) -> Sequence[FoundVersion]:
        return self._inner.find_checkpoints(replica_id, policy)

    def read_checkpoint(self, replica_id: str, path: str, offset: int, limit: int) -> bytes:
        return self._inner.read_checkpoint(replica_id, path, offset, limit)

    def on_change(self, wake: Callable[[], None]) -> None:
        self._inner.on_change(wake)

    def close(self) -> None:
        self._inner.close()
