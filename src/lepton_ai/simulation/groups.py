"""Node groups for a replay: those of the platform, or as a file describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.promised import promised
from lepton_ai.simulation.autoscale import ImaginedGroup
from lepton_ai.types.node_group import NodeGroup, NodeGroupSpec


def imagined_groups(groups: Iterable[NodeGroup]) -> tuple[ImaginedGroup, ...]:
    """Return the groups as a replay takes them, by name."""
    ordered = sorted(groups, key=lambda group: group.name)
    return tuple(_imagined(group.name, group.spec) for group in ordered)


def read_groups(documents: Iterable[Mapping[str, object]], source: str) -> tuple[ImaginedGroup, ...]:
    """Return the groups that documents describe as `lepton nodegroup show --output json` does; raises InvalidInput."""
    found: dict[str, ImaginedGroup] = {}
    for number, document in enumerate(documents, 1):
        metadata, spec = document.get("metadata"), document.get("spec")
        name = str(metadata.get("name", "")) if isinstance(metadata, Mapping) else ""
        if not name or not isinstance(spec, Mapping) or document.get("kind", NodeGroup.KIND) != NodeGroup.KIND:
            raise InvalidInput(f"Document {number} of {source} is no node group with metadata.name and spec.")
        if name in found:
            raise InvalidInput(f"{source} describes node group {name!r} twice.")
        try:
            found[name] = _imagined(name, NodeGroupSpec.model_validate(dict(spec)))
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'spec'}: {one['msg']}" for one in error.errors())
            raise InvalidInput(f"Node group {name!r} of {source}: {told}.") from error
    return tuple(found[name] for name in sorted(found))


def _imagined(name: str, spec: NodeGroupSpec) -> ImaginedGroup:
    times = spec.idle_time.total_seconds(), spec.boot_time.total_seconds()
    return ImaginedGroup(name, promised(name, spec, name), spec.min, spec.max, *times)
