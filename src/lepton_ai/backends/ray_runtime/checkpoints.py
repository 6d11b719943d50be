"""Carries a checkpoint from the core's store to the node on which a replica goes on from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lepton_ai.backends.ray_runtime.connection import Connection
from lepton_ai.backends.ray_runtime.landing import CarriedVersion
from lepton_ai.kernel.runtime import ReplicaOrder

PIECE_BYTES = 8 * 1024 * 1024  # in Ray's object store at a time


def carry(order: ReplicaOrder, agent: Any, connection: Connection) -> ReplicaOrder:
    """Send the checkpoint that a replica goes on from to its node; return the order as the node is to have it.

    Raises what reading the checkpoint does, and Unavailable.
    """
    version = order.resumes_from
    if version is None:
        return order
    files = tuple(version.files())
    for nth, file in enumerate(files):
        with version.open(file) as source:
            offset = 0
            while (piece := source.read(PIECE_BYTES)) or offset == 0:
                taken = agent.take_checkpoint.remote(order.replica_id, nth, offset, piece)
                connection.get(taken, f"Node {order.allocation.node}")
                offset += len(piece)
                if not piece:
                    break
    return replace(order, resumes_from=CarriedVersion(version.name, files))
