"""The node groups service at work: it keeps what the groups want in line with what their providers have."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from lepton_ai.kernel import change
from lepton_ai.kernel.change import Change, Note
from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.joining import removed
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.registry import AsgiApp, Door, View
from lepton_ai.kernel.scheduling.growth import Growth
from lepton_ai.services.nodegroups.calls import Calls
from lepton_ai.services.nodegroups.decide import Sight, Step, decide, room
from lepton_ai.services.nodegroups.demand import Demand
from lepton_ai.types.base import AnyObject, Reason
from lepton_ai.types.identity import Token, User
from lepton_ai.types.membership import Member, node_user
from lepton_ai.types.node import Node
from lepton_ai.types.node_group import NodeGroup
from lepton_ai.types.task import Task

TICK = timedelta(seconds=2)  # how often a group is looked at; a plan for what waits is made only where that changed
DRAIN_IN = timedelta(minutes=10)  # what runs on a node of a group that is deleted has so long to leave
NO_MAKER = Reason(code="by_manifest", sentence="Somebody else makes its nodes: lepton nodegroup manifest NAME")
NO_CLUSTER = Reason(code="no_cluster", sentence="This instance is one machine: lepton up --cluster lets others join.")
_HINDRANCES = (NO_MAKER, NO_CLUSTER)

NewName = Callable[[str], str]


def new_node_name(group: str) -> str:
    """Return a name for a node of the group that no other has."""
    return f"{group}-{secrets.token_hex(3)}"


class NodeGroups:
    """Decides in the loop's thread. Whatever waits for a provider does so in the threads of `Calls`."""

    gateway: AsgiApp | None = None

    def __init__(self, door: Door, calls: Calls, demand: Demand, new_name: NewName = new_node_name) -> None:
        self._door, self._calls, self._demand, self._new_name = door, calls, demand, new_name
        self._left: set[str] = set()

    def decide(self, thing: AnyObject, view: View, now: datetime) -> Decision:
        """Return the next steps for one group."""
        assert isinstance(thing, NodeGroup)
        group = thing if thing.status.reason not in _HINDRANCES else thing.with_status(reason=Reason())
        hindrance = self._hindrance(group)
        if hindrance is not None:
            return self._stand_still(thing, hindrance)
        groups = sorted(view.all(NodeGroup), key=lambda one: one.id)
        growth = self._demand.growth(groups, view, lambda one: self._room(one, now))
        step = decide(group, self._sight(group, growth, view, now))
        return Decision(tuple(self._changes(group, step, view, now)), look_again_at=now + TICK)

    def apply(self, view: View, now: datetime) -> None:
        """Have the providers do what is written down."""
        groups = [group for group in view.all(NodeGroup) if self._hindrance(group) is None]
        self._calls.keep_up(groups, now)
        if self._left:
            self._left.clear()
            assert self._door.members is not None
            self._door.members.refresh()

    def close(self) -> None:
        """Begin nothing more; what providers are doing goes on, and the next core looks what came of it."""
        self._calls.close()
        self._demand.close()

    def _hindrance(self, group: NodeGroup) -> Reason | None:
        """Return why nothing can be done for a group."""
        if not self._calls.can_make(group.spec.provider):
            return NO_MAKER
        return NO_CLUSTER if self._door.members is None else None

    def _stand_still(self, group: NodeGroup, why: Reason) -> Decision:
        if group.metadata.deletion_requested_at is not None:
            return Decision((change.delete(group, Note("deleted", "The group is gone.")),))
        if group.status.reason == why:
            return Decision()
        return Decision((change.update(group.with_status(reason=why), Note(why.code, why.sentence)),))

    def _room(self, group: NodeGroup, now: datetime) -> int:
        return room(group, now) if self._hindrance(group) is None else 0

    def _sight(self, group: NodeGroup, growth: Growth, view: View, now: datetime) -> Sight:
        held = {one.node for task in view.all(Task) for one in task.status.allocations}
        wanted = growth.add.get(group.name, ())
        return Sight(
            now=now,
            nodes={node.name: node for node in view.all(Node)},
            busy=held | growth.used,
            told=self._calls.told(group),
            listed=self._calls.listed(group),
            wanted=wanted,
            names=[self._new_name(group.name) for _ in range(max(len(wanted), group.spec.min))],
        )

    def _changes(self, group: NodeGroup, step: Step, view: View, now: datetime) -> Sequence[Change]:
        notes = [Note(code, sentence) for code, sentence in step.notes]
        if step.is_over:
            return [change.delete(group, *notes, Note("deleted", "Its nodes are gone, and so is the group."))]
        changes: list[Change] = []
        if step.status != self._stored(view, group):
            changes.append(change.update(group.replace(status=step.status), *notes))
        for name in step.cordon:
            node = view.look_up(Node, PLATFORM_PROJECT, name)
            if node is not None and not node.spec.cordoned:
                told = Note("cordoned", f"Group {group.name} takes it away; it gets no new work.")
                spec = node.spec.replace(cordoned=True, drain_by=now + DRAIN_IN)
                changes.append(change.update(node.replace(spec=spec), told))
        for name in step.gone:
            changes += self._farewell(name, view)
        return changes

    @staticmethod
    def _stored(view: View, group: NodeGroup) -> object:
        stored = view.get(NodeGroup, group.id)
        return stored.status if stored is not None else None

    def _farewell(self, name: str, view: View) -> Sequence[Change]:
        """Return the changes that take the identity of a node away that is deleted."""
        self._left.add(name)
        things: list[AnyObject | None] = [
            view.look_up(Member, PLATFORM_PROJECT, name),
            view.look_up(Node, PLATFORM_PROJECT, name),
            view.look_up(Token, PLATFORM_PROJECT, node_user(name)),
            view.look_up(User, PLATFORM_PROJECT, node_user(name)),
        ]
        return removed([thing for thing in things if thing is not None], f"Node {name} was deleted by its group.")


def open_nodegroups(door: Door) -> NodeGroups:
    """Return the service at work."""
    return NodeGroups(door, Calls(door), Demand(door))
