"""Run the scheduler over the world and turn its plan into changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from lepton_ai.errors import LeptonError
from lepton_ai.kernel import tasks
from lepton_ai.kernel.change import Change, Note, update
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.follower import Follower, Objects
from lepton_ai.kernel.prices import price_of
from lepton_ai.kernel.queue import SnapshotBuilder
from lepton_ai.kernel.runtime import NodeObservation, Runtime
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import Placement, Plan, Policy, Snapshot, Wait
from lepton_ai.kernel.task_names import as_seen
from lepton_ai.kernel.telling import RENEW_REASON, Telling
from lepton_ai.types.base import Reason
from lepton_ai.types.node import Node
from lepton_ai.types.task import Task, TaskState

PAUSE_FACTOR = 2  # pauses between plans, in units of the time that the last one took
OF_ENDING = frozenset({"expected_seconds", "expected_seconds_p80"})  # they say nothing of what runs until stopped


class Placing:
    """Keeps the scheduler's picture of the world up to date, and skips worlds that have not changed."""

    def __init__(self, builder: SnapshotBuilder, policy: Policy, clock: Clock) -> None:
        self.policy = policy
        self.is_paused = False  # while the platform shuts down, nothing new starts
        self._builder = builder
        self._follower = Follower(builder, policy)
        self._telling = Telling()
        self._last: tuple[Snapshot, Plan] | None = None
        self._whole: tuple[Snapshot, Plan] | None = None
        self._clock = clock
        self._rest_until: datetime | None = None
        self.put_off_until: datetime | None = None  # when the last call asked to be repeated, if it did

    @property
    def last(self) -> tuple[Snapshot, Plan] | None:
        """The newest snapshot with its plan, which tells only some of those who wait why."""
        return self._last

    def see(self, world: Objects, nodes: Collection[NodeObservation], now: datetime) -> None:
        """Take note of what the nodes' memory is used for, before the next plan."""
        self._builder.foreign.note(nodes, world.all(Task), now)

    @property
    def largest_memory(self) -> int:
        """What the largest node of the newest snapshot has for tasks, in bytes; 0 before the first."""
        return max((node.memory_bytes for node in self._last[0].nodes), default=0) if self._last else 0

    def outlook(self) -> Plan:
        """Return a plan of the newest snapshot that tells everybody who waits why, made when it is asked for."""
        if self._last is None:
            return Plan()
        if self._whole is None or self._whole[0] is not self._last[0]:
            self._whole = self._last[0], schedule(self._last[0], self.policy)
        return self._whole[1]

    def place(self, world: Objects, runtime: Runtime, now: datetime, crowded: Collection[str] = ()) -> list[Change]:
        """Return the changes that start what the scheduler starts, and that tell the others why they wait.

        Nothing starts on a `crowded` node: something runs there that no task holds.
        """
        self.put_off_until = self._rest_until if self._rest_until is not None and now < self._rest_until else None
        if self.is_paused or self.put_off_until is not None:
            return []
        began = self._clock.now()
        follower = self._follower
        follower.follow(world, now, crowded)
        due = self._telling.due(follower.waiting, follower.looked_at, world, now)
        if not due and self._is_settled(now):
            return []
        snapshot = follower.snapshot(now)
        plan = follower.plan(now, due)
        # A long queue is planned again no sooner than twice the time that its plan took: with each task that ends, half
        # of the loop's time would go into plans that differ in one place. Where all start, there is nothing to put off.
        spent = self._clock.now() - began
        self._rest_until = began + spent * (1 + PAUSE_FACTOR) if follower.waiting else None
        self._last = snapshot, plan
        nodes = {node.name: node for node in world.all(Node)} if plan.placements else {}
        changes = [self._start(world, placement, runtime, nodes) for placement in plan.placements]
        changes += _make_room(world, plan)
        claims = {one.for_task for one in plan.preemptions}
        changes += [self._tell(world, wait, now) for wait in plan.waits if wait.task_id not in claims]
        return [change for change in changes if change is not None]

    def _is_settled(self, now: datetime) -> bool:
        """Tell whether a plan would say what the last one said."""
        # A plan that placed something changes the world; if it did not, it was not carried out.
        if self._last is None or _acts(self._last[1]):
            return False
        # Time alone matters to ageing and reservations, though not soon.
        is_recent = now - self._last[0].now < RENEW_REASON
        if is_recent and not self._follower.has_changed:
            return True
        # Where nobody waits, there is nothing to decide, but for projects whose budget may be used up.
        return not self._follower.waiting and not self._follower.projects

    def _start(
        self, world: Objects, placement: Placement, runtime: Runtime, nodes: Mapping[str, Node]
    ) -> Change | None:
        task = world.get(Task, placement.task_id)
        if task is None or task.status.state is not TaskState.WAITING:
            return None
        node = placement.allocations[0].node
        try:
            port = runtime.free_port(node) if task.spec.size > 1 else 0
        except LeptonError:
            return None  # The node went away between two lines; the next pass sees that.
        return tasks.move(
            task,
            TaskState.STARTING,
            Note("placed", placement.sentence),
            allocations=placement.allocations,
            expected_seconds=placement.expected_seconds,
            placement=placement.sentence,
            terms={name: v for name, v in placement.terms.items() if not (task.spec.is_service and name in OF_ENDING)},
            price_per_hour=price_of(placement.allocations, nodes),
            master_address=nodes[node].status.address if node in nodes else "",
            master_port=port,
            has_claim=False,
        )

    def _tell(self, world: Objects, wait: Wait, now: datetime) -> Change | None:
        task = world.get(Task, wait.task_id)
        if task is None:
            return None
        reason = task.status.reason
        if not self._telling.is_new(wait.task_id, wait.refusal, reason.code, now):
            return None
        newest = Reason(code=wait.refusal.value, sentence=as_seen(wait.sentence, task.project))
        return update(task.with_status(reason=newest)) if newest != reason else None


def _acts(plan: Plan) -> bool:
    return bool(plan.placements or plan.preemptions)


def _make_room(world: Objects, plan: Plan) -> list[Change]:
    """Return the changes that stop those who make room, and give a claim to those who get it.

    A claim needs no stop to have come through: the scheduler looks again at whoever has a claim and no room in sight.
    """
    changes, sentences = [], {wait.task_id: wait.sentence for wait in plan.waits}
    for one in plan.preemptions:
        task = world.get(Task, one.task_id)
        if task is not None and task.status.state in {TaskState.STARTING, TaskState.RUNNING}:
            told = one.sentence.replace(f"project {one.for_project} is promised", "another project is promised")
            changes.append(tasks.preempt(task, f"It {as_seen(told, task.project)}."))
    for name in sorted({one.for_task for one in plan.preemptions}):
        task = world.get(Task, name)
        if task is not None and task.status.state is TaskState.WAITING:
            sentence = as_seen(sentences.get(name, "Others are stopped to make room for it."), task.project)
            reason = Reason(code="making_room", sentence=sentence)
            changes.append(update(task.with_status(has_claim=True, reason=reason)))
    return changes
