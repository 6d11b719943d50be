"""What an hour of some allocations costs, by the prices of their nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lepton_ai.types.node import Node
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI, Allocation

PRICE = "price"  # the label of a node that says what an hour of all of it costs


def devices_of(allocations: Sequence[Allocation]) -> float:
    """Return how many devices are held; half of one counts 0.5."""
    return sum(device.share_milli for held in allocations for device in held.devices) / WHOLE_DEVICE_MILLI


def price_of(allocations: Sequence[Allocation], nodes: Mapping[str, Node]) -> float:
    """Return what an hour of `allocations` costs: of each node's price the part that its scarcest resource is."""
    total = 0.0
    for held in allocations:
        node = nodes.get(held.node)
        if node is None or node.status.hardware is None:
            continue
        hardware = node.status.hardware
        shares = [held.cpu_milli / (hardware.threads * 1000), held.memory_bytes / hardware.memory_bytes]
        if held.devices and hardware.devices:
            shares.append(devices_of((held,)) / len(hardware.devices))
        total += _price(node) * min(max(shares), 1.0)
    return total


def _price(node: Node) -> float:
    try:
        price = float(node.metadata.labels.get(PRICE, "0"))
    except ValueError:
        return 0.0
    return price if 0 <= price < math.inf else 0.0
