"""Calls to node providers, in threads of their own: what is under way, and what came of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime, timedelta

from lepton_ai.errors import InvalidInput, LeptonError
from lepton_ai.kernel.node_providers import Group, NodeOrder, NodeProvider, Provider, find_provider
from lepton_ai.kernel.prices import PRICE
from lepton_ai.kernel.promised import GROUP_LABEL
from lepton_ai.kernel.registry import Door
from lepton_ai.services.nodegroups.decide import Told
from lepton_ai.types.node_group import GroupNode, GroupNodeState, NodeGroup

log = logging.getLogger(__name__)

AT_ONCE_MAX = 8  # calls under way; the others wait for their turn
LIST_EVERY = timedelta(seconds=60)  # how often a provider is asked what it has
LIST_EVERY_AT_THE_END = timedelta(seconds=5)  # a group goes once nothing is found
DELETE_AGAIN = timedelta(seconds=15)
WHY_CHARACTERS_MAX = 1000
CUT_OFF = "the core ended while it was being made"

Key = tuple[str, GroupNodeState | None]  # a node and what is done about it; a group's id and None: it is listed
Find = Callable[[str], Provider]


class Calls:
    """Safe to use from the loop's thread; nothing here waits for a provider."""

    def __init__(self, door: Door, find: Find = find_provider, threads: Executor | None = None) -> None:
        self._home, self._members, self._wake, self._find = door.settings.home, door.members, door.wake, find
        self._threads = threads or ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="node-provider")
        self._lock = threading.Lock()
        self._opened: dict[str, NodeProvider] = {}
        self._under_way: set[Key] = set()
        self._told: dict[Key, Told] = {}
        self._listed: dict[str, Collection[str]] = {}
        self._listed_at: dict[str, datetime] = {}
        self._again_at: dict[Key, datetime] = {}
        self._since: datetime | None = None  # what was asked for before, another core asked for

    def can_make(self, provider: str) -> bool:
        """Tell whether the provider makes machines; one that is not installed does not."""
        try:
            return self._find(provider).open is not None
        except InvalidInput:
            return False

    def told(self, group: NodeGroup) -> Mapping[str, Told]:
        """Return what came of the calls about nodes of the group, for the state that each is in."""
        keys = {node.name: (node.name, node.state) for node in group.status.nodes}
        return {name: told for name, key in keys.items() if (told := self._told.get(key)) is not None}

    def listed(self, group: NodeGroup) -> Collection[str] | None:
        """Return what the provider has, if it was asked lately; each answer is given once."""
        return self._listed.pop(group.id, None)

    def keep_up(self, groups: Iterable[NodeGroup], now: datetime) -> None:
        """Begin what is to be done and not under way."""
        self._since = self._since or now
        listed = list(groups)
        self._forget_past({node.name for group in listed for node in group.status.nodes})
        for group in listed:
            for node in group.status.nodes:
                self._attend(group, node, now)
            pause = LIST_EVERY if group.metadata.deletion_requested_at is None else LIST_EVERY_AT_THE_END
            if now - self._listed_at.get(group.id, datetime.min.replace(tzinfo=now.tzinfo)) >= pause:
                self._listed_at[group.id] = now
                self._begin((group.id, None), group, self._list)

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _attend(self, group: NodeGroup, node: GroupNode, now: datetime) -> None:
        key = (node.name, node.state)
        if node.state is GroupNodeState.CREATING and key not in self._told:
            is_new = self._since is not None and node.created_at >= self._since
            self._begin(key, group, self._create if is_new else self._look_for)
        if node.state is GroupNodeState.DELETING:
            self._listed.pop(group.id, None)  # it may have been listed before it went
            told = self._told.get(key)
            if told is None or (not told.is_done and now >= self._again_at.get(key, now)):
                self._again_at[key] = now + DELETE_AGAIN
                self._begin(key, group, self._delete)

    def _begin(self, key: Key, group: NodeGroup, work: Callable[[NodeGroup, str], Told]) -> None:
        with self._lock:
            if key in self._under_way:
                return
            self._under_way.add(key)
        self._threads.submit(self._do, key, group, work)

    def _do(self, key: Key, group: NodeGroup, work: Callable[[NodeGroup, str], Told]) -> None:
        try:
            told = work(group, key[0])
        except LeptonError as error:
            told = Told(False, f"{error.message} {error.hint}".strip()[-WHY_CHARACTERS_MAX:])
        except Exception as error:  # A provider may raise anything; it must not stop the others.
            log.exception("provider_failed group=%s", group.name)
            told = Told(False, f"{type(error).__name__}: {error}"[-WHY_CHARACTERS_MAX:])
        if told.failure:
            log.warning("provider_call_failed group=%s about=%s why=%s", group.name, key[0], told.failure)
        with self._lock:
            self._under_way.discard(key)
            if key[1] is not None:
                self._told[key] = told
        self._wake(group.id)

    def _create(self, group: NodeGroup, name: str) -> Told:
        assert self._members is not None
        labels = {**group.spec.labels, GROUP_LABEL: group.name}
        if group.spec.price:
            labels[PRICE] = f"{group.spec.price:g}"
        order = NodeOrder(self._group(group), name, self._members.url, labels, self._members.invite(name))
        self._provider(group).create(order)
        return Told(True)

    def _look_for(self, group: NodeGroup, name: str) -> Told:
        """Find out what came of what another core asked for: it is adopted if it is there, and else deleted."""
        is_there = name in self._provider(group).list(self._group(group))
        return Told(True) if is_there else Told(False, CUT_OFF)

    def _delete(self, group: NodeGroup, name: str) -> Told:
        self._provider(group).delete(self._group(group), name)
        return Told(True)

    def _list(self, group: NodeGroup, _name: str) -> Told:
        self._listed[group.id] = self._provider(group).list(self._group(group))
        return Told(True)

    def _provider(self, group: NodeGroup) -> NodeProvider:
        name = group.spec.provider
        with self._lock:
            if name not in self._opened:
                opened = self._find(name).open
                assert opened is not None
                self._opened[name] = opened(self._home)
            return self._opened[name]

    def _group(self, group: NodeGroup) -> Group:
        assert self._members is not None
        return Group(group.name, self._members.instance, group.spec.settings)

    def _forget_past(self, names: Collection[str]) -> None:
        with self._lock:
            self._told = {key: told for key, told in self._told.items() if key[0] in names}
            self._again_at = {key: moment for key, moment in self._again_at.items() if key[0] in names}
