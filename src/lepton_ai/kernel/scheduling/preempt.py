"""Who is stopped so that a task can start: only if that saves more weighted time than it costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lepton_ai.kernel.scheduling.demand import Shape, rooms_of
from lepton_ai.kernel.scheduling.fleet import Bools, Ints, Pool
from lepton_ai.kernel.scheduling.groups import Choice, Group
from lepton_ai.kernel.scheduling.held import Floats, Stakes
from lepton_ai.kernel.scheduling.occupancy import Occupancy
from lepton_ai.kernel.scheduling.snapshot import Policy
from lepton_ai.kernel.scheduling.urgency import urgency

NODES_MAX = 32  # the most promising nodes; a closer look at one takes some 20 us


class Wanted(NamedTuple):
    """The task that finds no room: its weight, its place in the order of the queue, and where it could run."""

    group: Group
    choices: Sequence[Choice]
    weight: float
    priority: float  # its index without age
    project: str = ""

    @property
    def key(self) -> tuple[int, str]:
        """What decides, beside weight and priority, about who may be stopped for it."""
        return self.group.number, self.project


class Exchange(NamedTuple):
    """Stop `victims` (ids) and start another in their place, by `choice`.

    `saved` is what that one would wait otherwise, times its weight; `cost` what the victims lose, times theirs.
    """

    choice: Choice
    victims: tuple[str, ...]
    saved: float
    cost: float


class _Offer(NamedTuple):
    """Room for one parcel on one node: rows of the stakes that leave, what they lose, how long they would stay."""

    cost: float
    left: float
    rows: tuple[int, ...]

    @property
    def rank(self) -> float:
        return self.cost / max(self.left, 1.0)


class Victims:
    """What may be preempted in one walk.

    The room of a victim with remaining time p would open by itself in p seconds. A victim that finds room elsewhere
    (it moves) loses the time of its restart; any other waits until the task that displaces it ends, and must stand
    behind that one in the order of the queue. Exchange if

        w_j x max p_v  >  gain x sum of w_v D_v,   D_v = restart, or restart + p_j

    and each victim has run for long enough that its restarts stay a small part of its time. Whoever is preempted has a
    lower index by the factor `gain` or loses next to nothing, so that two tasks cannot displace each other in turns.
    """

    def __init__(
        self, occupancy: Occupancy, now: float, policy: Policy, groups_of: Callable[[str], Group | None]
    ) -> None:
        self._occupancy, self.policy = occupancy, policy
        self._groups_of = groups_of
        self._gone: set[str] = set()
        self._failed: dict[tuple[int, str], tuple[float, float]] = {}
        self._lendable: dict[str, Bools] = {}  # by the project of who wants them
        self._stakes = _ripe(occupancy.held.stakes(now), policy)
        self._by_group: dict[int, tuple[Group, Ints]] = {}
        self._seen = -1  # how many changes of what is free there were when the holes were last counted

    @property
    def exist(self) -> bool:
        """Tell whether anybody may be preempted."""
        return self._stakes is not None

    def _look(self, stakes: Stakes) -> None:
        """Find the place of each task in the order of the queue, and how many other nodes it could move to now."""
        if self._seen < 0:
            self._index, self._moves = np.full(len(stakes.id), np.inf), np.zeros(len(stakes.id), dtype=np.int64)
            rows_of: dict[int, list[int]] = {}
            groups: dict[int, Group] = {}
            for row, name in enumerate(stakes.id.tolist()):
                group = self._groups_of(name)
                if group is not None and group.options:
                    groups[group.number] = group
                    rows_of.setdefault(group.number, []).append(row)
            self._by_group = {number: (groups[number], np.array(rows)) for number, rows in rows_of.items()}
            for group, rows in self._by_group.values():
                self._index[rows] = stakes.weight[rows] / (stakes.left[rows] * group.options[0].share)
        if self._seen != self._occupancy.now.changes:
            self._seen = self._occupancy.now.changes
            for group, rows in self._by_group.values():
                if group.shape.size == 1:
                    self._moves[rows] = self._holes(group, stakes.node[rows])

    def _holes(self, group: Group, nodes: Ints) -> Ints:
        """Count for each of `nodes` the others on which a task of that shape finds room now."""
        holes = np.zeros(len(nodes), dtype=np.int64)
        for number, option in enumerate(group.options):
            if len(option.pool.classes) == 1:
                seats = self._occupancy.seats.of((group.number, number), group.shape, option.pool)
                holes += seats.open_nodes(but=nodes)
        return holes

    def for_(self, wanted: Wanted) -> Exchange | None:
        """Return the exchange that pays best for a task that finds no room, or None if none pays."""
        stakes, known = self._stakes, self._failed.get(wanted.key)
        if stakes is None or (known is not None and wanted.weight <= known[0] and wanted.priority <= known[1]):
            return None
        self._look(stakes)
        best: Exchange | None = None
        for choice in wanted.choices:
            found = self._on(stakes, wanted, choice)
            if found is not None and (best is None or found.saved - found.cost > best.saved - best.cost):
                best = found
        if best is None:
            self._failed[wanted.key] = wanted.weight, wanted.priority
        else:
            self._gone.update(best.victims)
        return best

    def _on(self, stakes: Stakes, wanted: Wanted, choice: Choice) -> Exchange | None:
        shape, pool = wanted.group.shape, wanted.group.options[choice[1]].pool
        cost = self._costs(stakes, wanted, choice[0])
        able = np.isfinite(cost) & pool.nodes[stakes.node]
        rows = np.flatnonzero(able)
        if not len(rows) or wanted.weight * stakes.left[rows].max() <= self.policy.preemption_gain * cost[rows].min():
            return None
        offers = self._offers(stakes, rows, cost, (shape, pool))
        offers.sort(key=lambda offer: (offer.rank, offer.rows))
        taken = offers[: shape.parcels]
        if len(taken) < shape.parcels:
            return None
        total, left = sum(offer.cost for offer in taken), max(offer.left for offer in taken)
        if wanted.weight * left <= self.policy.preemption_gain * total:
            return None
        victims = sorted({str(stakes.id[row]) for offer in taken for row in offer.rows})
        if not self._occupancy.shares.may_all_go(victims, wanted.project, self._gone):
            return None
        return Exchange(choice, tuple(victims), wanted.weight * left, total) if victims else None

    def _costs(self, stakes: Stakes, wanted: Wanted, seconds: float) -> Floats:
        """Return by row what preempting it costs: infinite if it must not be."""
        moves = np.where(self._moves > 0, stakes.weight * stakes.lost, np.inf)
        is_behind = self._index * self.policy.preemption_gain < wanted.priority
        cost: Floats = np.minimum(moves, np.where(is_behind, stakes.weight * (stakes.lost + seconds), np.inf))
        if self._occupancy.shares.is_on:
            cost[~self._may_go(stakes, wanted.project)] = np.inf
        if self._gone:
            cost[np.isin(stakes.id, list(self._gone))] = np.inf
        return cost

    def _may_go(self, stakes: Stakes, project: str) -> Bools:
        """Tell by row whether the project of that task keeps what it is promised without it."""
        known = self._lendable.get(project)
        if known is None:
            found = self._occupancy.shares.may_go(map(str, stakes.id), project, self._gone)
            known = np.array(found, dtype=np.bool_)
            self._lendable[project] = known
        return known

    def _offers(self, stakes: Stakes, rows: Ints, cost: Floats, want: tuple[Shape, Pool]) -> list[_Offer]:
        """Return room for a parcel each: where it is free, and where some have to go, on the most promising nodes."""
        shape, pool = want
        free = self._occupancy.free
        one = shape.parcel()
        offers: list[_Offer] = []
        if shape.size > 1:
            rooms = rooms_of(shape, free.cpu, free.memory, free.devices, pool.eligible) * pool.nodes
            offers = [_Offer(0.0, 0.0, ())] * int(min(rooms.sum(), shape.size) // max(shape.per_node, 1))
            rows = rows[rooms[stakes.node[rows]] == 0]
        nodes, place = np.unique(stakes.node[rows], return_inverse=True)
        potential = free.cpu[nodes].copy(), free.memory[nodes].copy(), free.devices[nodes].copy()
        for left, given in zip(potential, (stakes.cpu, stakes.memory, stakes.devices), strict=True):
            np.add.at(left, place, given[rows])
        eligible = None if pool.eligible is None else pool.eligible[nodes]
        longest, cheapest = np.zeros(len(nodes)), np.full(len(nodes), np.inf)
        np.maximum.at(longest, place, stakes.left[rows])
        np.minimum.at(cheapest, place, cost[rows])
        hope = np.where(rooms_of(one, *potential, eligible) > 0, cheapest / np.maximum(longest, 1.0), np.inf)
        for at in np.argsort(hope, kind="stable")[:NODES_MAX].tolist():
            if math.isfinite(hope[at]):
                offer = self._offer(stakes, rows[place == at], cost, (one, pool))
                offers += [offer] if offer is not None else []
        return offers

    def _offer(self, stakes: Stakes, rows: Ints, cost: Floats, want: tuple[Shape, Pool]) -> _Offer | None:
        """Let the cheapest leave one node, for what each gives, until one replica fits; then let stay who can."""
        shape, pool = want
        node, free = int(stakes.node[rows[0]]), self._occupancy.free
        eligible = None if pool.eligible is None else pool.eligible[node]
        cpu, memory, devices = int(free.cpu[node]), int(free.memory[node]), free.devices[node].copy()

        def has_room() -> bool:
            if cpu < shape.cpu_milli or memory < shape.memory_bytes:
                return False
            return eligible is None or int((devices // shape.share_milli)[eligible].sum()) >= shape.devices

        given = np.maximum.reduce([
            stakes.devices[rows].sum(axis=1) / max(shape.devices * shape.share_milli, 1),
            stakes.cpu[rows] / max(shape.cpu_milli, 1),
            stakes.memory[rows] / max(shape.memory_bytes, 1),
        ])  # fmt: skip
        taken: list[int] = []
        for row in rows[np.argsort(cost[rows] / np.maximum(np.minimum(given, 1.0), 1e-9), kind="stable")].tolist():
            if has_room():
                break
            taken.append(row)
            cpu, memory, devices = cpu + stakes.cpu[row], memory + stakes.memory[row], devices + stakes.devices[row]
        if not has_room():
            return None
        for row in taken[::-1]:
            cpu, memory, devices = cpu - stakes.cpu[row], memory - stakes.memory[row], devices - stakes.devices[row]
            if has_room():
                taken.remove(row)
            else:
                cpu, memory, devices = cpu + stakes.cpu[row], memory + stakes.memory[row], devices + stakes.devices[row]
        return self._priced(stakes, taken, cost)

    def _priced(self, stakes: Stakes, taken: Sequence[int], cost: Floats) -> _Offer | None:
        """Return the offer; several that would move need a hole each."""
        total = sum(float(cost[row]) for row in taken)
        movers = [row for row in taken if cost[row] == stakes.weight[row] * stakes.lost[row]]
        if movers and min(int(self._moves[row]) for row in movers) < len(movers):
            return None
        left = max((float(stakes.left[row]) for row in taken), default=0.0)
        return _Offer(total, left, tuple(taken))


def _ripe(stakes: Stakes | None, policy: Policy) -> Stakes | None:
    """Return those who ran for long enough since they were last started, with their weights as they are now."""
    if stakes is None:
        return None
    ripe = stakes.ran >= stakes.restart * policy.preemption_pause
    if not ripe.any():
        return None
    stakes = stakes.only(ripe)
    if not np.isfinite(stakes.slack).any():
        return stakes
    # It weighs what it weighed when it was started for being due, or it would be stopped for that.
    return stakes._replace(weight=stakes.weight * urgency(stakes.slack, stakes.whole, policy))
