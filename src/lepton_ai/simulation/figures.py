"""The figures of a replay: waits, completion, utilisation over time, and cost. Pure arithmetic on an outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lepton_ai.kernel.scheduling.snapshot import Policy, ProjectView, Refusal
from lepton_ai.simulation.by_project import ProjectFigures, by_project
from lepton_ai.simulation.engine import Outcome
from lepton_ai.simulation.trace import TraceTask
from lepton_ai.simulation.waits import Floats, Waits, waits_of
from lepton_ai.types.base import Model

Held = tuple[float, float, float]  # from, until, how much
BUCKETS = 120  # points of the utilisation curve: as many as a wide terminal has columns
HOUR = 3600.0


class SizeWaits(Model):
    """Waits of the tasks of one size."""

    size: str
    waits: Waits


class Use(Model):
    """How much of one kind of resource was held: shares 0..1 of all there is, over the whole replay."""

    resource: str  # a kind of device, "devices" for all, or "cpu"
    amount: float  # how many there are
    mean: float
    hours: float  # device-hours or CPU-hours that tasks held
    over_time: tuple[float, ...] = ()


class Cost(Model):
    """What the fleet costs from the first submission to the last end, at the prices that are known."""

    device_hours: float
    device_hours_held: float
    price: float | None = None  # of all device-hours; None where no node has a price
    price_held: float | None = None
    priced_devices: int = 0


class Refused(Model):
    """Tasks that never ran to their end, for one reason; the sentence is that of the first of them."""

    reason: Refusal
    tasks: int
    sentence: str


class Figures(Model):
    """Everything that `lepton simulate` tells of one replay. Seconds, unless said otherwise."""

    name: str
    nodes: int
    devices: int
    cpus: float
    policy: Mapping[str, float]
    ended: int
    refused: tuple[Refused, ...]
    waits: Waits
    waits_by_size: tuple[SizeWaits, ...]
    projects: tuple[ProjectFigures, ...]
    mean_completion: float
    weighted_completion: float
    makespan: float
    preemptions: int
    uses: tuple[Use, ...]
    cost: Cost


@dataclass(frozen=True, slots=True)
class Setting:
    """What was simulated: its name, its policy, by node what a device costs in an hour, and who shares the nodes."""

    name: str
    policy: Policy
    prices: Mapping[str, float]
    projects: tuple[ProjectView, ...] = ()


def figures_of(outcome: Outcome, setting: Setting) -> Figures:
    """Return the figures of `outcome`."""
    tasks = [outcome.trace.tasks[row] for row in outcome.ends]
    ends = np.array(list(outcome.ends.values()))
    completion = ends - np.array([task.submitted for task in tasks])
    weight = np.array([task.weight for task in tasks])
    waits = np.maximum(completion - np.array([task.seconds for task in tasks]), 0.0)
    makespan = float(ends.max()) if len(ends) else 0.0
    uses = uses_of(outcome, makespan)
    return Figures(
        name=setting.name,
        nodes=len(outcome.nodes),
        devices=sum(len(node.devices) for node in outcome.nodes),
        cpus=sum(node.cpu_milli for node in outcome.nodes) / 1000,
        policy=policy_numbers(setting.policy),
        ended=len(tasks),
        refused=_refused(outcome),
        waits=waits_of(waits),
        waits_by_size=_by_size(tasks, waits),
        projects=by_project(outcome, setting.projects, makespan),
        mean_completion=float(completion.mean()) if tasks else 0.0,
        weighted_completion=float((completion * weight).sum() / weight.sum()) if weight.sum() > 0 else 0.0,
        makespan=makespan,
        preemptions=outcome.preemptions,
        uses=uses,
        cost=_cost(outcome, setting.prices, makespan),
    )


def policy_numbers(policy: Policy) -> dict[str, float]:
    """Return a policy's numbers by name; spans of time in seconds."""
    numbers = {name: getattr(policy, name) for name in policy.__dataclass_fields__}
    return {name: float(getattr(one, "total_seconds", lambda one=one: one)()) for name, one in numbers.items()}


def size_of(task: TraceTask) -> str:
    """Return the class of sizes that a task belongs to: by devices, or by CPUs if it asks for none."""
    amount = task.devices
    if amount <= 0:
        return "no device"
    if amount < 1:
        return "part of a device"
    for most in (1, 2, 4, 8, 16, 64):
        if amount <= most:
            low = most // 2 + 1 if most <= 16 else 17
            return "1 device" if most == 1 else f"{low} devices" if low == most else f"{low}-{most} devices"
    return "over 64 devices"


