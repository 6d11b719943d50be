"""A cloud that is only imagined, and a control plane whose node groups use it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

from lepton_ai.errors import Unavailable
from lepton_ai.kernel.change import create
from lepton_ai.kernel.node_providers import Group, NodeOrder, Provider
from lepton_ai.kernel.registry import Door
from lepton_ai.services.jobs import SERVICE as JOBS
from lepton_ai.services.nodegroups import SERVICE as NODEGROUPS
from lepton_ai.services.nodegroups.calls import Calls
from lepton_ai.services.nodegroups.demand import Demand
from lepton_ai.services.nodegroups.service import NodeGroups
from lepton_ai.testing.machines import machine
from lepton_ai.testing.runtime import FakeNode
from lepton_ai.types.base import Metadata
from lepton_ai.types.event import Event
from lepton_ai.types.node_group import NodeGroup, NodeGroupSpec
from tests.unit.kernel.rig import Rig

PLATFORM = "platform"


class AtOnce(Executor):
    """Does what it is given before it returns; while `holds`, it only keeps it, as threads that are cut off do."""

    def __init__(self) -> None:
        self.holds = False

    def submit(self, work: Any, /, *args: Any, **more: Any) -> Future[Any]:
        _ = self.holds or work(*args, **more)
        return Future()


class FakeMembers:
    """Hands out tokens that can be told apart."""

    url = "https://core:8443"
    instance = "abc"

    def __init__(self) -> None:
        self.invited: list[str] = []

    def invite(self, node: str) -> str:
        self.invited.append(node)
        return f"token-of-{node}"

    def refresh(self) -> None:
        """Nobody asks."""


class FakeCloud:
    """Makes imagined machines, which show up in the runtime at once unless `boots` is off."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.machines: dict[str, NodeOrder] = {}
        self.boots = True
        self.fails = ""  # what each call says that fails
        self.deleted: list[str] = []

    def create(self, order: NodeOrder) -> None:
        self._maybe_fail()
        self.machines[order.name] = order
        if self.boots:
            self.boot(order.name)

    def delete(self, group: Group, name: str) -> None:
        self._maybe_fail()
        self.deleted.append(name)
        self.machines.pop(name, None)
        self._rig.runtime.fleet.pop(name, None)

    def list(self, group: Group) -> Collection[str]:
        self._maybe_fail()
        return [name for name, order in self.machines.items() if order.group.name == group.name]

    def boot(self, name: str) -> None:
        """Let the machine come up and join."""
        self._rig.runtime.fleet[name] = machine(name)

    def _maybe_fail(self) -> None:
        if self.fails:
            raise Unavailable(self.fails)


class GroupRig(Rig):
    """A control plane with jobs and node groups, of which provider `cloud` makes the nodes."""

    def __init__(self, *nodes: FakeNode) -> None:
        self.threads = AtOnce()
        self.members = FakeMembers()
        self.names: dict[str, int] = {}
        super().__init__(*nodes, services=[JOBS, replace(NODEGROUPS, open=self._open)])
        self.cloud = FakeCloud(self)

    def group(self, name: str = "g", **spec: object) -> NodeGroup:
        """Make a group of nodes with four CPUs, as the imagined machines have them."""
        whole: Mapping[str, object] = {
            "max": 3,
            "provider": "cloud",
            "node": {"cpu": 4, "memory": "16GB", "cpu_class": "cpu-avx2"},
            "idle_time": 60,
            "boot_time": 30,
            **spec,
        }
        made = NodeGroup(
            metadata=Metadata(id=f"nodegroup-{name}", name=name, project=PLATFORM),
            spec=NodeGroupSpec.model_validate(whole),
        )
        self.store.commit([create(made)], actor="ada")
        return self.seen(name)

    def seen(self, name: str = "g") -> NodeGroup:
        return self.store.find(NodeGroup, PLATFORM, name)

    def states(self, name: str = "g") -> list[str]:
        """Return the states of the group's nodes."""
        return [node.state.value for node in self.seen(name).status.nodes]

    def told(self, name: str = "g") -> list[Event]:
        return list(self.store.events(object_id=f"nodegroup-{name}"))

    def _open(self, door: Door) -> NodeGroups:
        provider = Provider(lambda _settings: None, lambda _home: self.cloud)
        whole = replace(door, members=self.members)
        return NodeGroups(
            whole, Calls(whole, lambda _name: provider, self.threads), Demand(whole, AtOnce()), self._name
        )

    def _name(self, group: str) -> str:
        self.names[group] = self.names.get(group, 0) + 1
        return f"{group}-{self.names[group]:06x}"
