"""What an hour of some allocations costs, by the prices of their nodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lepton_ai.kernel.scheduling.snapshot import Price
from lepton_ai.types.node import Node
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI, Allocation

PRICE = "price"  # the label of a node that says what an hour of all of it costs
PRICE_MAX = 1e9  # what is spent is never taken back: a slip of the keyboard would use up every budget


def check_price(text: str) -> None:
    """Raise ValueError unless `text` is what an hour of a node may cost."""
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not 0 <= price <= PRICE_MAX:
        raise ValueError(f"{text[:40]!r} is not a price of an hour: a number from 0 to {PRICE_MAX:,.0f}")


def devices_of(allocations: Sequence[Allocation]) -> float:
    """Return how many devices are held; half of one counts 0.5."""
    return sum(device.share_milli for held in allocations for device in held.devices) / WHOLE_DEVICE_MILLI


def price_of(allocations: Sequence[Allocation], nodes: Mapping[str, Node]) -> float:
    """Return what an hour of `allocations` costs: of each node's price the part that its scarcest resource is."""
    total = 0.0
    for held in allocations:
        node = nodes.get(held.node)
        price = price_of_node(node) if node is not None else None
        if price is not None:
            total += price.of(held.cpu_milli, held.memory_bytes, sum(device.share_milli for device in held.devices))
    return total


def price_of_node(node: Node) -> Price | None:
    """Return what an hour of all of a node costs; None if that is not known, or nothing."""
    hardware, per_hour = node.status.hardware, _per_hour(node)
    if hardware is None or not per_hour:
        return None
    return Price(per_hour, hardware.threads * 1000, hardware.memory_bytes, len(hardware.devices))


def _per_hour(node: Node) -> float:
    try:
        price = float(node.metadata.labels.get(PRICE, "0"))
    except ValueError:
        return 0.0
    return price if 0 <= price < math.inf else 0.0
