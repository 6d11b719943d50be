"""Room kept for the head of the queue, so that backfill cannot delay it (EASY, Lifka 1995)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.kernel.scheduling.fleet import Fleet, Ledger, Pool
from lepton_ai.kernel.scheduling.held import Holdings
from lepton_ai.kernel.scheduling.score import Scorer
from lepton_ai.kernel.scheduling.seats import Room, Seats, Spot, take
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
    holdings: Holdings


@dataclass(frozen=True, slots=True)
class Claim:
    """The task that wants a reservation, in one pool, and how long it would run there (80th percentile)."""

    task_id: str
    task_name: str
    shape: Shape
    pool: Pool
    p80: float


def reserve(claim: Claim, opening: Opening, timeline: Timeline, now: tuple[Fleet, Scorer]) -> Reservation | None:
    """Choose the nodes and devices that `claim` will take at its opening."""
    fleet, scorer = now
    then = _free_then(claim, opening, timeline, fleet.ledger())
    spots = Seats(claim.shape, claim.pool, Room(scorer, then, [])).find()
    if spots is None:
        return None
    nodes = frozenset(node for node, _ in spots)
    spare = _plenty(then, nodes)
    for node in nodes:
        spare.cpu[node], spare.memory[node], spare.devices[node] = then.cpu[node], then.memory[node], then.devices[node]
    take(spare, spots, claim.shape)
    holdings = holdings_of(spots, claim, opening.seconds + claim.p80, fleet)
    return Reservation(claim.task_id, claim.task_name, opening.seconds, opening, tuple(spots), spare, holdings)


def holdings_of(spots: Sequence[Spot], claim: Claim, ends_in: float, fleet: Fleet) -> Holdings:
    """Return what the task of `claim` holds on `spots` until `ends_in` seconds from now."""
    count, shape = len(spots), claim.shape
    devices = np.zeros((count, fleet.device_total.shape[1]), dtype=np.int64)
    for row, (_, columns) in enumerate(spots):
        for column in columns:
            devices[row, column] += shape.share_milli
    node = np.array([node for node, _ in spots], dtype=np.int64)
    classes = [fleet.nodes[n].devices[c[0]].kind if c else fleet.nodes[n].cpu_class for n, c in spots]
    codes = np.array([fleet.class_codes[name] for name in classes], dtype=np.int64)
    cpu, memory = (np.full(count, amount, dtype=np.int64) for amount in (shape.cpu_milli, shape.memory_bytes))
    on_time = np.zeros(count, dtype=np.bool_)
    return Holdings(
        np.full(count, ends_in),
        node,
        cpu,
        memory,
        devices,
        on_time,
        np.full(count, claim.task_name, dtype=np.object_),
        codes,
    )


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
