"""What a node group must be before it is stored."""

from __future__ import annotations

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.node_providers import find_provider
from lepton_ai.kernel.registry import Desk
from lepton_ai.types.base import AnyObject
from lepton_ai.types.node_group import GROUP_NAME_MAX, NodeGroup


def admit(thing: AnyObject, before: AnyObject | None, _desk: Desk) -> AnyObject:
    """Return the group as it may be stored; raises InvalidInput with the next step."""
    assert isinstance(thing, NodeGroup)
    if len(thing.name) > GROUP_NAME_MAX:
        raise InvalidInput(
            f"{thing.name!r} has {len(thing.name)} characters; the name of a node group has {GROUP_NAME_MAX} at most.",
            hint="Its nodes are called by it, with seven characters more.",
        )
    find_provider(thing.spec.provider).check(thing.spec.settings)
    if isinstance(before, NodeGroup) and before.status.nodes and thing.spec.provider != before.spec.provider:
        raise InvalidInput(
            f"Group {before.name!r} has {len(before.status.nodes)} nodes of provider {before.spec.provider!r}.",
            hint="Make another group with the other provider, and delete this one.",
        )
    return thing
