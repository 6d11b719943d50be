"""Pure: what a node group needs next. Nodes are made, watched while they boot, drained when idle, and deleted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lepton_ai.types.base import Reason
from lepton_ai.types.node import Node, NodeState
from lepton_ai.types.node_group import GOING, MOVES, TASKS_NAMED_MAX, GroupNode, GroupNodeState, NodeGroup
from lepton_ai.types.node_group import NodeGroupStatus as Status

BOOT_FACTOR = 3  # times the boot time that is expected: a node that has not joined by then never will
BOOT_MIN = timedelta(minutes=2)
FAILED = "provider_failed"
RETRY_FIRST, RETRY_MAX = timedelta(seconds=10), timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Told:
    """What came of the last call about one node: it was made, it is gone, or it failed, with a sentence."""

    is_done: bool
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of one group.

    `nodes` are all nodes by name, `busy` those that hold work or are about to, `told` what the provider did, `listed`
    what it has (None: not asked), and `wanted` the tasks for each node that should be added, with `names` for these.
    """

    now: datetime
    nodes: Mapping[str, Node] = field(default_factory=dict)
    busy: Collection[str] = ()
    told: Mapping[str, Told] = field(default_factory=dict)
    listed: Collection[str] | None = None
    wanted: Sequence[Collection[str]] = ()
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """The group's next status, events as code and sentence, nodes to cordon, and nodes that are gone for good."""

    status: Status
    notes: tuple[tuple[str, str], ...] = ()
    cordon: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    is_over: bool = False  # the group is to go, and nothing is left of it


def decide(group: NodeGroup, sight: Sight) -> Step:
    """Return the steps that bring a group closer to what is wanted of it, one state further for each node at most."""
    work = _Work(group, sight)
    kept = [after for node in group.status.nodes if (after := work.move(node)) is not None]
    work.be_content()
    known = {node.name for node in kept} | set(work.gone)
    kept += [work.found(name) for name in sorted(sight.listed or ()) if name not in known]
    kept = work.shrink(kept)
    kept += work.grow(kept)
    status = work.status.replace(nodes=tuple(kept))
    is_over = group.metadata.deletion_requested_at is not None and not kept and sight.listed is not None
    return Step(status, tuple(work.notes), tuple(work.cordon), tuple(work.gone), is_over)


def room(group: NodeGroup, now: datetime) -> int:
    """Return how many nodes may be added now."""
    if group.metadata.deletion_requested_at is not None or _must_rest(group.status, now):
        return 0
    return max(0, group.spec.max - len(group.status.nodes))


def _must_rest(status: Status, now: datetime) -> bool:
    return status.retry_at is not None and now < status.retry_at


