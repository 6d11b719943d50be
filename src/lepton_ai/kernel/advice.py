"""Pure: what the scheduler would do with a task that nobody submitted yet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from lepton_ai.kernel.scheduling.places import meets
from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import NodeView, Plan, Policy, Price, Snapshot, WaitingTask
from lepton_ai.kernel.scheduling.speeds import GUESSED, Speed
from lepton_ai.types.resource_view import ResourceChoice
from lepton_ai.types.resources import Allocation
from lepton_ai.types.task import HOUR_SECONDS

NOTHING_KNOWN = Speed(0.0, 0.0, GUESSED)


def rank_classes(
    snapshot: Snapshot, trial: WaitingTask, policy: Policy, speeds: Mapping[str, Speed] = MappingProxyType({})
) -> Sequence[ResourceChoice]:
    """Return the classes on which `trial` could run, the one where it is expected to take least time at the head.

    The seconds are the estimate's: measured where this kind of task has run on the class, else inferred or guessed.
    Of classes that are as fast, those that are free now go first, and then those that cost less.
    """
    choices = []
    slowest = max((speeds[name].log_time for name in classes_for(snapshot.nodes, trial) if name in speeds), default=0.0)
    for name in classes_for(snapshot.nodes, trial):
        nodes = tuple(node for node in _only(snapshot.nodes, name, trial) if meets(node, trial.demand.where))
        empty = replace(snapshot, nodes=nodes, waiting=(trial,), running=(), projects=())
        held = [one.allocations for one in schedule(empty, policy).placements]
        if not held:
            continue
        now = schedule(replace(snapshot, nodes=nodes, waiting=(trial,)), policy)
        expected = trial.expectations.get(name, trial.expectations[""])
        speed = speeds.get(name, NOTHING_KNOWN)
        price = _price_of(held[0], {node.name: node.price for node in nodes})
        choices.append(
            ResourceChoice(
                resource_class=name,
                nodes=tuple(node.name for node in nodes),
                expected_seconds=expected.median,
                p80_seconds=expected.p80,
                source=expected.source,
                is_free_now=bool(now.placements),
                relative_speed=math.exp(slowest - speed.log_time),
                speed_spread=math.exp(speed.sigma),
                speed_source=speed.source,
                speed_because=speed.because,
                price_per_hour=price,
                expected_cost=None if price is None else price * expected.median / HOUR_SECONDS,
            )
        )
    return sorted(choices, key=_rank)


def why_never(snapshot: Snapshot, trial: WaitingTask, policy: Policy) -> str:
    """Return why no class could run `trial`, even if nothing else ran."""
    alone = schedule(replace(snapshot, waiting=(trial,), running=(), projects=()), policy)
    return alone.waits[0].sentence if alone.waits else "no class of resource alone could run this task"


def _price_of(allocations: Sequence[Allocation], prices: Mapping[str, Price | None]) -> float | None:
    """Return what an hour of `allocations` costs; None if nobody said what one of their nodes does."""
    total = 0.0
    for held in allocations:
        price = prices[held.node]
        if price is None:
            return None
        total += price.of(held.cpu_milli, held.memory_bytes, sum(device.share_milli for device in held.devices))
    return total


def _rank(choice: ResourceChoice) -> tuple[float, bool, float, str]:
    cost = math.inf if choice.expected_cost is None else choice.expected_cost
    return choice.expected_seconds, not choice.is_free_now, cost, choice.resource_class


def place_on(snapshot: Snapshot, trial: WaitingTask, resource_class: str, policy: Policy) -> Plan:
    """Return where `trial` would start now if only `resource_class` existed; nothing is held by asking."""
    nodes = _only(snapshot.nodes, resource_class, trial)
    return schedule(replace(snapshot, nodes=nodes, waiting=(trial,)), policy)


def classes(nodes: Sequence[NodeView]) -> Sequence[str]:
    """Return every class of resource that the nodes have."""
    return sorted({node.cpu_class for node in nodes} | {device.kind for node in nodes for device in node.devices})


def classes_for(nodes: Sequence[NodeView], trial: WaitingTask) -> Sequence[str]:
    """Return the classes of the sort that a task asks for: accelerators or CPUs."""
    if trial.demand.accelerator is None:
        return sorted({node.cpu_class for node in nodes})
    return sorted({device.kind for node in nodes for device in node.devices})


def _only(nodes: Sequence[NodeView], resource_class: str, trial: WaitingTask) -> tuple[NodeView, ...]:
    if trial.demand.accelerator is None:
        return tuple(node for node in nodes if node.cpu_class == resource_class)
    kept = (
        replace(node, devices=tuple(device for device in node.devices if device.kind == resource_class))
        for node in nodes
    )
    return tuple(node for node in kept if node.devices)
