"""The core with imagined machines: `python -m benchmarks.scheduling.imagined_core NODES CPU [SECONDS]`.

Its home is in LEPTON_HOME; with SECONDS, each replica ends well after so long.

All of it is the product's own (data plane, API, store, loop, scheduler) but the runtime, which starts no process. It
and what it starts run on the one processor CPU.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta

from lepton_ai.app import build, serve
from lepton_ai.backends.home import Home
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.kernel.runtime import LogChunk, NodeObservation, ReplicaOrder
from lepton_ai.settings import load_settings
from lepton_ai.testing.machines import machine
from lepton_ai.types.checkpoint import CheckpointPolicy, FoundVersion
from lepton_ai.types.node import NodeUse
from lepton_ai.types.task import ExitKind, Replica, ReplicaExit, ReplicaState

THREADS, MEMORY_GB = 16, 64


class ImaginedRuntime:
    """Fulfils the Runtime protocol: a replica runs from the moment that it is ordered, `seconds` long or for ever."""

    def __init__(self, nodes: int, seconds: float = 0.0) -> None:
        self._seconds = timedelta(seconds=seconds)
        self._clock = SystemClock()
        self._replicas: dict[str, Replica] = {}
        self._running: dict[str, Replica] = {}
        self._wake: Callable[[], None] = lambda: None
        hardware = [machine(f"node-{number:04}", THREADS, MEMORY_GB) for number in range(nodes)]
        self._nodes = [NodeObservation(one.name, "127.0.0.1", one.hardware, NodeUse(), "imagined") for one in hardware]

    def start(self, order: ReplicaOrder) -> None:
        """Note that the replica runs."""
        if order.replica_id not in self._replicas:
            now = self._clock.now()
            self._replicas[order.replica_id] = Replica(
                rank=order.rank, node=order.allocation.node, state=ReplicaState.RUNNING, started_at=now
            )
            self._running[order.replica_id] = self._replicas[order.replica_id]
            self._wake()

    def stop(self, replica_id: str, grace: timedelta) -> None:
        """Leave it alone: the benchmark stops nothing."""

    def forget(self, replica_id: str, *, delete_log: bool) -> None:
        """Drop it."""
        self._replicas.pop(replica_id, None)

    def replicas(self) -> Mapping[str, Replica]:
        """Return all that was ordered."""
        if self._seconds:
            self._end_those_due()
        return dict(self._replicas)

    def _end_those_due(self) -> None:
        """End what has run for long enough; the first ordered are the first to end."""
        now = self._clock.now()
        for name, replica in list(self._running.items()):
            if replica.started_at is None or now - replica.started_at < self._seconds:
                return
            ended = ReplicaExit(kind=ExitKind.SUCCEEDED, exit_code=0)
            self._replicas[name] = replica.replace(state=ReplicaState.EXITED, finished_at=now, exit=ended)
            del self._running[name]

    def nodes(self) -> Sequence[NodeObservation]:
        """Return all nodes: they never change."""
        return self._nodes

    def free_port(self, node: str) -> int:
        """Return any port: nothing listens."""
        return 1024

    def read_log(self, replica_id: str, offset: int, limit: int) -> LogChunk:
        """Return nothing: nothing is written."""
        return LogChunk(b"", offset, offset, is_complete=False)

    def read_result(self, replica_id: str) -> bytes | None:
        """Return nothing: no function runs."""
        return None

    def find_checkpoints(self, replica_id: str, policy: CheckpointPolicy) -> Sequence[FoundVersion]:
        """Return nothing: no program runs."""
        return ()

    def read_checkpoint(self, replica_id: str, path: str, offset: int, limit: int) -> bytes:
        """Return nothing: there are no files."""
        return b""

    def on_change(self, wake: Callable[[], None]) -> None:
        """Call `wake` after each start."""
        self._wake = wake

    def keep_only(self, replica_ids: Collection[str]) -> None:
        """There is nothing on disk."""

    def close(self) -> None:
        """There is nothing to close."""


def main() -> None:
    """Serve until SIGTERM."""
    nodes, cpu = map(int, sys.argv[1:3])
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    os.sched_setaffinity(0, {cpu})
    settings = load_settings()
    home = Home(settings.home)
    with home.locked():
        serve(build(settings, home, ImaginedRuntime(nodes, seconds)), home)


if __name__ == "__main__":
    main()
