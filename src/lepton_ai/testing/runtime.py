"""A runtime of imagined nodes: keeps the Runtime protocol's promises, and breaks whatever it does not promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.runtime import LogChunk, NodeObservation, ReplicaOrder
from lepton_ai.testing.faults import Fate, Faults, unreachable
from lepton_ai.testing.process import Process, launch
from lepton_ai.types.checkpoint import CheckpointPolicy, FoundVersion
from lepton_ai.types.node import Hardware, NodeUse
from lepton_ai.types.task import Replica

FIRST_PORT = 20000
PREPARING_SECONDS_MAX = 3.0
STOP_SECONDS_MAX = 2.0
KILL_SECONDS_MAX = 3.0  # a large process takes its time to go, SIGKILL or not
REPEATS_AFTER_SECONDS_MAX = 90.0


@dataclass(slots=True)
class FakeNode:
    """One imagined machine. Its disk remembers every replica that ever began here, whatever happens to the machine."""

    name: str
    hardware: Hardware
    is_up: bool = True
    is_reachable: bool = True
    lag: timedelta = timedelta(0)  # how old the news are that it tells
    processes: dict[str, Process] = field(default_factory=dict)
    told: datetime | None = None  # the moment that its newest news are of

    def news_of(self, now: datetime) -> datetime:
        """Return the moment that it tells about now; news may be late, and never go back."""
        moment = now - self.lag
        self.told = moment if self.told is None else max(self.told, moment)
        return self.told

    @property
    def answers(self) -> bool:
        return self.is_up and self.is_reachable


class FakeRuntime:
    """Fulfils the Runtime protocol. It outlives the core, as supervisors do."""

    def __init__(self, clock: Clock, nodes: Sequence[FakeNode], faults: Faults | None = None) -> None:
        self._clock = clock
        self._faults = faults or Faults(0)
        self.fleet = {node.name: node for node in nodes}
        self._wakes: list[Callable[[], None]] = []
        self._repeats: list[tuple[datetime, Callable[[], None]]] = []
        self._ports = FIRST_PORT
        self.orders = 0  # to start a replica
        self.on_begin: Callable[[str, Process], None] = lambda _replica_id, _process: None

    def start(self, order: ReplicaOrder) -> None:
        self.orders += 1
        node = self.fleet[order.allocation.node]
        self._send(node, lambda: self._begin(order), lambda: self._begin_again(order))

    def stop(self, replica_id: str, grace: timedelta) -> None:
        node = self._node_of(replica_id)
        if node is not None:
            self._send(node, lambda: self._end(node, replica_id, grace), lambda: self._end(node, replica_id, grace))

    def forget(self, replica_id: str, *, delete_log: bool) -> None:
        self._faults.step()
        node = self._node_of(replica_id)
        if node is None:
            return
        if not node.answers:
            raise unreachable(node.name)
        process = node.processes[replica_id]
        if process.seen_at(node.news_of(self._clock.now())).exit is not None:
            process.is_forgotten = True
            process.is_log_deleted = process.is_log_deleted or delete_log

    def replicas(self) -> Mapping[str, Replica]:
        self._faults.step()
        now = self._clock.now()
        return {
            replica_id: process.seen_at(moment)
            for node, moment in [(node, node.news_of(now)) for node in self.fleet.values() if node.answers]
            for replica_id, process in node.processes.items()
            if not process.is_forgotten
        }

    def nodes(self) -> Sequence[NodeObservation]:
        self._faults.step()
        return [
            NodeObservation(node.name, f"10.0.0.{number}", node.hardware, NodeUse(), "simulated")
            for number, node in enumerate(self.fleet.values(), start=1)
            if node.answers
        ]

    def free_port(self, node: str) -> int:
        self._faults.step()
        if not self.fleet[node].answers or self._faults.fate() in {Fate.REFUSED, Fate.LOST}:
            raise unreachable(node)
        return self._next_port()

    def read_log(self, replica_id: str, offset: int, limit: int) -> LogChunk:
        node = self._node_of(replica_id)
        process = node.processes[replica_id] if node else None
        text = b"" if process is None or process.is_log_deleted else f"{replica_id} wrote this\n".encode()
        piece = text[offset : offset + limit]
        is_complete = process is not None and process.has_ended(self._clock.now())
        return LogChunk(piece, offset, offset + len(piece), is_complete)

    def read_result(self, replica_id: str) -> bytes | None:
        return None

    def find_checkpoints(self, replica_id: str, policy: CheckpointPolicy) -> Sequence[FoundVersion]:
        return ()

    def read_checkpoint(self, replica_id: str, path: str, offset: int, limit: int) -> bytes:
        return b""

    def on_change(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    def disconnect(self) -> None:
        """The core is gone: nobody is woken, and what it alone was preparing is dropped as if it had never been."""
        self._wakes.clear()
        now = self._clock.now()
        for node in self.fleet.values():
            for replica_id, process in list(node.processes.items()):
                if process.begins_at > now and process.ends_at is None and self._faults.chance(0.5):
                    del node.processes[replica_id]

    def crash(self, node: FakeNode) -> None:
        """The machine loses power: what ran is lost, what was only prepared never was."""
        now = self._clock.now()
        node.is_up = False
        for replica_id, process in list(node.processes.items()):
            if process.begins_at > now and not process.has_ended(now):
                del node.processes[replica_id]
            else:
                process.kill(now)

    def wake(self) -> None:
        """Tell the core that something may have changed; repeat the commands whose time has come."""
        now = self._clock.now()
        late = [again for at, again in self._repeats if at <= now]
        self._repeats = [(at, again) for at, again in self._repeats if at > now]
        for again in late:
            again()
        for wake in self._wakes:
            wake()

    def next_change(self) -> datetime | None:
        """Return when something will change next, as far as the core can see."""
        now = self._clock.now()
        moments = [at for at, _ in self._repeats]
        for node in self.fleet.values():
            for process in node.processes.values():
                if not process.is_forgotten:
                    moments += [process.begins_at + node.lag, (process.ends_at or now) + node.lag]
        return min((at for at in moments if at > now), default=None)

    def _send(self, node: FakeNode, command: Callable[[], None], again: Callable[[], None]) -> None:
        """Carry a command to a node, as well as the faults let it."""
        self._faults.step()
        fate = self._faults.fate()
        if not node.answers or fate is Fate.REFUSED:
            raise unreachable(node.name)
        if fate is Fate.LOST:
            return
        command()
        if fate is Fate.REPEATED:
            self._repeats.append((self._clock.now() + self._faults.delay(REPEATS_AFTER_SECONDS_MAX), again))
        if fate is Fate.DONE_AND_REFUSED:
            raise unreachable(node.name)

    def _begin(self, order: ReplicaOrder) -> None:
        node = self.fleet[order.allocation.node]
        if order.replica_id not in node.processes:
            begins = self._clock.now() + self._faults.delay(PREPARING_SECONDS_MAX)
            port = self._next_port() if order.program.needs_port else 0
            node.processes[order.replica_id] = process = launch(order, begins, port)
            self.on_begin(order.replica_id, process)

    def _begin_again(self, order: ReplicaOrder) -> None:
        """Deliver an order twice. One whose replica was dropped before it began does not come again: an order that was
        accepted shows at once, so that none is on its way while the core believes that nothing was begun."""
        if order.replica_id in self.fleet[order.allocation.node].processes:
            self._begin(order)

    def _end(self, node: FakeNode, replica_id: str, grace: timedelta) -> None:
        process = node.processes.get(replica_id)
        if process is not None:
            quick = min(grace, self._faults.delay(STOP_SECONDS_MAX, otherwise=0.1))
            dying = self._faults.delay(KILL_SECONDS_MAX)
            process.stop(self._clock.now(), (grace if process.behaviour.is_stubborn else quick) + dying)

    def _node_of(self, replica_id: str) -> FakeNode | None:
        return next((node for node in self.fleet.values() if replica_id in node.processes), None)

    def _next_port(self) -> int:
        self._ports += 1
        return self._ports
