"""The scheduler that remembers: it is told what changed, and looks again at what that touches."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain

import numpy as np

from lepton_ai.kernel.scheduling.classes.market import Market
from lepton_ai.kernel.scheduling.classes.turn import Turn
from lepton_ai.kernel.scheduling.classes.words import terms as terms_of
from lepton_ai.kernel.scheduling.classes.words import why_here
from lepton_ai.kernel.scheduling.collector import paused_collector
from lepton_ai.kernel.scheduling.costs import terms as cost_terms
from lepton_ai.kernel.scheduling.course import started, stopping
from lepton_ai.kernel.scheduling.demand import Shape, shape_of
from lepton_ai.kernel.scheduling.fleet import Fleet, Ints
from lepton_ai.kernel.scheduling.groups import NOTHING_KNOWN, Group, Groups, fits_one_of
from lepton_ai.kernel.scheduling.lateness import lateness, with_lateness
from lepton_ai.kernel.scheduling.occupancy import Occupancy
from lepton_ai.kernel.scheduling.preempt import Victims
from lepton_ai.kernel.scheduling.reasons import in_words
from lepton_ai.kernel.scheduling.reclaim import Sharing, preempted
from lepton_ai.kernel.scheduling.snapshot import (
    Demand,
    Expectation,
    NodeView,
    Placement,
    Plan,
    Policy,
    ProjectView,
    RunningTask,
    Snapshot,
    WaitingTask,
)
from lepton_ai.kernel.scheduling.turns import Turns, ranking_of
from lepton_ai.kernel.scheduling.waiting import Ranking, Waiting
from lepton_ai.kernel.scheduling.waits import Outlook, waits_of
from lepton_ai.kernel.scheduling.walk import HEAD_ROWS, Started, Walk
from lepton_ai.kernel.scheduling.why import making_room, why_this

FREED_MAX = 64  # if more nodes have room again, every shape is looked at anew
SHAPES_MAX = 10_000  # of about 1 kB each = 10 MB


class Scheduler:
    """The state of the world as the scheduler needs it: nodes, who runs where, who waits.

    `plan` starts what `schedule` starts for a snapshot of that state, but looks only at the shapes for which something
    may have changed: those of new tasks, those that fit a node where something became free, those that wait for a
    reservation or a faster class, and the head of the queue. What it places counts as running from then on, and what it
    preempts as stopping; whoever does not carry that out says so by `submit` and `run`. Over classes of unlike speed it
    also learns what arrives (see `classes`).
    """

    def __init__(
        self,
        nodes: Iterable[NodeView] = (),
        policy: Policy = Policy(),  # noqa: B008 - a frozen value
        shapes_max: int = SHAPES_MAX,
    ) -> None:
        self.policy, self._shapes_max = policy, shapes_max
        self._projects: tuple[ProjectView, ...] = ()
        self._running: dict[str, RunningTask] = {}
        self._waiting = Waiting()
        self._market = Market(policy)
        self.set_nodes(nodes)

    def set_nodes(self, nodes: Iterable[NodeView]) -> None:
        """Replace the nodes; everything is reckoned anew."""
        self._nodes = tuple(nodes)
        self.fleet = Fleet(self._nodes)
        self._groups, self._occupancy = Groups(self.fleet), Occupancy(self.fleet, self._projects)
        self._is_open = np.zeros(0, dtype=np.bool_)  # by group: some task of it may start
        self._market.set_fleet(self.fleet)
        tasks, self._waiting = self._waiting.tasks, Waiting()
        self._shapes: dict[str, Shape] = {}
        for task in self._running.values():
            self._hold(task)
            self._count(task.id, shape_of(task.demand) if task.demand else None)
            self._enter(task)
        self._fresh: set[str] = set()
        for waiting in tasks:
            self._submit(waiting, is_new=False)

    def set_projects(self, projects: Iterable[ProjectView]) -> None:
        """Replace the projects that share the machines; everything is reckoned anew."""
        self._projects = tuple(projects)
        self._market = Market(self.policy)
        self.set_nodes(self._nodes)

    def follow(self, snapshot: Snapshot) -> None:
        """Bring the state up to `snapshot`, at the cost of what differs from what is known."""
        if snapshot.projects != self._projects:
            self.set_projects(snapshot.projects)
        if snapshot.nodes != self._nodes:
            self.set_nodes(snapshot.nodes)
        waiting = {task.id: task for task in snapshot.waiting}
        running = {task.id: task for task in snapshot.running}
        known = [*self._waiting.row_of, *self._running]
        for task_id in known:
            if task_id not in waiting and task_id not in running:
                self.forget(task_id)
        for task_id in sorted(running):
            if running[task_id] != self._running.get(task_id):
                self.run(running[task_id])
        for task_id in sorted(waiting):
            row = self._waiting.row_of.get(task_id)
            if row is None or (self._waiting.tasks[row] is not waiting[task_id]):
                self.submit(waiting[task_id])

    def submit(self, task: WaitingTask) -> None:
        """Let a task wait. One that waits already is replaced; one that held something gives it back."""
        is_new = task.id not in self._running and task.id not in self._waiting.row_of
        self._forget(task.id, is_gone=False)
        self._submit(task, is_new=is_new)

    def _submit(self, task: WaitingTask, *, is_new: bool) -> None:
        group = self._group_of(task.demand, task.expectations)
        shares = self._occupancy.shares
        self._waiting.add(task, group, shares.cell(task.project, group.number), shares.number(task.project))
        self._count(task.id, group.shape)
        self._fresh.add(task.id)
        if not self._projects:  # the decision over classes knows nothing of bounds
            self._market.wait(task, group, is_new=is_new)

    def _group_of(self, demand: Demand, expectations: Mapping[str, Expectation] = NOTHING_KNOWN) -> Group:
        group = self._groups.of(demand, expectations)
        if group.number >= len(self._is_open):
            self._is_open = np.concatenate([self._is_open, np.ones(64, dtype=np.bool_)])
        return group

    def run(self, task: RunningTask) -> None:
        """Let a task hold its allocations; it no longer waits."""
        if task.id in self._waiting.row_of:
            self._waiting.remove(task.id)
        before, self._running[task.id] = self._running.get(task.id), task
        self._occupancy.shares.set_leaving(task.id, is_leaving=task.is_stopping)
        if before is not None and before.allocations == task.allocations:
            self._occupancy.held.set_end(task.id, _moment(task.expected_end))
            self._occupancy.held.set_stake(task.id, task.stake)
        else:
            self._hold(task)
            self._count(task.id, shape_of(task.demand) if task.demand else None)
        self._enter(task)

    def _enter(self, task: RunningTask) -> None:
        """Let a running task take part in the decision over classes, if it may be preempted."""
        if task.stake is not None and task.demand is not None and not self._projects:
            self._market.run(task, self._group_of(task.demand, task.stake.expectations))
        else:
            self._market.stop(task)

    def forget(self, task_id: str) -> None:
        """Drop a task, whether it waits or runs; what it held is free."""
        self._forget(task_id, is_gone=True)

    def _forget(self, task_id: str, *, is_gone: bool) -> None:
        if task_id in self._waiting.row_of:
            self._waiting.remove(task_id)
        if task_id in self._occupancy.held:
            self._occupancy.release(task_id)
        self._running.pop(task_id, None)
        self._count(task_id, None)
        self._market.drop(task_id, is_gone=is_gone)

    def _count(self, task_id: str, shape: Shape | None) -> None:
        """Let the mix of what is asked for hold `shape` for this task, and nothing else."""
        before = self._shapes.pop(task_id, None)
        if before is not None:
            self._occupancy.mix.add(before, -1)
        if shape is not None:
            self._occupancy.mix.add(shape)
            self._shapes[task_id] = shape

    @property
    def running(self) -> Mapping[str, RunningTask]:
        """Those that hold something, by id, as they are known here."""
        return self._running

    @property
    def shapes(self) -> int:
        """How many shapes of tasks are remembered."""
        return len(self._groups.all)

    def _hold(self, task: RunningTask) -> None:
        self._occupancy.hold((task.id, task.name), task.allocations, _moment(task.expected_end))
        self._occupancy.shares.hold(task.id, task.project, task.allocations)
        if task.stake is not None:
            self._occupancy.held.set_stake(task.id, task.stake)

    def plan(self, now: datetime, tell: Collection[str] | None = ()) -> Plan:
        """Decide what starts now. The waits are those of new tasks and of those to `tell`; None tells everybody."""
        with paused_collector():
            return self._plan(now, tell)

    def _plan(self, now: datetime, tell: Collection[str] | None) -> Plan:
        if len(self._groups.all) > self._shapes_max + len(self._waiting):
            self.set_nodes(self._nodes)  # most shapes that were ever asked for are of tasks long gone
        self._occupancy.reprice(self._waiting.wishes)
        self._occupancy.seats.shorten_log()
        self._reopen()
        shares = self._occupancy.shares
        ranking = ranking_of(self._waiting, shares, now.timestamp(), self.policy)
        row_of = self._waiting.row_of
        told = {row_of[name] for name in {*self._fresh, *tell} if name in row_of} if tell is not None else None
        order = ranking.order(self._rows(ranking, told))
        everyone = range(len(row_of)) if told is None else told
        victims = Victims(self._occupancy, ranking.now, self.policy, self._group_of_running)
        walk = Walk(self._waiting, ranking, self._occupancy, victims)
        turns = Turns(self._waiting, ranking, shares, self.policy.fairness)
        turn = Turn(self._market, self._waiting, ranking, order)
        turn.take_promised(walk, self._occupancy)
        turn.decide(self._occupancy)
        walk.go(turns.of(turn.rows(), lambda row: walk.is_idle(row, everyone)), everyone, turn.seats)
        turn.take(walk, self._occupancy, everyone)
        for number in walk.full:
            self._is_open[number] = False
        rank = ranking.ranks(len(walk.started) + len(walk.blocked))
        placements = tuple([self._placement(one, ranking, rank) for one in walk.started])
        outlook = Outlook(now, self._waiting, ranking, rank, self._occupancy, walk.ahead)
        made = [making_room(making, self._waiting.tasks[making.row], self.policy) for making in walk.making]
        state = Sharing(self._waiting, ranking, self._occupancy, self._running)
        reclaimed = preempted(state, walk.making, [one.row for one in walk.started], now)
        waits = with_lateness(turn.in_words(waits_of(walk.blocked, outlook)), self._waiting)
        plan = Plan(placements, waits, (*chain(*made), *turn.preemptions, *reclaimed))
        self._fresh.clear()
        self._carry_out(plan, now)
        return plan

    def _carry_out(self, plan: Plan, now: datetime) -> None:
        """Let the state be what whoever carries out the plan will tell, to the microsecond."""
        for one in plan.placements:
            task = self._waiting.tasks[self._waiting.row_of[one.task_id]]
            self._waiting.remove(task.id)
            running = self._running[task.id] = started(task, one, now)
            self._occupancy.held.set_end(task.id, _moment(running.expected_end))
            self._occupancy.held.set_stake(task.id, running.stake)
            self._enter(running)
        for preemption in plan.preemptions:
            self.run(stopping(self._running[preemption.task_id], now))
        for name in sorted({preemption.for_task for preemption in plan.preemptions} & self._waiting.row_of.keys()):
            self.submit(replace(self._waiting.tasks[self._waiting.row_of[name]], has_claim=True))

    def _group_of_running(self, task_id: str) -> Group | None:
        task = self._running[task_id]
        expectations = task.stake.expectations if task.stake is not None else NOTHING_KNOWN
        return None if task.demand is None else self._group_of(task.demand, expectations)

    def _rows(self, ranking: Ranking, told: Collection[int] | None) -> Ints:
        """Return the rows to consider: all of open shapes, all that are told, and the head of the queue."""
        if told is None:
            return np.arange(len(self._waiting))
        is_in = np.zeros(len(self._waiting), dtype=np.bool_)
        is_in[self._waiting.in_groups(self._is_open)] = True
        shares = self._occupancy.shares
        may_start = ~self._waiting.in_cells(shares.is_barred)
        is_in &= may_start
        is_in[list(told)] = True
        others = ~is_in & may_start
        if shares.is_on:
            owed = others & self._waiting.of_projects(shares.is_owed())  # they have their turn before the others
            is_in[ranking.best(np.flatnonzero(owed), HEAD_ROWS)] = True
        is_in[ranking.best(np.flatnonzero(others), HEAD_ROWS)] = True
        return np.flatnonzero(is_in)

    def _reopen(self) -> None:
        """Open the shapes of which a replica fits where something became free."""
        self._occupancy.shares.unbar()
        freed, self._occupancy.freed = self._occupancy.freed, set()
        closed = [group for group in self._groups.all if not self._is_open[group.number]]
        for group in closed:
            if len(freed) > FREED_MAX or fits_one_of(group, self._occupancy.free, freed):
                self._is_open[group.number] = True

    def _placement(self, started: Started, ranking: Ranking, rank: Callable[[int], int]) -> Placement:
        row, choice, allocations = started
        task, group = self._waiting.tasks[row], self._waiting.groups[row]
        terms = ranking.terms(row, choice, group.options[choice[1]].share)
        terms["rank"] = float(rank(row))
        nodes = {allocation.node for allocation in allocations}
        where = f"node {allocations[0].node}" if len(allocations) == 1 else f"{len(nodes)} nodes"
        length = "to run until it is stopped," if task.is_service else f"about {in_words(choice[0])}"
        best = self._waiting.choices[row][0][1]
        why = why_here(self._market, task.id) or why_this(group, choice[1], best, allocations[0].resource_class)
        terms |= terms_of(self._market, task.id) | cost_terms(task, allocations, choice[0], self.fleet)
        late = lateness(task.due_at, datetime.fromtimestamp(ranking.now, UTC) + timedelta(seconds=choice[0]))
        return Placement(task.id, allocations, choice[0], f"starts on {where}: {length} on {why}{late}", terms)


def _moment(end: datetime | None) -> float:
    return math.inf if end is None else end.timestamp()
