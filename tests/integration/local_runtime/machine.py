"""A real local runtime and the few moves that its tests need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from lepton_ai.backends.local_runtime import LocalNode, LocalRuntime, Prepare
from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.node.limits import Limits
from lepton_ai.types.node import Hardware, NodeUse
from lepton_ai.types.resources import Allocation
from lepton_ai.types.task import Program, Replica, ReplicaExit, ReplicaState

PATIENCE_SECONDS = 60.0
HARDWARE = Hardware(
    cpu_model="test", architecture="test", sockets=1, cores=1, threads=1, instruction_sets=(), memory_bytes=2**30
)


class Machine:
    """A runtime under test. `wait_for` returns as soon as something holds and fails loudly if it never does."""

    def __init__(self, folder: Path, limits: Limits | None, prepare: Prepare, log_bytes_max: int) -> None:
        self.folder = folder
        self.changed = threading.Event()
        node = LocalNode("here", HARDWARE, NodeUse, limits=limits)
        self.runtime = LocalRuntime(folder, node, prepare=prepare, log_bytes_max=log_bytes_max)
        self.runtime.on_change(self.changed.set)

    def start(
        self, replica_id: str, *command: str, memory_mb: int = 200, processes: int = 100, **program: object
    ) -> None:
        self.runtime.start(order_of(replica_id, *command, memory_mb=memory_mb, processes=processes, **program))

    def replica(self, replica_id: str) -> Replica:
        return self.runtime.replicas()[replica_id]

    def wait_for_state(self, replica_id: str, *states: ReplicaState) -> Replica:
        wait_for(lambda: self.replica(replica_id).state in states)
        return self.replica(replica_id)

    def run(self, replica_id: str, *command: str, **program: object) -> ReplicaExit:
        self.start(replica_id, *command, **program)  # type: ignore[arg-type]
        return self.exit_of(replica_id)

    def exit_of(self, replica_id: str) -> ReplicaExit:
        found = self.wait_for_state(replica_id, ReplicaState.EXITED).exit
        assert found is not None
        return found

    def log(self, replica_id: str) -> str:
        return self.runtime.read_log(replica_id, 0, 10**6).text.decode()

    def wait_for_log(self, replica_id: str, text: str) -> str:
        wait_for(lambda: text in self.log(replica_id))
        return self.log(replica_id)

    def supervisor(self, replica_id: str) -> int:
        claim = self.runtime._folders.live(replica_id).claim()
        assert claim is not None
        return claim.pid

    def end(self) -> None:
        for replica_id in self.runtime.replicas():
            self.runtime.stop(replica_id, timedelta(0))
        wait_for(lambda: all(found.state is ReplicaState.EXITED for found in self.runtime.replicas().values()))
        self.runtime.close()


def order_of(
    replica_id: str, *command: str, memory_mb: int = 200, processes: int = 100, **program: object
) -> ReplicaOrder:
    allocation = Allocation(0, "here", 1000, memory_mb * 10**6, "cpu")
    return ReplicaOrder(replica_id, 0, allocation, Program(command=command, **program), processes, {})


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for never happened"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Tell whether the process runs; one that ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
