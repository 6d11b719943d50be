"""Jobs: work that ends. The manifest of the service."""

from __future__ import annotations

from datetime import datetime

from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.registry import AsgiApp, Door, Service, View
from lepton_ai.services.jobs.admit import admit, name_stem
from lepton_ai.services.jobs.decide import decide
from lepton_ai.types.base import AnyObject
from lepton_ai.types.job import Job


class Jobs:
    """The service at work: it only decides; its tasks are the kernel's to run."""

    gateway: AsgiApp | None = None

    def decide(self, thing: AnyObject, view: View, now: datetime) -> Decision:
        """Return the next steps for one job."""
        assert isinstance(thing, Job)
        tasks = view.tasks_of(thing.id)
        held_by = () if tasks else thing.spec.after  # what it waited for is the past once it has begun
        return decide(thing, tasks, {name: view.look_up(Job, thing.project, name) for name in held_by}, now)

    def apply(self, view: View, now: datetime) -> None:
        """Nothing of a job lies outside the kernel."""

    def close(self) -> None:
        """There is nothing to let go of."""


def open_jobs(_door: Door) -> Jobs:
    """Return the service at work."""
    return Jobs()


SERVICE = Service(name="jobs", kinds=(Job,), open=open_jobs, admit=admit, name_stem=name_stem)
