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
from lepton_ai.backends.ray_runtime.connection import Connection
from lepton_ai.backends.ray_runtime.groups import Groups
from lepton_ai.backends.ray_runtime.watch import Watch
from lepton_ai.errors import LeptonError
from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.types.node import Hardware
from lepton_ai.types.task import Replica

LAUNCHERS = 8  # a start is 5 ms of waiting for Ray; a node that hangs holds one of them for some seconds
GROUP_SECONDS = 2.0  # setting resources aside takes 2 ms, or a retry of Ray's: 1 s at most
START_SECONDS = 120.0  # a bundle of 512 MB over a line of 100 Mbit/s takes 45 s
BLOBS_KEPT = 16  # in Ray's object store, so that an array's bundle is put there once
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Pending:
    """One order. Once the agent has taken it, `seen_from` says from which news on it is told of."""

    order: ReplicaOrder
    replica: Replica
    seen_from: tuple[str, int] | None = None
    is_stopped: bool = False


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
        self._refused: dict[str, LeptonError] = {}
        self._blobs: OrderedDict[str, Any] = OrderedDict()
        self._launchers = ThreadPoolExecutor(LAUNCHERS, thread_name_prefix="ray-launch")

    def replicas(self) -> Mapping[str, Replica]:
        """Return the replicas that are on their way."""
        with self._lock:
            return {replica_id: one.replica for replica_id, one in self._pending.items()}

    def get(self, replica_id: str) -> Pending | None:
        with self._lock:
            return self._pending.get(replica_id)

    def send(self, order: ReplicaOrder, watch: Watch, hardware: Callable[[str], Hardware | None]) -> None:
        """Begin to carry `order` out, unless it is on its way; raises why the last try failed, once."""
        with self._lock:
            if refused := self._refused.pop(order.replica_id, None):
                raise refused
            if order.replica_id in self._pending:
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
            if not self._groups.wait(group, GROUP_SECONDS):
                self._tell(pending, f"Waiting until Ray sets aside what it holds on {node}: others are using it.")
                self._launchers.submit(self._carry_out, pending, watch, hardware)
                return
            if pending.is_stopped:
                return  # Its node tells of it once the stop has come through.
            agent = watch.agent(node)
            blobs = self._lacking(order, agent, node)
            taken = self._connection.get(
                agent.start.remote(order, group.hexadecimal, blobs), f"Node {node}", START_SECONDS
            )
            with self._lock:
                pending.seen_from = taken
        except LeptonError as error:
            with self._lock:
                self._refused[order.replica_id] = error
            self._drop(pending)
        except RuntimeError:
            return  # The launchers were shut down: the next core gives the order again.

    def _lacking(self, order: ReplicaOrder, agent: Any, node: str) -> Mapping[str, Any]:
        """Return references to those blobs that the order needs and its node does not have."""
        digests = [digest for digest in (order.program.bundle, order.program.call) if digest]
        if not digests:
            return {}
        missing = self._connection.get(agent.lacks.remote(digests), f"Node {node}")
        return {digest: self._reference(digest) for digest in missing}

    def _reference(self, digest: str) -> Any:
        with self._lock:
            if digest not in self._blobs:
                with self._open_blob(digest) as file:
                    self._blobs[digest] = self._connection.put(file.read())
                while len(self._blobs) > BLOBS_KEPT:
                    self._blobs.popitem(last=False)
            self._blobs.move_to_end(digest)
            return self._blobs[digest]

    def _tell(self, pending: Pending, sentence: str) -> None:
        with self._lock:
            pending.replica = pending.replica.replace(sentence=sentence)
        self._changed()

    def _drop(self, pending: Pending) -> None:
        with self._lock:
            if self._pending.get(pending.order.replica_id) is pending:
                del self._pending[pending.order.replica_id]
        self._changed()


def _is_past(seen_from: tuple[str, int] | None, told: Told) -> bool:
    return seen_from is not None and (told.life != seen_from[0] or told.count >= seen_from[1])
