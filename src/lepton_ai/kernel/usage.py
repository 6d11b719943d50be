"""Pure: what each project holds, may hold and has used up, as people are shown it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from lepton_ai.kernel.scheduling.demand import is_kind
from lepton_ai.kernel.spending import rates_of, upwards
from lepton_ai.types.identity import Project
from lepton_ai.types.node import Node
from lepton_ai.types.resources import WHOLE_DEVICE_MILLI
from lepton_ai.types.share import ANY_DEVICE, Held, ProjectUsage, Spent
from lepton_ai.types.task import Task, TaskState

_CPU, _MEMORY, _WAITING = "cpu", "memory", "waiting"  # beside device kinds, of which none has such a name


def usages(
    projects: Collection[Project],
    tasks: Collection[Task],
    nodes: Collection[Node],
    settled: Mapping[str, Spent],
    now: datetime,
) -> Sequence[ProjectUsage]:
    """Return the usage of every project, by name; what those below it hold and use counts in it."""
    known = {one.name: one for one in projects}
    held: dict[str, Counter[str]] = {name: Counter() for name in known}
    for task in tasks:
        more = _held(task)
        for name in upwards(task.project, known):
            held[name].update(more)
    rates = rates_of(projects, tasks, settled, now)
    warning = _beyond([one for one in projects if one.spec.parent not in known], nodes)
    return [
        ProjectUsage(
            project=name,
            parent=one.spec.parent,
            weight=one.spec.weight,
            borrow=one.spec.borrow,
            held=_shown(held[name], {**one.spec.quota.accelerators, **one.spec.limit.accelerators}),
            quota=one.spec.quota,
            limit=one.spec.limit,
            spent=rates[name].spent,
            budget=one.spec.budget,
            state=one.status.state,
            waiting=held[name][_WAITING],
            warning=warning if not one.spec.quota.is_empty() else "",
        )
        for name, one in sorted(known.items())
    ]


def _held(task: Task) -> Counter[str]:
    found: Counter[str] = Counter()
    if task.status.state is TaskState.WAITING:
        found[_WAITING] = 1
    for held in task.status.allocations if not task.is_final() else ():
        found[_CPU] += held.cpu_milli
        found[_MEMORY] += held.memory_bytes
        for device in held.devices:
            found[ANY_DEVICE] += device.share_milli
            found[held.resource_class] += device.share_milli
    return found


def _shown(held: Mapping[str, int], named: Collection[str]) -> Held:
    devices = {kind: milli for kind, milli in held.items() if kind not in {_CPU, _MEMORY, _WAITING} and milli}
    parts = {part: sum(n for kind, n in devices.items() if is_kind(part, kind)) for part in named if part != ANY_DEVICE}
    shown = {kind: milli / WHOLE_DEVICE_MILLI for kind, milli in sorted({**parts, **devices}.items())}
    return Held(cpu=held[_CPU] / 1000, memory=held[_MEMORY], accelerators=shown)


def _beyond(roots: Collection[Project], nodes: Collection[Node]) -> str:
    """Return which quotas are beyond all that there is, if any are: they cannot all be kept at once."""
    there = [node.status.hardware for node in nodes if node.status.hardware is not None]
    kinds = Counter(device.kind for hardware in there for device in hardware.devices)
    have: dict[str, float] = {
        _CPU: float(sum(hardware.threads for hardware in there)),
        _MEMORY: float(sum(hardware.memory_bytes for hardware in there)),
        "gpu": float(kinds.total()),
    }
    promised: dict[str, float] = {}
    for one in roots:
        for name, amount in one.spec.quota.named().items():
            promised[name] = promised.get(name, 0.0) + amount
    for name, amount in sorted(promised.items()):
        most = have.get(name, float(sum(n for kind, n in kinds.items() if is_kind(name, kind))))
        if amount > most:
            return f"projects are promised {amount:g} of {most:g} {name}: not all can have it at once"
    return ""
