"""Room kept for the head of the queue, so that backfill cannot delay it (EASY, Lifka 1995)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lepton_ai.kernel.scheduling.allocate import Room, Spot, cursor_for
from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.kernel.scheduling.fleet import Fleet, Holding, Ledger, Pool
from lepton_ai.kernel.scheduling.timeline import Opening, Timeline

PLENTY = 2**60  # nothing is reserved on a node: any amount is left


@dataclass(frozen=True, slots=True)
class Reservation:
    """From `seconds` on, one waiting task will hold `spots`.

    `spare` is what is left beside it at that moment, on the nodes concerned, to tasks that would still run then.
    `holdings` are what it will hold, for the plans of those behind it.
    """

    task_id: str
    task_name: str
    seconds: float
    opening: Opening
    spots: tuple[Spot, ...]
    spare: Ledger
    holdings: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """The task that wants a reservation, in one pool, and how long it would run there (80th percentile)."""

    task_id: str
    task_name: str
    shape: Shape
    pool: Pool
    p80: float


def reserve(claim: Claim, opening: Opening, timeline: Timeline, fleet: Fleet) -> Reservation | None:
    """Choose the nodes and devices that `claim` will take at its opening."""
    then = _free_then(claim, opening, timeline, fleet.ledger())
    spots = cursor_for(claim.shape, claim.pool, Room(fleet, then, then, [])).find()
    if spots is None:
        return None
    holdings = holdings_at(spots, claim.shape, claim.task_name, opening.seconds + claim.p80, fleet)
    nodes = frozenset(node for node, _ in spots)
    spare = _plenty(then, nodes)
    for node in nodes:
        spare.cpu[node], spare.memory[node], spare.devices[node] = then.cpu[node], then.memory[node], then.devices[node]
    for holding in holdings:
        spare.take(holding)
    return Reservation(claim.task_id, claim.task_name, opening.seconds, opening, tuple(spots), spare, tuple(holdings))


def holdings_at(spots: Sequence[Spot], shape: Shape, name: str, ends_in: float, fleet: Fleet) -> list[Holding]:
    """Return what a task of that shape and name holds on `spots` until `ends_in` seconds from now."""
    holdings = []
    devices: tuple[tuple[int, int], ...]
    for row, columns in spots:
        resource_class, devices = fleet.nodes[row].cpu_class, ()
        if columns:
            resource_class = fleet.nodes[row].devices[columns[0]].kind
            devices = tuple([(column, shape.share_milli) for column in columns])
        holdings.append(Holding(ends_in, row, shape.cpu_milli, shape.memory_bytes, devices, resource_class, name))
    return holdings


def _free_then(claim: Claim, opening: Opening, timeline: Timeline, then: Ledger) -> Ledger:
    """Return, in `then`, what is free at the opening on the nodes that have room; nothing elsewhere."""
    for amounts in (then.cpu, then.memory, then.devices):
        amounts.fill(0)
    for node in timeline.nodes_with_room(claim.shape, claim.pool, opening.seconds).tolist():
        row = timeline.row_at(node, opening.seconds)
        then.cpu[node], then.memory[node] = timeline.cpu[row], timeline.memory[row]
        then.devices[node] = timeline.devices[row]
    return then


def _plenty(like: Ledger, rows: frozenset[int]) -> Ledger:
    cpu, memory, devices = (np.full_like(array, PLENTY) for array in (like.cpu, like.memory, like.devices))
    return Ledger(cpu, memory, devices, rows)
