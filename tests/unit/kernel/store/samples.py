"""Small objects to store."""

from __future__ import annotations

from lepton_ai.types.base import DEFAULT_PROJECT, Metadata
from lepton_ai.types.job import Job, JobSpec, JobState
from lepton_ai.types.task import Task
from tests.unit.kernel.samples import task


def job(number: int = 1, *, name: str = "", project: str = DEFAULT_PROJECT, command: str = "true") -> Job:
    metadata = Metadata(id=f"job-{number:04}", name=name or f"j{number}", project=project)
    return Job(metadata=metadata, spec=JobSpec(command=(command,)))


def ended(thing: Job) -> Job:
    return thing.with_status(state=JobState.SUCCEEDED)


def owned(owner: Job, number: int = 1) -> Task:
    name = f"{owner.id}-{number}"
    return task(name).replace(metadata=Metadata(id=name, name=name, owner_id=owner.id))
