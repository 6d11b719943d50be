"""Pure: the task that one attempt of one index of a job amounts to."""

from __future__ import annotations

from datetime import datetime

from lepton_ai.types.base import Metadata
from lepton_ai.types.job import Job
from lepton_ai.types.task import Program, Task, TaskSpec, TaskStatus

# The runtime lays the pickled call and takes the result under these names, beside the working directory.
FUNCTION_COMMAND = ("python", "-m", "lepton_ai.node.function_runner", "../call.pickle", "../result.pickle")
_INTERPRETERS = ("python", "bash", "sh", "node", "torchrun", "uv")


def task_for(job: Job, index: int, attempt: int, now: datetime) -> Task:
    """Return a new task; its id follows from the job, the index and the attempt, so that none is ever made twice."""
    spec = job.spec
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
            task_kind=task_kind(job),
            program=Program(
                command=spec.command or FUNCTION_COMMAND,
                env=env,
                secrets=spec.secrets,
                bundle=spec.bundle,
                call=spec.function,
                requirements=spec.requirements,
                timeout=spec.timeout,
                grace=spec.grace,
            ),
            resources=spec.resources,
            size=spec.replicas,
            priority=spec.priority,
            expected_duration=spec.expected_duration,
        ),
        # The wait counts from the job's submission, so that a retry does not go to the end of the queue.
        status=TaskStatus(submitted_at=job.status.submitted_at or now),
    )


def task_kind(job: Job) -> str:
    """Return what the estimates learn by: who runs which program, on how many replicas; arguments vary too much."""
    words = job.spec.command
    if not words:
        program = f"function:{job.metadata.labels.get('function', '')}"
    elif words[0].rsplit("/", maxsplit=1)[-1].startswith(_INTERPRETERS):
        script = next((word for word in words[1:] if not word.startswith("-")), "")
        program = f"{words[0].rsplit('/', maxsplit=1)[-1]} {script[:80]}"
    else:
        program = words[0].rsplit("/", maxsplit=1)[-1][:80]
    return f"{job.metadata.created_by}/{program}/{job.spec.replicas}"
