"""The storage service at work: it empties buckets that are to go, and keeps the store running that holds the others."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from lepton_ai.errors import LeptonError
from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.registry import AsgiApp, Door, View
from lepton_ai.services.storage.decide import decide
from lepton_ai.types.base import AnyObject
from lepton_ai.types.bucket import Bucket, BucketState
from lepton_ai.types.identity import Project

log = logging.getLogger(__name__)

TEND = "tend"


class Storage:
    """Decides in the loop's thread. Whatever waits for the store does so in one thread of its own."""

    gateway: AsgiApp | None = None

    def __init__(self, door: Door) -> None:
        self._door = door
        self._stores = door.object_stores
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="storage")
        self._lock = threading.Lock()
        self._at_work: set[str] = set()
        self._emptied: set[str] = set()
        self._stores.on_death(lambda: door.wake(""))

    def decide(self, thing: AnyObject, view: View, now: datetime) -> Decision:
        """Return the next steps for one bucket."""
        assert isinstance(thing, Bucket)
        return decide(thing, is_empty=thing.id in self._emptied)

    def apply(self, view: View, now: datetime) -> None:
        """Empty what is to go, and bring the store back if it has died. What fails is tried again by a later pass."""
        buckets = view.all(Bucket)
        project_ids = {project.name: project.id for project in view.all(Project)}
        self._emptied &= {bucket.id for bucket in buckets}
        for bucket in buckets:
            if bucket.status.state is BucketState.DELETING and bucket.id not in self._emptied:
                self._submit(bucket.id, project_ids[bucket.project])
        if buckets:
            self._submit(TEND, "")

    def close(self) -> None:
        """Begin nothing more; the store runs on."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: str, project_id: str) -> None:
        with self._lock:
            if work in self._at_work:
                return
            self._at_work.add(work)
        self._worker.submit(self._tend if work == TEND else lambda: self._empty(project_id, work))

    def _tend(self) -> None:
        try:
            self._stores.tend()
        except LeptonError as error:
            log.warning("store_not_tended error=%s", error)
        finally:
            self._done(TEND)

    def _empty(self, project_id: str, bucket_id: str) -> None:
        is_empty = False
        try:
            is_empty = self._stores.empty(project_id, bucket_id)
        except LeptonError as error:
            log.warning("bucket_not_emptied bucket=%s error=%s", bucket_id, error)
        finally:
            self._done(bucket_id)
        if is_empty:
            self._emptied.add(bucket_id)
            self._door.wake(bucket_id)

    def _done(self, work: str) -> None:
        with self._lock:
            self._at_work.discard(work)


def open_storage(door: Door) -> Storage:
    """Return the service at work."""
    return Storage(door)
