"""A trace: recorded work as the simulation takes it, whoever recorded it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from lepton_ai.kernel.scheduling.snapshot import Demand, Restart

SECONDS_MAX = 10 * 366 * 86_400.0  # of one task, as for any duration that a user may state
SPAN_SECONDS_MAX = 100 * 366 * 86_400.0  # from the first submission to the last
TASKS_MAX = 500_000  # of about 1 kB each = 500 MB


@dataclass(frozen=True, slots=True)
class TraceTask:
    """One task as it was recorded. `submitted` counts from the start of the trace, `seconds` is how long it really ran.

    `stated_seconds` is what its owner said (0: nothing), `waited` what it really waited then (negative: not known).
    Tasks of one `kind` are alike, which is what estimates learn by; those of one `project` share what it is promised.
    One with a `restart` may be preempted, and pays it.
    """

    id: str
    submitted: float
    seconds: float
    demand: Demand
    weight: float = 1.0
    kind: str = ""
    stated_seconds: float = 0.0
    waited: float = -1.0
    is_service: bool = False
    due_seconds: float = 0.0  # it should end so long after its submission; 0: nobody said
    project: str = ""
    restart: Restart | None = None

    @property
    def devices(self) -> float:
        """How many devices it holds, over all replicas; a share counts as a part of one."""
        wanted = self.demand.accelerator
        return 0.0 if wanted is None else wanted.count * wanted.share_milli / 1000 * self.demand.size

    @property
    def cpus(self) -> float:
        """How many CPUs it holds, over all replicas."""
        return self.demand.cpu_milli / 1000 * self.demand.size


@dataclass(frozen=True, slots=True)
class Trace:
    """Tasks by submission, the first at 0. `skipped` counts by reason what was read and cannot be replayed."""

    source: str
    format: str
    tasks: tuple[TraceTask, ...]
    began: datetime | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def span_seconds(self) -> float:
        """From the first submission to the last."""
        return self.tasks[-1].submitted if self.tasks else 0.0


def in_order(tasks: Iterable[TraceTask]) -> tuple[TraceTask, ...]:
    """Return `tasks` by submission, from 0 on, each under an id of its own.

    The order follows from what the tasks are, never from where they stood, so that shuffled rows give the same trace.
    Those without an id are numbered in that order; a second of the same id becomes `id~2`.
    """
    ordered = sorted(tasks, key=_content)
    first = ordered[0].submitted if ordered else 0.0
    seen: Counter[str] = Counter()
    named = []
    for number, task in enumerate(ordered):
        name = task.id or f"task-{number:06}"
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name}~{seen[name]}"
        named.append(replace(task, id=unique, submitted=task.submitted - first))
    return tuple(named)


def replayable(task: TraceTask) -> str:
    """Return why `task` cannot be replayed, or nothing if it can; NaN and infinity are no durations."""
    if not task.seconds > 0:
        return "no positive duration"
    if task.seconds > SECONDS_MAX:
        return "longer than 10 years"
    if not abs(task.submitted) < float("inf"):
        return "no time of submission"
    return ""


def sifted(tasks: Sequence[TraceTask], skipped: Mapping[str, int]) -> tuple[tuple[TraceTask, ...], dict[str, int]]:
    """Return the tasks that can be replayed, in order, and all that was skipped by reason."""
    counts = Counter(skipped)
    kept = []
    for task in tasks:
        reason = replayable(task)
        if reason:
            counts[reason] += 1
        else:
            kept.append(task)
    ordered = in_order(kept)
    within = tuple(task for task in ordered if task.submitted <= SPAN_SECONDS_MAX)
    if len(within) < len(ordered):
        counts["submitted 100 years after the first"] += len(ordered) - len(within)
    return within, {reason: count for reason, count in sorted(counts.items()) if count}


def _content(task: TraceTask) -> tuple[object, ...]:
    wanted, demand = task.demand.accelerator, task.demand
    device = (
        (wanted.kind, wanted.count, wanted.share_milli, wanted.memory_bytes_min, wanted.memory_bytes_max)
        if wanted
        else ("", 0, 0, 0, 0)
    )
    amounts = (demand.cpu_milli, demand.memory_bytes, demand.size)
    numbers = (task.weight, task.stated_seconds, task.waited, task.is_service)
    terms = task.restart
    stops = (terms.seconds, terms.resumes, terms.grace_seconds) if terms else ()
    return task.submitted, task.id, task.seconds, amounts, device, task.kind, numbers, task.project, stops