SIZES = ("no device", "part of a device", "1 device", "2 devices", "3-4 devices", "5-8 devices", "9-16 devices",
         "17-64 devices", "over 64 devices")  # fmt: skip


def uses_of(outcome: Outcome, until: float, buckets: int = BUCKETS) -> tuple[Use, ...]:
    """Return the use of all devices, of each kind of them, and of the CPUs."""
    kind_of = {(node.name, device.id): device.kind for node in outcome.nodes for device in node.devices}
    kinds = sorted(set(kind_of.values()))
    amounts = dict.fromkeys(kinds, 0.0)
    for node in outcome.nodes:
        for device in node.devices:
            amounts[device.kind] += device.share_milli / 1000
    held: dict[str, list[Held]] = {kind: [] for kind in [*kinds, "cpu"]}
    for stretch in outcome.stretches:
        for allocation in stretch.allocations:
            held["cpu"].append((stretch.start, stretch.end, allocation.cpu_milli / 1000))
            for share in allocation.devices:
                kind = kind_of[allocation.node, share.device_id]
                held[kind].append((stretch.start, stretch.end, share.share_milli / 1000))
    cpus = sum(node.cpu_milli for node in outcome.nodes) / 1000
    found = [_use(kind, amounts[kind], held[kind], until, buckets) for kind in kinds]
    if kinds:
        every = [one for kind in kinds for one in held[kind]]
        found.insert(0, _use("devices", sum(amounts.values()), every, until, buckets))
    return (*found, _use("cpu", cpus, held["cpu"], until, buckets))


def held_over_time(stretches: Sequence[Held], until: float, buckets: int) -> Floats:
    """Return how much is held on average in each of `buckets` equal parts of 0..until, exactly."""
    if not stretches or until <= 0:
        return np.zeros(buckets)
    columns = np.array(stretches)
    times = np.concatenate([columns[:, 0], columns[:, 1]])
    steps = np.concatenate([columns[:, 2], -columns[:, 2]])
    order = np.argsort(times, kind="stable")
    times, level = times[order], np.cumsum(steps[order])
    area = np.concatenate([[0.0], np.cumsum(level[:-1] * np.diff(times))])
    edges = np.linspace(0.0, until, buckets + 1)
    # Between two changes the level is constant, so that the area in between is a straight line.
    found: Floats = np.diff(np.interp(edges, times, area)) / (until / buckets)
    return np.maximum(found, 0.0)


def _use(name: str, amount: float, held: Sequence[Held], until: float, buckets: int) -> Use:
    hours = sum((end - start) * share for start, end, share in held) / HOUR
    curve = held_over_time(held, until, buckets) / amount if amount > 0 else np.zeros(buckets)
    mean = hours * HOUR / (amount * until) if amount > 0 and until > 0 else 0.0
    return Use(resource=name, amount=amount, mean=mean, hours=hours, over_time=tuple(round(float(x), 6) for x in curve))


def _by_size(tasks: Sequence[TraceTask], waits: Floats) -> tuple[SizeWaits, ...]:
    sizes = np.array([size_of(task) for task in tasks])
    return tuple(
        SizeWaits(size=size, waits=waits_of(waits[sizes == size])) for size in SIZES if bool((sizes == size).any())
    )


def _refused(outcome: Outcome) -> tuple[Refused, ...]:
    found: dict[Refusal, list[str]] = {}
    for row in sorted(outcome.refused):
        found.setdefault(outcome.refused[row].refusal, []).append(outcome.refused[row].sentence)
    return tuple(Refused(reason=why, tasks=len(each), sentence=each[0]) for why, each in sorted(found.items()))


def _cost(outcome: Outcome, prices: Mapping[str, float], until: float) -> Cost:
    hours = until / HOUR
    held, price_held = 0.0, 0.0
    for stretch in outcome.stretches:
        for allocation in stretch.allocations:
            share = sum(device.share_milli for device in allocation.devices) / 1000
            used = share * (stretch.end - stretch.start) / HOUR
            held += used
            price_held += used * prices.get(allocation.node, 0.0)
    devices = {node.name: len(node.devices) for node in outcome.nodes}
    priced = sum(count for name, count in devices.items() if name in prices)
    price = sum(count * hours * prices.get(name, 0.0) for name, count in devices.items())
    return Cost(
        device_hours=sum(devices.values()) * hours,
        device_hours_held=held,
        price=price if priced else None,
        price_held=price_held if priced else None,
        priced_devices=priced,
    )
