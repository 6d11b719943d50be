"""Pure: the task that one attempt of one index of a job amounts to."""

from __future__ import annotations

from datetime import datetime, timedelta

from lepton_ai.types.base import Metadata
from lepton_ai.types.checkpoint import Checkpoint
from lepton_ai.types.job import Job
from lepton_ai.types.task import ExitKind, Program, Task, TaskSpec, TaskStatus

# The runtime lays the pickled call and takes the result under these names, beside the working directory.
FUNCTION_COMMAND = ("python", "-m", "lepton_ai.node.function_runner", "../call.pickle", "../result.pickle")


def task_for(job: Job, index: int, last: Task | None, now: datetime) -> Task:
    """Return the task that follows `last`; its id follows from job, index and attempt, so that none is made twice."""
    spec, attempt = job.spec, last.spec.attempt + 1 if last else 1
    task_id = f"task-{job.id.removeprefix('job-')}-{index}-{attempt}"
    env = {
        **spec.env,
        "LEPTON_JOB_ID": job.id,
        "LEPTON_JOB_NAME": job.name,
        "LEPTON_ARRAY_INDEX": str(index),
        "LEPTON_ARRAY_SIZE": str(max(1, spec.array)),
    }
    return Task(
        metadata=Metadata(id=task_id, name=task_id, project=job.project, owner_id=job.id),
        spec=TaskSpec(
            owner_kind=job.KIND,
            owner_name=job.name,
            index=index,
            attempt=attempt,
            task_kind=job.task_kind(),
            program=Program(
                command=spec.command or FUNCTION_COMMAND,
                env=env,
                secrets=spec.secrets,
                bundle=spec.bundle,
                call=spec.function,
                requirements=spec.requirements,
                checkpoint=spec.checkpoint,
                timeout=spec.timeout,
                grace=spec.grace,
            ),
            resources=spec.resources,
            size=spec.replicas,
            per_node=spec.replicas_per_node,
            priority=spec.priority,
            expected_duration=spec.expected_duration,
            preemptible=spec.preemptible,
            done=_done(last) if last else timedelta(0),
            resumes_from=_newest(last) if last else None,
            max_cost=spec.max_cost,
            due_at=_due_at(job, now),
            earlier_cost=last.spec.earlier_cost + last.spent(now).money if last else 0.0,
        ),
        # The wait counts from the job's submission, so that a retry does not go to the end of the queue.
        status=TaskStatus(submitted_at=job.status.submitted_at or now),
    )


def _due_at(job: Job, now: datetime) -> datetime | None:
    due = job.spec.due
    return (job.status.submitted_at or now) + due if isinstance(due, timedelta) else due


def _done(last: Task) -> timedelta:
    """Return how long the work has run that the next attempt need not do again."""
    if last.spec.program.checkpoint is not None:
        newest = _newest(last)
        return newest.ran if newest else timedelta(0)
    begin, end = last.status.started_at, last.status.finished_at
    if last.status.outcome is not ExitKind.PREEMPTED or last.spec.preemptible is None:
        return timedelta(0)
    if not last.spec.preemptible.resumes:
        return timedelta(0)
    return last.spec.done + (end - begin if begin and end else timedelta(0))


def _newest(last: Task) -> Checkpoint | None:
    """Return the checkpoint that the next attempt goes on from: of the last one, or what that one began with."""
    return last.status.checkpoint or last.spec.resumes_from
