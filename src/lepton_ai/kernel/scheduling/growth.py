"""Which nodes to add so that what waits can start, at least cost: found by planning with them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import NodeView, Plan, Policy, Refusal, Snapshot, WaitingTask

TASKS_MAX = 200  # of those that wait, from the head: a plan for them takes 4 ms; the rest has its turn after them
NODES_MAX = 200  # added at once
PLANS_MAX = 60  # x 4 ms = 0.25 s
PLANS_MAX_FOR_MANY, MANY_NODES = 20, 1000  # a plan on 5,000 nodes takes 55 ms: 20 of them are 1.1 s
ORDERS_MAX = 6  # in which groups are tried: every one of up to three
# More machines do not help against these.
_NOT_FOR_ROOM = frozenset({Refusal.QUOTA, Refusal.BUDGET})

Counts = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """So many more nodes that are like `node`, each ready after about `boot_seconds`."""

    group: str
    node: NodeView
    room: int
    boot_seconds: float = 0.0

    @property
    def price(self) -> float:
        """What one node costs in an hour."""
        return self.node.price.per_hour if self.node.price else 0.0

    def nodes(self, count: int) -> list[NodeView]:
        """Return that many of them, each with devices of its own."""
        return [_named(self.node, f"{self.group}+{number}") for number in range(1, count + 1)]


@dataclass(frozen=True, slots=True)
class Growth:
    """How many nodes to add by group, and for each of them the tasks that would start there.

    `used` are the nodes of the snapshot on which something that waits would start.
    """

    add: Mapping[str, Sequence[Collection[str]]] = field(default_factory=dict)
    price: float = 0.0  # of all of them for an hour
    used: frozenset[str] = frozenset()


def grow(snapshot: Snapshot, offers: Sequence[Offer], policy: Policy = Policy()) -> Growth:  # noqa: B008 - frozen
    """Return the cheapest set of nodes found with which everything starts that any number of them would let start.

    Nodes that are on their way are to be in `snapshot` already. A task that is expected to start by itself before a
    new node would be there asks for none. Every set that is considered is judged by a plan of the scheduler itself, so
    that gangs, labels, devices and shares count as they will. The search starts from all that is offered and leaves
    out what is not needed, in each order of the groups; then it exchanges nodes one by one while that is cheaper.
    """
    if not snapshot.waiting:
        return Growth()
    offers = sorted((offer for offer in offers if offer.room > 0), key=lambda offer: (offer.price, offer.group))
    plan = schedule(snapshot, policy)
    used = frozenset(held.node for placed in plan.placements for held in placed.allocations)
    snapshot, stuck = _who_is_stuck(snapshot, plan, offers)
    if not stuck or not offers:
        return Growth(used=used)
    replicas = sum(task.demand.size for task in snapshot.waiting if task.id in stuck)
    caps = tuple(min(offer.room, replicas, NODES_MAX // len(offers) or 1) for offer in offers)
    search = _Search(snapshot, offers, policy)
    search.served = stuck & search.started(caps)
    if not search.served:
        return Growth(used=used)
    orders = itertools.islice(itertools.permutations(range(len(offers))), ORDERS_MAX)
    best = min((search.shrink(caps, order) for order in orders), key=search.cost)
    best = search.exchange(best, caps)
    return search.growth(best)


def _who_is_stuck(snapshot: Snapshot, plan: Plan, offers: Sequence[Offer]) -> tuple[Snapshot, frozenset[str]]:
    """Return the snapshot with those at the head of the queue alone, and who of them waits for want of room."""
    waits = sorted(plan.waits, key=lambda wait: wait.rank)
    soon = snapshot.now + timedelta(seconds=min((offer.boot_seconds for offer in offers), default=0.0))
    stuck = [
        wait.task_id
        for wait in waits
        if wait.refusal not in _NOT_FOR_ROOM and not (wait.expected_start and wait.expected_start <= soon)
    ][:TASKS_MAX]
    left_out = {wait.task_id for wait in waits} - set(stuck)
    kept: tuple[WaitingTask, ...] = tuple(task for task in snapshot.waiting if task.id not in left_out)
    return replace(snapshot, waiting=kept), frozenset(stuck)


class _Search:
    """Plans with sets of added nodes, each set once. `served` are the tasks that every set must let start."""

    def __init__(self, snapshot: Snapshot, offers: Sequence[Offer], policy: Policy) -> None:
        self._snapshot, self._offers, self._policy = snapshot, offers, policy
        self._plans_max = PLANS_MAX if len(snapshot.nodes) < MANY_NODES else PLANS_MAX_FOR_MANY
        self._known: dict[Counts, frozenset[str]] = {}
        self.served: frozenset[str] = frozenset()

    def started(self, counts: Counts) -> frozenset[str]:
        """Return the tasks that start with so many nodes of each offer."""
        if counts not in self._known:
            self._known[counts] = frozenset(placed.task_id for placed in self._plan(counts).placements)
        return self._known[counts]

    def cost(self, counts: Counts) -> tuple[float, int, Counts]:
        """Return what sets are compared by: the price of an hour, then the number of nodes."""
        return sum(n * offer.price for n, offer in zip(counts, self._offers, strict=True)), sum(counts), counts

    def shrink(self, counts: Counts, order: Sequence[int]) -> Counts:
        """Leave out of each group, one after the other, what is not needed beside the rest."""
        for place in order:
            counts = _with(counts, place, self._fewest(counts, place, 0, counts[place]))
        return counts

    def exchange(self, counts: Counts, caps: Counts) -> Counts:
        """Put nodes of one group in the place of one of another while that is cheaper."""
        pairs = list(itertools.permutations(range(len(counts)), 2))
        while len(self._known) < self._plans_max:
            better = [self._exchanged(counts, caps, out, into) for out, into in pairs if counts[out]]
            best = min([counts, *better], key=self.cost)
            if best == counts:
                break
            counts = best
        return counts

    def growth(self, counts: Counts) -> Growth:
        """Return the answer: what is added, and who starts on it."""
        there = {node.name for node in self._snapshot.nodes}
        tasks: dict[str, set[str]] = {}
        used: set[str] = set()
        for placed in self._plan(counts).placements:
            for held in placed.allocations:
                if held.node in there:
                    used.add(held.node)
                else:
                    tasks.setdefault(held.node, set()).add(placed.task_id)
        added = {
            offer.group: [sorted(tasks.get(node.name, ())) for node in offer.nodes(count)]
            for offer, count in zip(self._offers, counts, strict=True)
            if count
        }
        return Growth(added, self.cost(counts)[0], frozenset(used))

    def _exchanged(self, counts: Counts, caps: Counts, out: int, into: int) -> Counts:
        fewer, most = _with(counts, out, counts[out] - 1), caps[into]
        if not self._serves(_with(fewer, into, most)):
            return counts
        return _with(fewer, into, self._fewest(fewer, into, counts[into], most))

    def _fewest(self, counts: Counts, place: int, low: int, high: int) -> int:
        """Return the fewest of one group with which all are served; `high` of it are known to do."""
        while low < high:
            middle = (low + high) // 2
            if self._serves(_with(counts, place, middle)):
                high = middle
            else:
                low = middle + 1
        return high

    def _serves(self, counts: Counts) -> bool:
        is_known = counts in self._known
        # Once too many plans were made, what is not known does not serve: the answer is one that was seen to.
        return self.served <= self.started(counts) if is_known or len(self._known) < self._plans_max else False

    def _plan(self, counts: Counts) -> Plan:
        pairs = zip(self._offers, counts, strict=True)
        added: list[NodeView] = [node for offer, count in pairs for node in offer.nodes(count)]
        return schedule(replace(self._snapshot, nodes=(*self._snapshot.nodes, *added)), self._policy)


def _named(node: NodeView, name: str) -> NodeView:
    devices = tuple(replace(device, id=f"{name}-{place}") for place, device in enumerate(node.devices))
    return replace(node, name=name, devices=devices)


def _with(counts: Counts, place: int, count: int) -> Counts:
    return (*counts[:place], count, *counts[place + 1 :])
