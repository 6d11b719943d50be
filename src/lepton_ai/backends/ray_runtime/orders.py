"""Orders on their way: accepted by the core, not yet seen on the node that they are for."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

from lepton_ai.backends.ray_runtime.agent import Told
from lepton_ai.backends.ray_runtime.checkpoints import carry
from lepton_ai.backends.ray_runtime.connection import Connection
from lepton_ai.backends.ray_runtime.groups import Groups
from lepton_ai.backends.ray_runtime.watch import Watch
from lepton_ai.errors import LeptonError, Unavailable
from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.types.node import Hardware
from lepton_ai.types.task import Replica

LAUNCHERS = 8  # a start is 5 ms of waiting for Ray; a node that hangs holds one of them for some seconds
START_SECONDS = 120.0  # a bundle of 512 MB over a line of 100 Mbit/s takes 45 s
BLOBS_KEPT = 16  # in Ray's object store, so that an array's bundle is put there once
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Pending:
    """One order. Once the agent has taken it, `seen_from` says from which of its news on the replica is told of."""

    order: ReplicaOrder
    replica: Replica
    seen_from: tuple[str, int] | None = None
    is_stopped: bool = False
    error: LeptonError | None = None  # why it did not come through; told to whoever gives the order again


class Orders:
    """Carries orders to the agents. `changed` is called whenever one moves on."""

    def __init__(
        self, connection: Connection, groups: Groups, open_blob: Callable[[str], BinaryIO], changed: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._groups = groups
        self._open_blob = open_blob
        self._changed = changed
        self._lock = threading.Lock()
        self._pending: dict[str, Pending] = {}
        self._blob_lock = threading.Lock()  # a blob of 512 MB takes a second, in which nobody else shall wait
        self._blobs: OrderedDict[str, Any] = OrderedDict()
        self._launchers = ThreadPoolExecutor(LAUNCHERS, thread_name_prefix="ray-launch")

    def replicas(self) -> Mapping[str, Replica]:
        """Return the replicas that are on their way."""
        with self._lock:
            return {replica_id: one.replica for replica_id, one in self._pending.items() if one.error is None}

    def get(self, replica_id: str) -> Pending | None:
        with self._lock:
            return self._pending.get(replica_id)

    def send(self, order: ReplicaOrder, watch: Watch, hardware: Callable[[str], Hardware | None]) -> None:
        """Begin to carry `order` out, unless it is on its way; raises why the last try failed, once."""
        with self._lock:
            known = self._pending.get(order.replica_id)
            if known is not None and known.error is not None:
                del self._pending[order.replica_id]
                raise known.error
            if known is not None:
                return
            pending = Pending(order, Replica(rank=order.rank, node=order.allocation.node))
            self._pending[order.replica_id] = pending
        self._launchers.submit(self._carry_out, pending, watch, hardware)

    def drop_seen(self, told: Told) -> None:
        """Forget the orders that a node's news include, or would if there were anything of them."""
        with self._lock:
            for replica_id, one in list(self._pending.items()):
                if one.order.allocation.node == told.node.name and (
                    replica_id in told.replicas or _is_past(one.seen_from, told)
                ):
                    del self._pending[replica_id]

    def drop_lost(self, node: str) -> None:
        """Forget the orders for a node that is gone."""
        with self._lock:
            self._pending = {name: one for name, one in self._pending.items() if one.order.allocation.node != node}

    def close(self) -> None:
        """Carry out nothing more; the next core gives the orders again."""
        self._launchers.shutdown(wait=False, cancel_futures=True)

    def _carry_out(self, pending: Pending, watch: Watch, hardware: Callable[[str], Hardware | None]) -> None:
        order = pending.order
        node = order.allocation.node
        if self.get(order.replica_id) is not pending:
            return  # Its node told of its end, or is gone.
        try:
            group = self._groups.hold(order, hardware)
            if pending.is_stopped:
                return  # Its node tells of it once the stop has come through.
            agent = watch.agent(node)
            blobs = self._lacking(order, agent, node)
            ready = carry(order, agent, self._connection)
            taken = self._connection.get(
                agent.start.remote(ready, group.hexadecimal, blobs), f"Node {node}", START_SECONDS
            )
            with self._lock:
                pending.seen_from = taken
        except LeptonError as error:
            self._fail(pending, error)
        except Exception as error:  # a mistake of ours must not leave the replica on its way for ever
            _log.exception("an order was not carried out", extra={"replica": order.replica_id})
            self._fail(pending, Unavailable(f"The order could not be carried out: {type(error).__name__}."))

    def _lacking(self, order: ReplicaOrder, agent: Any, node: str) -> Mapping[str, Any]:
        """Return references to those blobs that the order needs and its node does not have."""
        digests = [digest for digest in (order.program.bundle, order.program.call) if digest]
        if not digests:
            return {}
        missing = self._connection.get(agent.lacks.remote(digests), f"Node {node}")
        return {digest: self._reference(digest) for digest in missing}

    def _reference(self, digest: str) -> Any:
        with self._blob_lock:
            if digest not in self._blobs:
                with self._open_blob(digest) as file:
                    self._blobs[digest] = self._connection.put(file.read())
                while len(self._blobs) > BLOBS_KEPT:
                    self._blobs.popitem(last=False)
            self._blobs.move_to_end(digest)
            return self._blobs[digest]

    def _fail(self, pending: Pending, error: LeptonError) -> None:
        with self._lock:
            pending.error = error
        self._changed()


def _is_past(seen_from: tuple[str, int] | None, told: Told) -> bool:
    return seen_from is not None and (told.life != seen_from[0] or told.count >= seen_from[1])