class _Work:
    """What one decision gathers on its way through the nodes."""

    def __init__(self, group: NodeGroup, sight: Sight) -> None:
        self._group, self._sight, self._now = group, sight, sight.now
        self._is_ending = group.metadata.deletion_requested_at is not None
        self.status = group.status
        self._still_fails = False
        self.notes: list[tuple[str, str]] = []
        self.cordon: list[str] = []
        self.gone: list[str] = []

    def move(self, node: GroupNode) -> GroupNode | None:
        """Return what becomes of one node; None if it is gone."""
        match node.state:
            case GroupNodeState.CREATING:
                return self._creating(node)
            case GroupNodeState.BOOTING:
                return self._booting(node)
            case GroupNodeState.READY:
                return self._ready(node)
            case GroupNodeState.DRAINING:
                return self._draining(node)
            case GroupNodeState.DELETING:
                return self._deleting(node)

    def found(self, name: str) -> GroupNode:
        """Take in a node that the provider has and nobody here knows of: it is deleted, so that it costs nothing."""
        self.notes.append(("found", f"Node {name} is known to the provider and to nobody else; it is deleted."))
        return GroupNode(name=name, state=GroupNodeState.DELETING, since=self._now, created_at=self._now)

    def be_content(self) -> None:
        """Take back what was said of the provider, once it does what it is asked to."""
        if self.status.reason.code == FAILED and not self.status.failures and not self._still_fails:
            self.status = self.status.replace(reason=Reason())

    def shrink(self, kept: list[GroupNode]) -> list[GroupNode]:
        """Drain idle nodes that are above what the group must have: at once if above its maximum or if it ends."""
        alive = [node for node in kept if node.state not in GOING]
        least = 0 if self._is_ending else self._group.spec.min
        most = 0 if self._is_ending else self._group.spec.max
        spare = len(alive) - least
        surplus = len(alive) - most
        after: list[GroupNode] = []
        for node in kept:
            goes = node.state is GroupNodeState.READY and spare > 0 and self._may_go(node, at_once=surplus > 0)
            if goes:
                spare, surplus = spare - 1, surplus - 1
                self.cordon.append(node.name)
                after.append(self._to(node, GroupNodeState.DRAINING, f"Node {node.name} {self._why_it_goes(node)}."))
            else:
                after.append(node)
        return after

    def grow(self, kept: Sequence[GroupNode]) -> list[GroupNode]:
        """Return the nodes to be made: for what waits, and up to the minimum."""
        alive = sum(node.state not in GOING for node in kept)
        most = room(self._group.replace(status=self.status.replace(nodes=tuple(kept))), self._now)
        wanted = [*self._sight.wanted, *[()] * max(0, self._group.spec.min - alive - len(self._sight.wanted))]
        made = []
        for name, tasks in list(zip(self._sight.names, wanted, strict=False))[:most]:
            why = f"for {len(tasks)} waiting tasks" if tasks else f"since the group has at least {self._group.spec.min}"
            self.notes.append(("node_started", f"Node {name} is being started {why}."))
            named = tuple(sorted(tasks))[:TASKS_NAMED_MAX]
            made.append(GroupNode(name=name, since=self._now, created_at=self._now, tasks=named))
        return made

    def _creating(self, node: GroupNode) -> GroupNode:
        told = self._sight.told.get(node.name)
        if told is None:
            return node
        if told.is_done:
            self.status = self.status.replace(failures=0, retry_at=None)
            return self._to(node, GroupNodeState.BOOTING)
        return self._fail(node, f"Node {node.name} could not be made: {told.failure}")

    def _booting(self, node: GroupNode) -> GroupNode:
        seen = self._sight.nodes.get(node.name)
        if seen is not None and seen.status.state is NodeState.READY:
            took = (self._now - node.created_at).total_seconds()
            ready = self._to(
                node, GroupNodeState.READY, f"Node {node.name} takes work, {took:.0f} s after it was asked for."
            )
            return ready if node.name in self._sight.busy else ready.replace(idle_since=self._now)
        limit = max(BOOT_FACTOR * self._group.spec.boot_time, BOOT_MIN)
        if self._now - node.since > limit:
            why = f"did not become ready within {limit.total_seconds():.0f} s (expected: {self._boot_seconds:.0f} s)"
            return self._fail(node, f"Node {node.name} {why}; it is deleted.")
        return self._abandoned(node) or node

    def _ready(self, node: GroupNode) -> GroupNode:
        seen = self._sight.nodes.get(node.name)
        if seen is None:
            return self._to(
                node, GroupNodeState.DELETING, f"Node {node.name} was removed from the cluster; it is deleted."
            )
        if seen.status.state is NodeState.LOST and self._now - (seen.metadata.updated_at or self._now) > self._patience:
            return self._to(
                node, GroupNodeState.DELETING, f"Node {node.name} was lost and did not come back; it is deleted."
            )
        if node.name in self._sight.busy:
            return node.replace(idle_since=None) if node.idle_since else node
        return node if node.idle_since else node.replace(idle_since=self._now)

    def _draining(self, node: GroupNode) -> GroupNode:
        seen = self._sight.nodes.get(node.name)
        if seen is not None and not seen.spec.cordoned:
            self.cordon.append(node.name)
            return node
        if seen is not None and node.name in self._sight.busy:
            return node
        return self._to(node, GroupNodeState.DELETING)

    def _deleting(self, node: GroupNode) -> GroupNode | None:
        told = self._sight.told.get(node.name)
        if told is not None and told.is_done:
            self.gone.append(node.name)
            self.notes.append(("node_deleted", f"Node {node.name} is deleted."))
            return None
        if told is not None and told.failure:
            self._still_fails = True
            if self.status.reason.code != FAILED:  # of several that fail, one is told of
                self._complain(f"Node {node.name} could not be deleted, which is tried again: {told.failure}")
        return node

    def _abandoned(self, node: GroupNode) -> GroupNode | None:
        """Give up a node that is on its way where the group itself is to go."""
        return self._to(node, GroupNodeState.DELETING) if self._is_ending else None

    def _fail(self, node: GroupNode, sentence: str) -> GroupNode:
        """Delete what may have been made, and leave the provider alone for a while: twice as long each time."""
        failures = self.status.failures + 1
        pause = min(RETRY_FIRST * (1 << min(failures - 1, 16)), RETRY_MAX)
        self.status = self.status.replace(failures=failures, retry_at=self._now + pause)
        self._complain(f"{sentence} Failures in a row: {failures}; next try in {pause.total_seconds():.0f} s.")
        return self._to(node, GroupNodeState.DELETING)

    def _complain(self, sentence: str) -> None:
        reason = Reason(code=FAILED, sentence=sentence)
        if reason != self.status.reason:
            self.status = self.status.replace(reason=reason)
            self.notes.append((FAILED, sentence))

    def _may_go(self, node: GroupNode, *, at_once: bool) -> bool:
        if self._is_ending:
            return True  # what runs there leaves first
        if node.idle_since is None:
            return False
        return at_once or self._now - node.idle_since >= self._group.spec.idle_time

    def _why_it_goes(self, node: GroupNode) -> str:
        if self._is_ending:
            return "goes with its group"
        idle = (self._now - (node.idle_since or self._now)).total_seconds()
        return f"was idle for {idle:.0f} s and gets no new work; it is deleted"

    def _to(self, node: GroupNode, state: GroupNodeState, sentence: str = "") -> GroupNode:
        assert state in MOVES[node.state], f"{node.name}: {node.state} -> {state} is not a legal move"
        if sentence:
            self.notes.append((f"node_{state.value}", sentence))
        return node.replace(state=state, since=self._now, idle_since=None)

    @property
    def _boot_seconds(self) -> float:
        return self._group.spec.boot_time.total_seconds()

    @property
    def _patience(self) -> timedelta:
        """How long a lost node may stay away before another takes its place."""
        return max(self._group.spec.boot_time, BOOT_MIN)
