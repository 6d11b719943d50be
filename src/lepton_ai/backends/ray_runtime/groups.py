"""Placement groups: each stands for what one task holds, so that Ray's books say what ours do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import ray
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

from lepton_ai.backends.ray_runtime.amounts import NODE_LABEL, bundle
from lepton_ai.backends.ray_runtime.connection import translated
from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.types.node import Hardware
from lepton_ai.types.resources import Allocation

PREFIX = "lepton:"
ENDED = "REMOVED"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Group:
    """One placement group. Bundle `rank` is what the replica of that rank holds on the node of the same place."""

    task_id: str
    handle: PlacementGroup
    nodes: Sequence[str]
    bundles: Sequence[Mapping[str, float]]

    @property
    def hexadecimal(self) -> str:
        return str(self.handle.id.hex())

    def replicas(self) -> Sequence[tuple[str, str]]:
        """Return the id and the node of each replica."""
        return [(f"{self.task_id}-{rank}", node) for rank, node in enumerate(self.nodes)]


class Groups:
    """The groups of this cluster, those of an earlier core included. Safe to call from any thread."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names` are our names of the nodes by Ray's ids: the groups that an earlier core made are found by them."""
        self._lock = threading.Lock()
        self._groups = {group.task_id: group for group in _found(names)}

    def all(self) -> Sequence[Group]:
        with self._lock:
            return list(self._groups.values())

    def hold(self, order: ReplicaOrder, hardware: Callable[[str], Hardware | None]) -> Group:
        """Ask Ray to set aside what the task of `order` holds, unless it was asked before; raises Unavailable.

        Nobody waits until it has: it takes 3 ms, but 1 s where Ray has not yet booked what an earlier group gave back.
        """
        task_id = task_of(order)
        with self._lock:
            if task_id not in self._groups:
                self._groups[task_id] = _make(task_id, order.gang or (order.allocation,), hardware)
            return self._groups[task_id]

    def release(self, is_over: Callable[[str, str], bool]) -> None:
        """Give back the groups of which every replica (id and node) is over; raises Unavailable."""
        with self._lock:
            ended = [one for one in self._groups.values() if all(is_over(*replica) for replica in one.replicas())]
            for group in ended:
                with translated("Ray"):
                    remove_placement_group(group.handle)
                del self._groups[group.task_id]


def task_of(order: ReplicaOrder) -> str:
    """Return what the ids of all replicas of the order's task have in common."""
    return order.replica_id.removesuffix(f"-{order.rank}")


def _make(task_id: str, held: Sequence[Allocation], hardware: Callable[[str], Hardware | None]) -> Group:
    allocations = sorted(held, key=lambda one: one.rank)
    nodes = [one.node for one in allocations]
    bundles = [dict(bundle(one, hardware(one.node))) for one in allocations]
    with translated("Ray"):
        handle = placement_group(
            bundles,
            strategy="PACK",  # says nothing: each bundle has only one node that it may lie on
            name=f"{PREFIX}{task_id}",
            lifetime="detached",
            bundle_label_selector=[{NODE_LABEL: node} for node in nodes],
        )
    return Group(task_id, handle, nodes, bundles)


def _found(names: Mapping[str, str]) -> Sequence[Group]:
    with translated("Ray"):
        table = placement_group_table()
    found = []
    for group_id, told in table.items():
        if not told["name"].startswith(PREFIX) or told["state"] == ENDED:
            continue
        bundles = [told["bundles"][place] for place in sorted(told["bundles"])]
        nodes = [names.get(told["bundles_to_node_id"].get(place, ""), "") for place in range(len(bundles))]
        handle = PlacementGroup(ray.PlacementGroupID(bytes.fromhex(group_id)), bundle_cache=bundles)
        found.append(Group(told["name"].removeprefix(PREFIX), handle, nodes, bundles))
    return found
