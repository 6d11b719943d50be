"""A node group: machines that are managed alike. So many at least and at most, made and deleted by a provider."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field, StringConstraints, field_validator, model_validator

from lepton_ai.types.base import LABELS_MAX, NAME_MAX_LENGTH, Label, Model, Name, Object, ObjectStatus, form
from lepton_ai.types.membership import NODE_NAME_MAX, LabelKey
from lepton_ai.types.quantity import Bytes, Duration

NODES_MAX = 1000  # of one group: its status lists them all, 1,000 x 200 bytes = 0.2 MB
CPUS_MAX = 4096
DEVICES_MAX = 64
SUFFIX = 7  # characters that the name of a node adds to that of its group: a hyphen and six hexadecimal digits
GROUP_NAME_MAX = NODE_NAME_MAX - SUFFIX
SETTINGS_MAX = 32
TASKS_NAMED_MAX = 20  # of those that a new node is for

assert GROUP_NAME_MAX < NAME_MAX_LENGTH
Setting = Annotated[str, StringConstraints(max_length=4096)]
DeviceKind = Annotated[str, form("[a-z0-9][a-z0-9.-]{0,62}", "a kind of device, such as nvidia-h100-80gb")]


class NodeShape(Model):
    """What one node of a group has for work, as its provider promises it; once it has joined, what was measured counts.

    `device` is a kind, of which it has `devices`, with `device_memory` each.
    """

    cpu: Annotated[float, Field(gt=0, le=CPUS_MAX)] = 1.0
    memory: Annotated[Bytes, Field(ge=10**8)] = 4 * 10**9
    cpu_class: Annotated[str, form("[a-z0-9][a-z0-9.-]{0,62}", "a class of CPU, such as cpu-avx512")] = "cpu"
    device: DeviceKind | Literal[""] = ""
    devices: Annotated[int, Field(ge=0, le=DEVICES_MAX)] = 0
    device_memory: Bytes = 0

    @model_validator(mode="after")
    def _devices_have_a_kind(self) -> NodeShape:
        if bool(self.device) != bool(self.devices):
            raise ValueError("say both: `device`, the kind, and `devices`, how many of it a node has")
        return self


class NodeGroupSpec(Model):
    """What a node group should be. `settings` are the provider's own; `price` is of one node for an hour."""

    min: Annotated[int, Field(ge=0, le=NODES_MAX)] = 0
    max: Annotated[int, Field(ge=0, le=NODES_MAX)] = 1
    provider: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    settings: Annotated[Mapping[LabelKey, Setting], Field(max_length=SETTINGS_MAX)] = {}
    node: NodeShape = NodeShape()
    labels: Annotated[Mapping[LabelKey, Label], Field(max_length=LABELS_MAX - 2)] = {}
    price: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    idle_time: Annotated[Duration, Field(ge=timedelta(0))] = timedelta(minutes=10)
    boot_time: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(days=1))] = timedelta(minutes=3)

    @field_validator("labels")
    @classmethod
    def _price_is_a_field(cls, labels: Mapping[str, str]) -> Mapping[str, str]:
        if "price" in labels:
            raise ValueError("what a node costs is the field `price`, not a label")
        return labels

    @model_validator(mode="after")
    def _bounds_in_order(self) -> NodeGroupSpec:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        return self


class GroupNodeState(StrEnum):
    """Where a node of a group is in its life; once it is gone, nothing is kept of it."""

    CREATING = "creating"
    BOOTING = "booting"
    READY = "ready"
    DRAINING = "draining"
    DELETING = "deleting"


MOVES: Mapping[GroupNodeState, frozenset[GroupNodeState]] = {
    GroupNodeState.CREATING: frozenset({GroupNodeState.BOOTING, GroupNodeState.DELETING}),
    GroupNodeState.BOOTING: frozenset({GroupNodeState.READY, GroupNodeState.DELETING}),
    GroupNodeState.READY: frozenset({GroupNodeState.DRAINING, GroupNodeState.DELETING}),
    GroupNodeState.DRAINING: frozenset({GroupNodeState.DELETING}),
    GroupNodeState.DELETING: frozenset(),
}
COMING = frozenset({GroupNodeState.CREATING, GroupNodeState.BOOTING})
GOING = frozenset({GroupNodeState.DRAINING, GroupNodeState.DELETING})


class GroupNode(Model):
    """One node of a group: written down before it is asked for, and until it is known to be gone.

    `since` is when it came into its state; `tasks` are those that it was made for, as far as they have room here.
    """

    name: Name
    state: GroupNodeState = GroupNodeState.CREATING
    since: AwareDatetime
    created_at: AwareDatetime
    idle_since: AwareDatetime | None = None
    tasks: tuple[str, ...] = ()


class NodeGroupStatus(ObjectStatus):
    """What there is of a group. `reason` tells of the provider's last failure, until one of its calls succeeds.

    After `failures` in a row nothing is asked of the provider before `retry_at`.
    """

    nodes: tuple[GroupNode, ...] = ()
    failures: int = 0
    retry_at: AwareDatetime | None = None


class NodeGroup(Object[NodeGroupSpec, NodeGroupStatus]):
    KIND: ClassVar[str] = "nodegroup"
    PLURAL: ClassVar[str] = "nodegroups"

    kind: Literal["nodegroup"] = "nodegroup"
    status: NodeGroupStatus = NodeGroupStatus()
