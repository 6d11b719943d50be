"""The jobs service at work: it decides, and deletes the checkpoints of jobs that are to go."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from lepton_ai.errors import LeptonError
from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.registry import AsgiApp, Door, View
from lepton_ai.services.jobs.decide import decide, leaves_checkpoints
from lepton_ai.types.base import AnyObject
from lepton_ai.types.identity import Project
from lepton_ai.types.job import Job

log = logging.getLogger(__name__)


class Jobs:
    """Decides in the loop's thread; its tasks are the kernel's to run. What waits for the store has its own thread."""

    gateway: AsgiApp | None = None

    def __init__(self, door: Door) -> None:
        self._door = door
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="jobs")
        self._lock = threading.Lock()
        self._at_work: set[str] = set()
        self._emptied: set[str] = set()

    def decide(self, thing: AnyObject, view: View, now: datetime) -> Decision:
        """Return the next steps for one job."""
        assert isinstance(thing, Job)
        tasks = view.tasks_of(thing.id)
        if leaves_checkpoints(thing, tasks) and self._begins_to_empty(thing, view):
            return Decision()
        held_by = () if tasks else thing.spec.after  # what it waited for is the past once it has begun
        return decide(thing, tasks, {name: view.look_up(Job, thing.project, name) for name in held_by}, now)

    def apply(self, view: View, now: datetime) -> None:
        """Forget the jobs that are gone."""
        self._emptied = {job_id for job_id in self._emptied if view.get(Job, job_id) is not None}

    def close(self) -> None:
        """Begin nothing more."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _begins_to_empty(self, job: Job, view: View) -> bool:
        """See to it that the job's checkpoints are deleted; tell whether that is still to come."""
        project = next((one for one in view.all(Project) if one.name == job.project), None)
        if job.id in self._emptied or project is None:
            return False
        with self._lock:
            if job.id not in self._at_work:
                self._at_work.add(job.id)
                self._worker.submit(self._empty, project.id, job.id)
        return True

    def _empty(self, project_id: str, job_id: str) -> None:
        is_empty = False
        try:
            is_empty = self._door.object_stores.empty(project_id, job_id)
        except LeptonError as error:
            log.warning("checkpoints_not_deleted job=%s error=%s", job_id, error)
        finally:
            with self._lock:
                self._at_work.discard(job_id)
        if is_empty:
            self._emptied.add(job_id)
            self._door.wake(job_id)


def leaves_outside(thing: AnyObject) -> bool:
    """Tell whether a job that has ended may have left checkpoints in the store."""
    assert isinstance(thing, Job)
    return thing.spec.checkpoint is not None


def open_jobs(door: Door) -> Jobs:
    """Return the service at work."""
    return Jobs(door)
