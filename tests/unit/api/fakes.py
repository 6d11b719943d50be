"""A clock that is set, a runtime without processes and a data plane without a proxy, for tests of the API."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lepton_ai.backends.node_certificates import Holder, NodeCertificate, sign_request
from lepton_ai.errors import Unavailable
from lepton_ai.kernel.roster import Roster
from lepton_ai.kernel.runtime import LogChunk, NodeObservation, ReplicaOrder
from lepton_ai.types.checkpoint import CheckpointPolicy, FoundVersion
from lepton_ai.types.data_plane import EndpointFigures, EndpointRoute, TokenGrant
from lepton_ai.types.membership import CallBack, Versions
from lepton_ai.types.node import Hardware, NodeUse
from lepton_ai.types.task import ExitKind, Replica, ReplicaExit, ReplicaState

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HARDWARE = Hardware(
    cpu_model="Test CPU",
    architecture="x86_64",
    sockets=1,
    cores=4,
    threads=8,
    instruction_sets=("avx2",),
    memory_bytes=16 * 10**9,
    cpu_class="cpu-avx2",
)


class SetClock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        """Return the moment that was set, one millisecond later at each call, so that ids keep their order."""
        self.moment += timedelta(milliseconds=1)
        return self.moment

    def turn(self, by: timedelta) -> None:
        """Let time pass."""
        self.moment += by


class PaperRuntime:
    """Starts nothing and says that it did. Tests write its logs and end its replicas."""

    def __init__(self, clock: SetClock) -> None:
        self._clock = clock
        self._replicas: dict[str, Replica] = {}
        self._logs: dict[str, bytes] = {}
        self._kept_from: dict[str, int] = {}
        self._complete: set[str] = set()
        self.results: dict[str, bytes] = {}
        self.orders: list[ReplicaOrder] = []
        self.stopped: list[str] = []
        self.hardware = HARDWARE

    def start(self, order: ReplicaOrder) -> None:
        self.orders.append(order)
        self._replicas.setdefault(
            order.replica_id,
            Replica(
                rank=order.rank,
                node=order.allocation.node,
                state=ReplicaState.RUNNING,
                limits="none",
                started_at=self._clock.now(),
            ),
        )

    def stop(self, replica_id: str, grace: timedelta) -> None:
        self.stopped.append(replica_id)
        if replica_id in self._replicas and self._replicas[replica_id].exit is None:
            self.end(replica_id, ExitKind.STOPPED, 143)

    def forget(self, replica_id: str, *, delete_log: bool) -> None:
        self._replicas.pop(replica_id, None)
        if delete_log:
            self._logs.pop(replica_id, None)

    def replicas(self) -> Mapping[str, Replica]:
        return dict(self._replicas)

    def nodes(self) -> Sequence[NodeObservation]:
        return [NodeObservation("node-1", "127.0.0.1", self.hardware, NodeUse(cpu=0.25), "none")]

    def free_port(self, node: str) -> int:
        return 29500

    def read_log(self, replica_id: str, offset: int, limit: int) -> LogChunk:
        whole = self._logs.get(replica_id, b"")
        begin = min(max(offset, self._kept_from.get(replica_id, 0)), len(whole))
        text = whole[begin : begin + limit]
        is_complete = replica_id in self._complete and begin + len(text) >= len(whole)
        return LogChunk(text, begin, begin + len(text), is_complete)

    def read_result(self, replica_id: str) -> bytes | None:
        return self.results.get(replica_id)

    def find_checkpoints(self, replica_id: str, policy: CheckpointPolicy) -> Sequence[FoundVersion]:
        return ()

    def read_checkpoint(self, replica_id: str, path: str, offset: int, limit: int) -> bytes:
        return b""

    def on_change(self, wake: Callable[[], None]) -> None:
        """Nothing changes here but by the test's own hand."""

    def end(self, replica_id: str, kind: ExitKind = ExitKind.SUCCEEDED, exit_code: int = 0) -> None:
        """Let a replica end."""
        replica = self._replicas[replica_id]
        exit_ = ReplicaExit(kind=kind, exit_code=exit_code, sentence=f"Ended with {exit_code}.")
        self._replicas[replica_id] = replica.replace(
            state=ReplicaState.EXITED, exit=exit_, finished_at=self._clock.now()
        )
        self._complete.add(replica_id)

    def running(self) -> list[str]:
        """Return the replicas that have not ended."""
        return [name for name, replica in self._replicas.items() if replica.exit is None]

    def lose(self, replica_id: str) -> None:
        """Let a replica end so that nobody will ever know how."""
        self.end(replica_id, ExitKind.LOST, -1)
        self._complete.discard(replica_id)

    def write(self, replica_id: str, text: bytes) -> None:
        """Let a replica print."""
        self._logs[replica_id] = self._logs.get(replica_id, b"") + text

    def rotate(self, replica_id: str, keep_from: int) -> None:
        """Lose the log before `keep_from`."""
        self._kept_from[replica_id] = keep_from


class PaperPlane:
    """Takes note of what it should serve."""

    def __init__(self) -> None:
        self.endpoints: Sequence[EndpointRoute] = ()
        self.tokens: Sequence[TokenGrant] = ()

    def route(self, endpoints: Sequence[EndpointRoute], tokens: Sequence[TokenGrant]) -> None:
        self.endpoints, self.tokens = endpoints, tokens

    def figures(self) -> Mapping[tuple[str, str], EndpointFigures]:
        return {}

    def tls(self) -> ssl.SSLContext:
        raise Unavailable("No door of a node can be reached from here.")

    def url(self, project: str, name: str) -> str:
        return f"https://test/endpoints/{project}/{name}"


class PaperCluster:
    """A cluster whose authority is real and whose machines are only names; `unreachable` ones do not answer."""

    head = "10.0.0.1:6379"
    versions = Versions(python="3.11", ray="2.60.0", lepton="1.0")

    def __init__(self, authority: Path, clock: SetClock, roster: Roster) -> None:
        self.roster = roster
        self.unreachable: set[str] = set()
        self._authority = authority
        self._clock = clock

    def fingerprint(self) -> str:
        return "f" * 43

    def cluster_token(self) -> str:
        return "c" * 64

    def sign(self, request_pem: str, name: str, address: str) -> NodeCertificate:
        self._authority.mkdir(exist_ok=True)
        return sign_request(self._authority, request_pem, Holder(name, address), self._clock.now())

    def call_back(self, address: str, call_back: CallBack) -> None:
        if address in self.unreachable:
            raise Unavailable(f"The core cannot reach {address}:{call_back.port}.")
