"""Jobs and the tasks that they made, for the tests of the jobs service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lepton_ai.kernel.decision import Decision
from lepton_ai.services.jobs.decide import decide
from lepton_ai.types.base import Metadata
from lepton_ai.types.job import Job, JobSpec, JobState, JobStatus
from lepton_ai.types.task import ExitKind, Task, TaskState
from tests.unit.kernel.samples import NOW, finished, later, task


def job(name: str = "train", state: JobState = JobState.QUEUED, **spec: Any) -> Job:
    return Job(
        metadata=Metadata(id=f"job-{name}", name=name, version=1),
        spec=JobSpec(**{"command": ("python", "train.py"), **spec}),
        status=JobStatus(state=state, submitted_at=NOW),
    )


def attempt(number: int = 1, outcome: ExitKind = ExitKind.FAILED, *, index: int = 0, at: float = 5) -> Task:
    """Return an attempt that ended `at` seconds from the start."""
    return finished(f"task-{index}-{number}", outcome, attempt=number, index=index, at=at)


def live(state: TaskState, *, index: int = 0, **spec: Any) -> Task:
    return task(f"task-{index}-1", state, index=index, **spec)


def decided(
    of: Job, *tasks: Task, after: Mapping[str, Job | None] | None = None, at: float = 100
) -> tuple[Decision, Job | None]:
    """Decide `at` seconds from the start; return the decision and the job as it changes, None if it stays as it is."""
    decision = decide(of, tasks, after or {}, later(at))
    changed = [change.object for change in decision.changes if isinstance(change.object, Job)]
    return decision, changed[-1] if changed else None


def made(decision: Decision) -> Sequence[Task]:
    return [change.object for change in decision.changes if change.verb == "create" and isinstance(change.object, Task)]


def stopped(decision: Decision) -> Sequence[str]:
    """Return the ids of the tasks that the decision asks to stop."""
    tasks = [change.object for change in decision.changes if isinstance(change.object, Task)]
    return [one.id for one in tasks if one.spec.stop_requested]
