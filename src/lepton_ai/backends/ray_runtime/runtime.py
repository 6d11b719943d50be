"""Runs replicas on every node of a Ray cluster, where the scheduler said, each under the same supervisor as ever."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, BinaryIO

from lepton_ai.backends.ray_runtime.address import RayAddress
from lepton_ai.backends.ray_runtime.agent import Told
from lepton_ai.backends.ray_runtime.amounts import Drift, bundle, drifts
from lepton_ai.backends.ray_runtime.audit import Audit
from lepton_ai.backends.ray_runtime.connection import Connection
from lepton_ai.backends.ray_runtime.groups import Groups
from lepton_ai.backends.ray_runtime.orders import Orders
from lepton_ai.backends.ray_runtime.watch import Watch
from lepton_ai.errors import LeptonError, NotFound
from lepton_ai.kernel.runtime import LogChunk, NodeObservation, ReplicaOrder
from lepton_ai.types.checkpoint import CheckpointPolicy, FoundVersion
from lepton_ai.types.node import Hardware
from lepton_ai.types.resources import Allocation
from lepton_ai.types.task import Replica, ReplicaState

FIRST_NEWS_SECONDS = 30.0  # an agent starts in 1-2 s; a node that says nothing by then counts as lost
LOOPBACK = "127.0.0.1"
PLACES_KEPT = 10_000  # where replicas of the past are: 10,000 x 100 bytes
_log = logging.getLogger(__name__)


class RayRuntime:
    """The `Runtime` of a cluster. `open_blob` gives bundles and calls; a node gets those that it lacks through Ray.

    `held` says what the platform's tasks hold, which Ray's books are compared with from time to time.
    A new one takes over what an earlier one left running. Nodes whose names do not belong are not shown. Raises
    Unavailable if the cluster does not answer.
    """

    def __init__(
        self,
        where: RayAddress,
        open_blob: Callable[[str], BinaryIO],
        held: Callable[[], Collection[Allocation]],
        *,
        log_bytes_max: int,
        belongs: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        self._belongs = belongs
        self._wakes: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._told: dict[str, Told] = {}
        self._places: dict[str, str] = {}
        self._first_news = threading.Condition(self._lock)
        self._connection = Connection(where, log_bytes_max)
        names = {node.ray_id: name for name, node in self._connection.nodes().items()}
        self._groups = Groups(names)
        self._orders = Orders(self._connection, self._groups, open_blob, self._wake)
        self._watch = Watch(self._connection, self)
        self._watch.begin()
        with self._first_news:
            # The kernel takes a node that is not told of for lost, and what runs there with it.
            self._first_news.wait_for(lambda: self._told.keys() >= self._watch.names().keys(), FIRST_NEWS_SECONDS)
        self._audit = Audit(lambda: self.drifts(held()))
        self._audit.begin()

    def start(self, order: ReplicaOrder) -> None:
        """Begin to start the replica; raises Unavailable for a node that is gone, and why an earlier try failed."""
        self._watch.agent(order.allocation.node)
        if order.replica_id not in self._seen():
            self._orders.send(order, self._watch, self._hardware)

    def stop(self, replica_id: str, grace: timedelta) -> None:
        """Have the node end the replica, or never start it. Does not wait; a stop that gets lost is given again."""
        pending, replica = self._orders.get(replica_id), self._seen().get(replica_id)
        if pending is not None:
            pending.is_stopped = True
            replica = replica or pending.replica
        if replica is None or replica.state is ReplicaState.EXITED:
            return
        self._watch.agent(replica.node).stop.remote(replica_id, replica.rank, grace.total_seconds())

    def forget(self, replica_id: str, *, delete_log: bool) -> None:
        """Drop an ended replica. A log on a node that is away goes when it comes back and the core starts anew."""
        replica = self._seen().get(replica_id)
        if replica is not None and replica.state is not ReplicaState.EXITED:
            return
        nodes = [replica.node] if replica is not None else list(self._watch.names()) if delete_log else []
        for name in nodes:
            self._watch.agent(name).forget.remote(replica_id, delete_log)
        with self._lock:
            for name in nodes:
                if (told := self._told.get(name)) and replica_id in told.replicas:
                    self._told[name] = _without(told, replica_id)

    def keep_only(self, replica_ids: Collection[str]) -> None:
        """Have each node drop the past replicas that are not among these."""
        kept = frozenset(replica_ids)
        for name in self._watch.names():
            self._watch.agent(name).keep_only.remote(kept)

    def replicas(self) -> Mapping[str, Replica]:
        return {**self._orders.replicas(), **self._seen()}

    def nodes(self) -> Sequence[NodeObservation]:
        with self._lock:
            told = list(self._told.values())
        return [self._reached(one.node) for one in told if self._belongs(one.node.name)]

    def _reached(self, node: NodeObservation) -> NodeObservation:
        """Return the node as the core reaches its replicas: on its own machine by loopback."""
        is_here = node.name == self._connection.own_node
        return replace(node, serving_address=LOOPBACK, door=None) if is_here else node

    def free_port(self, node: str) -> int:
        """Return a port where a gang can meet; raises NotFound for an unknown node, Unavailable."""
        if node not in self._watch.names():
            raise NotFound(f"There is no node {node!r} in the cluster.", hint="See which there are: lepton node list")
        return int(self._connection.get(self._watch.agent(node).free_port.remote(), f"Node {node}"))

    def read_log(self, replica_id: str, offset: int, limit: int) -> LogChunk:
        """Return a piece of the log from the node that has it; raises Unavailable if that one does not answer."""
        node = self._place_of(replica_id)
        if node is None:
            return LogChunk(b"", 0, 0, False)
        call = self._watch.agent(node).read_log.remote(replica_id, offset, limit)
        chunk: LogChunk = self._connection.get(call, f"Node {node}")
        return chunk

    def read_result(self, replica_id: str) -> bytes | None:
        """Return what a function replica returned, a pickle; raises TooLarge, Unavailable."""
        node = self._place_of(replica_id)
        if node is None:
            return None
        result: bytes | None = self._connection.get(
            self._watch.agent(node).read_result.remote(replica_id), f"Node {node}"
        )
        return result

    def find_checkpoints(self, replica_id: str, policy: CheckpointPolicy) -> Sequence[FoundVersion]:
        """Return the versions that a replica has completed; raises Unavailable if its node does not answer."""
        replica = self._seen().get(replica_id)
        if replica is None:
            return ()
        call = self._watch.agent(replica.node).find_checkpoints.remote(replica_id, policy)
        found: Sequence[FoundVersion] = self._connection.get(call, f"Node {replica.node}")
        return found

    def read_checkpoint(self, replica_id: str, path: str, offset: int, limit: int) -> bytes:
        """Return a piece of a file of a version; raises NotFound, Unavailable."""
        replica = self._seen().get(replica_id)
        if replica is None:
            raise NotFound(f"There is no replica {replica_id!r} in the cluster.")
        call = self._watch.agent(replica.node).read_checkpoint.remote(replica_id, path, offset, limit)
        piece: bytes = self._connection.get(call, f"Node {replica.node}")
        return piece

    def on_change(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    def drifts(self, held: Collection[Allocation]) -> Sequence[Drift]:
        """Compare what the platform says that tasks hold with Ray's own books, node by node; raises Unavailable."""
        counts = self._connection.counts()
        found: list[Drift] = []
        for name, node in self._watch.names().items():
            if node.ray_id in counts:
                ours = [bundle(one, self._hardware(name)) for one in held if one.node == name]
                found += drifts(name, ours, counts[node.ray_id].total, counts[node.ray_id].free)
        return found

    def close(self) -> None:
        """Let go of the cluster: replicas, agents and groups stay, and the next runtime finds them."""
        self._audit.close()
        self._orders.close()
        self._watch.close()
        self._connection.close()

    def heard(self, name: str, told: Told) -> None:
        """Take in what a node told. Ray gets back what ended there before the kernel can give it to others."""
        with self._lock:
            seen = {**self._told, name: told}
        try:
            self._groups.release(lambda replica_id, node: self._is_over(replica_id, node, seen))
        except LeptonError as error:
            _log.warning("a group was not given back yet", extra={"error": str(error)})
        with self._first_news:
            is_new = name not in self._told or _differs(self._told[name], told)
            self._told[name] = told
            self._orders.drop_seen(told)
            self._first_news.notify_all()
        if is_new:
            self._wake()

    def lost(self, name: str) -> None:
        """Take note that a node is gone: what ran there is not told of any more."""
        with self._first_news:
            self._told.pop(name, None)
            self._orders.drop_lost(name)
            self._first_news.notify_all()
        self._wake()

    def _is_over(self, replica_id: str, node: str, seen: Mapping[str, Told]) -> bool:
        if self._orders.get(replica_id) is not None:
            return False
        if node not in seen:
            return node not in self._watch.names()
        replica = seen[node].replicas.get(replica_id)
        return replica is None or replica.state is ReplicaState.EXITED

    def _seen(self) -> dict[str, Replica]:
        with self._lock:
            return {name: replica for told in self._told.values() for name, replica in told.replicas.items()}

    def _hardware(self, name: str) -> Hardware | None:
        with self._lock:
            told = self._told.get(name)
        return told.node.hardware if told else None

    def _place_of(self, replica_id: str) -> str | None:
        """Return the node that has the replica's log; those of the past are asked for."""
        if replica := self._seen().get(replica_id):
            return replica.node
        if (known := self._places.get(replica_id)) is not None:
            return known
        asked: dict[str, Any] = {name: self._watch.agent(name).knows.remote(replica_id) for name in self._watch.names()}
        for name, reference in asked.items():
            if self._connection.get(reference, f"Node {name}"):
                if len(self._places) >= PLACES_KEPT:
                    self._places.clear()
                self._places[replica_id] = name
                return name
        return None

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()


def _without(told: Told, replica_id: str) -> Told:
    left = {name: replica for name, replica in told.replicas.items() if name != replica_id}
    return Told(told.life, told.count, told.node, left)


def _differs(before: Told, now: Told) -> bool:
    return (before.life, before.count) != (now.life, now.count)
