"""A Ray runtime under test and the few moves that its tests need."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from lepton_ai.backends.blobs import BlobStore
from lepton_ai.backends.ray_runtime.runtime import RayRuntime
from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.testing.ray_cluster import LocalRayCluster
from lepton_ai.types.resources import Allocation, DeviceShare
from lepton_ai.types.task import Program, Replica, ReplicaExit, ReplicaState

PATIENCE_SECONDS = 90.0
_numbers = itertools.count()


class Nodes:
    """The runtime of the cluster. `wait_for` returns as soon as something holds and fails loudly if it never does."""

    def __init__(self, cluster: LocalRayCluster, folder: Path) -> None:
        self.cluster = cluster
        self.blobs = BlobStore(folder / "blobs")
        self.runtime = self._open()

    def reopen(self) -> None:
        """End the runtime as the end of a core would, and open the next core's."""
        self.runtime.close()
        self.runtime = self._open()

    def start(self, node: str, *command: str, **program: object) -> str:
        """Start a command on one core and 100 MB of a node; return the replica's id."""
        return self.start_gang([on(node)], command, **program)[0]

    def start_gang(self, held: Sequence[Allocation], *commands: Sequence[str], **program: object) -> Sequence[str]:
        """Start one command for each of the allocations, which are one task's; return the replicas' ids."""
        task = f"task-{next(_numbers)}"
        for one, command in zip(held, commands, strict=True):
            self.runtime.start(replace(order_of(f"{task}-{one.rank}", one, *command, **program), gang=held))
        return [f"{task}-{one.rank}" for one in held]

    def replica(self, replica_id: str) -> Replica:
        return self.runtime.replicas()[replica_id]

    def wait_for_state(self, replica_id: str, state: ReplicaState) -> Replica:
        wait_for(lambda: self.replica(replica_id).state is state)
        return self.replica(replica_id)

    def exit_of(self, replica_id: str) -> ReplicaExit:
        found = self.wait_for_state(replica_id, ReplicaState.EXITED).exit
        assert found is not None
        return found

    def log(self, replica_id: str) -> str:
        return self.runtime.read_log(replica_id, 0, 10**6).text.decode()

    def wait_for_log(self, replica_id: str, text: str) -> str:
        wait_for(lambda: text in self.log(replica_id))
        return self.log(replica_id)

    def wait_until_ray_agrees(self, *held: Allocation) -> None:
        """Ray's nodes report what they gave back some milliseconds later."""
        wait_for(lambda: not self.runtime.drifts(held))

    def is_stopped(self, replica_id: str) -> bool:
        """Give the stop again, as the kernel does, until it has come through."""
        self.runtime.stop(replica_id, timedelta(0))
        return self.replica(replica_id).exit is not None

    def kill_agent(self, node: str) -> None:
        """Kill a node's agent, and wait until Ray has started another."""
        agent = self.cluster.agent(node)
        assert agent is not None
        os.kill(agent.pid, signal.SIGKILL)
        wait_for(lambda: self.cluster.agent(node) not in {None, agent})

    def end(self) -> None:
        wait_for(lambda: all(self.is_stopped(replica_id) for replica_id in self.runtime.replicas()))
        self.runtime.close()

    def _open(self) -> RayRuntime:
        return RayRuntime(self.cluster.where, self.blobs.open, list, log_bytes_max=1 << 20)


def on(node: str, rank: int = 0, cpu_milli: int = 1000, *devices: DeviceShare, memory_mb: int = 100) -> Allocation:
    return Allocation(rank, node, cpu_milli, memory_mb * 10**6, "cpu", devices)


def order_of(replica_id: str, held: Allocation, *command: str, **program: object) -> ReplicaOrder:
    return ReplicaOrder(replica_id, held.rank, held, Program(command=command, **program), 500, {})


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for never happened"
        time.sleep(0.01)
