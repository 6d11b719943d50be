"""The node groups of the platform: machines that come and go with the work."""

from __future__ import annotations

from typing import Any, cast

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from lepton_ai.sdk.collection import Collection
from lepton_ai.sdk.connection import Connection
from lepton_ai.sdk.identities import Kind
from lepton_ai.sdk.listing import Columns
from lepton_ai.types.node_group import GroupNodeState, NodeGroup


class NodeGroups(Kind[NodeGroup]):
    """`lepton.node_groups`."""

    def __init__(self, connection: Connection) -> None:
        columns: Columns[NodeGroup] = Columns(
            ("node group", "provider", "nodes", "at most", "reason"),
            lambda one: (
                one.name,
                one.spec.provider,
                str(sum(node.state is GroupNodeState.READY for node in one.status.nodes)),
                str(one.spec.max),
                str(one.status.reason),
            ),
        )
        super().__init__(Collection(connection, NodeGroup), columns)

    def create(self, name: str, *, provider: str, **spec: object) -> NodeGroup:
        """Make a group; `spec` are fields of NodeGroupSpec: min, max, node, settings, labels, price, idle_time, ..."""
        draft = {"metadata": {"name": name}, "spec": _as_json({"provider": provider, **spec})}
        return self.collection.create(cast(JsonValue, draft))

    def update(self, name: str, **spec: object) -> NodeGroup:
        """Change fields of the spec; what is inside `node`, `settings` and `labels` is merged."""
        return self.collection.update(name, {"spec": _as_json(spec)})


def _as_json(fields: dict[str, Any]) -> JsonValue:
    value: JsonValue = to_jsonable_python(fields, timedelta_mode="float")
    return value
