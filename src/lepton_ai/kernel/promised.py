"""Pure: a node of a group as the scheduler would see it, before there is one."""

from __future__ import annotations

from lepton_ai.kernel.scheduling.snapshot import DeviceView, NodeView, Price
from lepton_ai.types.node_group import NodeGroupSpec

GROUP_LABEL = "nodegroup"  # by which work may ask for nodes of a group


def promised(group: str, spec: NodeGroupSpec, name: str) -> NodeView:
    """Return a node of that name, as its group promises it."""
    shape, cpu_milli = spec.node, round(spec.node.cpu * 1000)
    return NodeView(
        name=name,
        cpu_class=shape.cpu_class,
        cpu_milli=cpu_milli,
        memory_bytes=shape.memory,
        devices=tuple(DeviceView(f"{name}-{n}", shape.device, shape.device_memory) for n in range(shape.devices)),
        labels=tuple(sorted({**spec.labels, GROUP_LABEL: group}.items())),
        price=Price(spec.price, cpu_milli, shape.memory, shape.devices) if spec.price else None,
    )
