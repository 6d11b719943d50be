"""What runs on each node: one detached actor around the local runtime. It does there what the core asks for.

Ray restarts the actor whenever its process dies; the replicas belong to their supervisors and do not notice.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import ray

from lepton_ai.backends.home import Home
from lepton_ai.backends.local_runtime import LocalNode, LocalRuntime
from lepton_ai.backends.ray_cluster.node_door import read_port
from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.backends.ray_runtime.address import entry_environment
from lepton_ai.backends.ray_runtime.amounts import HARDWARE_FILE
from lepton_ai.backends.ray_runtime.inside import GROUP_VARIABLE, HOOK
from lepton_ai.backends.ray_runtime.landing import Landing
from lepton_ai.backends.ray_runtime.node_blobs import NodeBlobs
from lepton_ai.kernel.runtime import LogChunk, NodeObservation, ReplicaOrder
from lepton_ai.node.bundle import BundleCache
from lepton_ai.node.environment import EnvironmentCache
from lepton_ai.node.hardware import UseSampler, detect_hardware
from lepton_ai.node.preparation import Preparer
from lepton_ai.node.steady_use import SteadyUse
from lepton_ai.settings import default_home
from lepton_ai.types.checkpoint import CheckpointPolicy, FoundVersion
from lepton_ai.types.node import Hardware
from lepton_ai.types.task import Replica


@dataclass(frozen=True, slots=True)
class Told:
    """What an agent sees. `count` grows with each change within one `life` of the agent."""

    life: str
    count: int
    node: NodeObservation
    # 1,000 replicas of a node are 1 MB; a node holds a few dozen at a time, so the whole is told each time.
    replicas: Mapping[str, Replica]


class NodeAgent:
    """The actor. Ray calls it from several threads at once; the local runtime below is made for that."""

    def __init__(self, name: str, log_bytes_max: int) -> None:
        home = Home(default_home())
        hardware = _hardware_of(home)
        self._place = ClusterPlace(home.folder)
        self._landing = Landing(home.folder / "fetched" / "checkpoints")
        self._blobs = NodeBlobs(home.folder / "fetched", home.blobs)
        preparer = Preparer(
            self._blobs.open, BundleCache(home.bundles, self._blobs.open), EnvironmentCache(home.environments)
        )
        context = ray.get_runtime_context()
        self._entry = entry_environment(context.gcs_address)
        sample = SteadyUse(UseSampler(hardware)).sample
        self._raylet = os.getppid()
        # The leash is the raylet: once it is gone, the kernel starts elsewhere what ran here.
        node = LocalNode(name, hardware, sample, address=ray.util.get_node_ip_address(), leash=self._raylet)
        self._runtime = LocalRuntime(home.runtime, node, prepare=preparer.prepare, log_bytes_max=log_bytes_max)
        self._life = uuid.uuid4().hex
        self._count = 0
        self._changed = threading.Condition()
        self._runtime.on_change(self._note)

    def observe(self, life: str, count: int, seconds: float) -> Told:
        """Return what is seen as soon as it differs from what was told with this `life` and `count`, or in the end."""
        with self._changed:
            self._changed.wait_for(lambda: (self._life, self._count) != (life, count), seconds)
            count = self._count
        # Where this is the core's own machine, it knows better.
        node = replace(self._runtime.nodes()[0], door=read_port(self._place))
        told = Told(self._life, count, node, dict(self._runtime.replicas()))
        self._end_with_raylet()
        return told

    def lacks(self, digests: Collection[str]) -> Sequence[str]:
        """Return those blobs of `digests` that are not on this node."""
        return [digest for digest in digests if not self._blobs.has(digest)]

    def start(self, order: ReplicaOrder, group: str, blobs: Mapping[str, ray.ObjectRef[bytes]]) -> tuple[str, int]:
        """Begin to start the replica, whose share of the cluster is the placement group `group`.

        Returns the life and count from which on it is seen. Raises what `LocalRuntime.start` does.
        """
        self._end_with_raylet()
        for digest, reference in blobs.items():
            self._blobs.put(digest, ray.get(reference))
        entry = {**self._entry, HOOK[0]: HOOK[1], GROUP_VARIABLE: group}
        self._runtime.start(replace(self._landing.placed(order), env={**entry, **order.env}))
        with self._changed:
            self._note()
            return self._life, self._count

    def stop(self, replica_id: str, rank: int, grace_seconds: float) -> None:
        """End the replica; one that is not here yet will never start, however late its order arrives."""
        if not self._runtime.bar(replica_id, rank):
            self._runtime.stop(replica_id, timedelta(seconds=grace_seconds))
        self._note()

    def forget(self, replica_id: str, delete_log: bool) -> None:
        self._runtime.forget(replica_id, delete_log=delete_log)
        self._landing.clear(replica_id)
        self._note()

    def keep_only(self, replica_ids: Collection[str]) -> None:
        self._runtime.keep_only(replica_ids)

    def free_port(self) -> int:
        return self._runtime.free_port(self._runtime.nodes()[0].name)

    def knows(self, replica_id: str) -> bool:
        """Tell whether this node has anything of the replica, if only its log."""
        return self._runtime.knows(replica_id)

    def read_log(self, replica_id: str, offset: int, limit: int) -> LogChunk:
        return self._runtime.read_log(replica_id, offset, limit)

    def read_result(self, replica_id: str) -> bytes | None:
        return self._runtime.read_result(replica_id)

    def take_checkpoint(self, replica_id: str, nth: int, offset: int, piece: bytes) -> None:
        """Keep a piece of a file of the checkpoint that a replica will go on from."""
        self._landing.take(replica_id, nth, offset, piece)

    def find_checkpoints(self, replica_id: str, policy: CheckpointPolicy) -> Sequence[FoundVersion]:
        return self._runtime.find_checkpoints(replica_id, policy)

    def read_checkpoint(self, replica_id: str, path: str, offset: int, limit: int) -> bytes:
        return self._runtime.read_checkpoint(replica_id, path, offset, limit)

    def _end_with_raylet(self) -> None:
        """End at once where the raylet has: everything here ends with it, and that is the loss of the node, once.

        Told one by one, each replica would be tried again here, where it cannot live, until no tries are left.
        """
        if os.getppid() != self._raylet:
            os._exit(1)

    def _note(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()


def _hardware_of(home: Home) -> Hardware:
    try:
        return Hardware.model_validate_json((home.folder / HARDWARE_FILE).read_text())
    except FileNotFoundError:
        return detect_hardware(home=home.folder)
