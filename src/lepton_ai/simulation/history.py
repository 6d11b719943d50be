"""Our own past as a trace: tasks that the platform ran, and the nodes that it ran them on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from lepton_ai.kernel.nodes import place_labels
from lepton_ai.kernel.prices import price_of_node
from lepton_ai.kernel.queue import demand_of, restart_of, weight_of
from lepton_ai.kernel.scheduling.snapshot import DeviceView, NodeView
from lepton_ai.simulation.trace import Trace, TraceTask, sifted
from lepton_ai.types.node import Node
from lepton_ai.types.task import Task

NAME = "lepton"
MEMORY_RESERVED_BYTES = 512 * 2**20  # what the core keeps of each node unless it was set otherwise


def trace_of(tasks: Iterable[Task], since: datetime, now: datetime, source: str) -> Trace:
    """Return what was submitted since then. What still runs is taken to end now; what never started is skipped."""
    skipped: Counter[str] = Counter()
    found, live = [], 0
    for task in tasks:
        status = task.status
        submitted = status.submitted_at or task.metadata.created_at
        if submitted is None or submitted < since:
            continue
        if status.started_at is None:
            skipped["never started"] += 1
            continue
        live += status.finished_at is None
        found.append(_recorded(task, submitted, status.started_at, status.finished_at or now))
    said = "1 task still runs; it is" if live == 1 else f"{live:,} tasks still run; they are"
    notes = [f"{said} taken to end now."] if live else []
    first = min((task.submitted for task in found), default=since.timestamp())
    kept, left_out = sifted(found, skipped)
    return Trace(source, NAME, kept, datetime.fromtimestamp(first, since.tzinfo), left_out, tuple(notes))


def _recorded(task: Task, submitted: datetime, began: datetime, ended: datetime) -> TraceTask:
    spec = task.spec
    return TraceTask(
        f"{spec.owner_name}/{spec.index}" if spec.index else spec.owner_name,
        submitted.timestamp(),
        (ended - began).total_seconds(),
        demand_of(task),
        weight_of(task),
        f"{task.project}/{spec.task_kind}",
        spec.expected_duration.total_seconds() if spec.expected_duration else 0.0,
        max((began - submitted).total_seconds(), 0.0),
        spec.is_service,
        (spec.due_at.timestamp() - submitted.timestamp()) if spec.due_at else 0.0,
        task.project,
        restart_of(task),
    )


@dataclass(frozen=True, slots=True)
class PricedNodes:
    """Nodes, and by their names what a device there costs in an hour, where anybody said."""

    nodes: Sequence[NodeView]
    prices: dict[str, float]


def nodes_of(found: Iterable[Node]) -> PricedNodes:
    """Return the platform's nodes as the scheduler sees them, whether or not they are up now."""
    nodes, prices = [], {}
    for node in found:
        hardware = node.status.hardware
        if hardware is None:
            continue
        devices = tuple(DeviceView(d.id, d.kind, d.memory_bytes, d.share_milli) for d in hardware.devices)
        memory = max(0, hardware.memory_bytes - MEMORY_RESERVED_BYTES)
        cpu, labels, price = hardware.threads * 1000, place_labels(node), price_of_node(node)
        nodes.append(NodeView(node.name, hardware.cpu_class, cpu, memory, devices, labels=labels, price=price))
        if price is not None and devices:
            prices[node.name] = price.per_hour / len(devices)
    return PricedNodes(nodes, prices)
