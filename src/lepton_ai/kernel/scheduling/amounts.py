"""What a shape asks for, in words: "4 CPUs, 8.0 GB and 2 h100"."""

from __future__ import annotations

from lepton_ai.kernel.scheduling.demand import Shape
from lepton_ai.types.quantity import format_bytes
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI


def needs(shape: Shape) -> str:
    """Return all that one replica asks for: "4 CPUs, 8.0 GB and 2 h100"."""
    parts = [cpus(shape.cpu_milli), format_bytes(shape.memory_bytes)]
    if shape.devices:
        parts.append(devices(shape))
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def gang(shape: Shape) -> str:
    """Return how many replicas there are, of what: "4 x 2 h100", or "2 nodes with 4 x 2 h100 each"."""
    one = devices(shape) if shape.devices else cpus(shape.cpu_milli)
    if not shape.per_node:
        return f"{shape.size} x {one}"
    return f"{nodes(shape.parcels)} with {shape.per_node} x {one}{' each' if shape.parcels > 1 else ''}"


def nodes(count: int) -> str:
    """Return "1 node", "2 nodes"."""
    return f"{count} node{'' if count == 1 else 's'}"


def cpus(cpu_milli: int) -> str:
    """Return "1 CPU", "0.5 CPUs"."""
    return f"{cpu_milli / 1000:g} CPU{'' if cpu_milli == 1000 else 's'}"


def devices(shape: Shape) -> str:
    """Return what one replica asks for of devices: "2 h100", "0.5 of one h100"."""
    kind = shape.kind or "accelerator" + ("s" if shape.devices > 1 else "")
    return (
        f"{shape.devices} {kind}"
        if shape.share_milli == WHOLE_DEVICE_MILLI
        else f"{shape.share_milli / 1000:g} of one {kind}"
    )
