"""Looks after the checkpoints of tasks that run: sees what they completed, and keeps it in the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import BinaryIO, Protocol

from lepton_ai.errors import Conflict, LeptonError, NotFound
from lepton_ai.kernel.checkpoints.news import NO_NEWS, News, newest_unsaved
from lepton_ai.kernel.checkpoints.pulling import open_on_node
from lepton_ai.kernel.checkpoints.vault import Scope, Vault, scope_of
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.runtime import Runtime, StoredVersion
from lepton_ai.types.checkpoint import Checkpoint, FoundVersion, Manifest, StoredFile
from lepton_ai.types.task import Replica, Task

LOOK_SECONDS = 1.0  # a look at a folder of a few entries takes 0.1 ms here, and a call to another node 1 ms
WORKERS = 4  # versions that are read and sealed at the same time: two parts of 8 MiB each in memory
log = logging.getLogger(__name__)


class Checkpoints(Protocol):
    """What the loop asks about checkpoints: `Keeper`, or `NoCheckpoints` where nothing keeps them."""

    def watch(self, tasks: Mapping[str, Task], seen: Mapping[str, Replica], nodes: Collection[str]) -> None:
        """Look after the checkpoints of these active tasks from now on, and of no others. Does not wait."""

    def news(self, task: Task) -> News:
        """Return what is known now of a task's checkpoints."""

    def stored_version(self, task: Task) -> StoredVersion | None:
        """Return what the task goes on from, without a look at the store."""


class NoCheckpoints:
    """Keeps nothing."""

    def watch(self, tasks: Mapping[str, Task], seen: Mapping[str, Replica], nodes: Collection[str]) -> None:
        """There is nothing to look after."""

    def news(self, task: Task) -> News:
        return NO_NEWS

    def stored_version(self, task: Task) -> StoredVersion | None:
        return None


@dataclass(frozen=True, slots=True)
class _Watched:
    """A task with what its first rank, whose folder counts, is now. One that is not `reachable` has nothing to read."""

    task: Task
    replica: Replica | None
    is_reachable: bool
    has_ended: bool


@dataclass(slots=True)
class _Course:
    """What is known of one attempt. `manifests` is None until the store was asked."""

    news: News = field(default_factory=News)
    manifests: list[Manifest] | None = None
    is_at_work: bool = False


class Keeper:
    """Works in threads of its own. It remembers nothing that the store and the nodes do not tell a new one."""

    def __init__(self, vault: Vault, runtime: Runtime, clock: Clock) -> None:
        self._vault, self._runtime, self._clock = vault, runtime, clock
        self._wake: Callable[[str], None] = lambda _task_id: None
        self._lock = threading.Condition()
        self._watched: dict[str, _Watched] = {}
        self._courses: dict[str, _Course] = {}
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="checkpoint")
        self._is_closed = False
        self._ticker: threading.Thread | None = None

    def on_news(self, wake: Callable[[str], None]) -> None:
        """Call `wake`, from any thread, with the id of a task of which there is news."""
        self._wake = wake

    def watch(self, tasks: Mapping[str, Task], seen: Mapping[str, Replica], nodes: Collection[str]) -> None:
        watched = {task_id: _watched(task, seen, nodes) for task_id, task in tasks.items()}
        with self._lock:
            ended = {task_id for task_id, one in watched.items() if one.has_ended}
            is_urgent = any(not self._watched[one].has_ended for one in ended if one in self._watched)
            self._watched = watched
            self._courses = {one: self._courses.get(one) or _Course() for one in watched}
            if watched and self._ticker is None and not self._is_closed:
                self._ticker = threading.Thread(target=self._tick, name="checkpoints", daemon=True)
                self._ticker.start()
            if is_urgent:
                self._lock.notify_all()

    def news(self, task: Task) -> News:
        if task.spec.program.checkpoint is None:
            return NO_NEWS
        with self._lock:
            course = self._courses.get(task.id)
            return course.news if course else News()

    def stored_version(self, task: Task) -> StoredVersion | None:
        saved = task.spec.resumes_from
        return _Stored(self._vault, scope_of(task), saved.number, saved.name) if saved else None

    def close(self) -> None:
        """Begin nothing more. What is on its way is cut off, and done again by the next core."""
        with self._lock:
            self._is_closed = True
            self._lock.notify_all()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _tick(self) -> None:
        while True:
            with self._lock:
                if self._is_closed:
                    return
                for task_id, course in self._courses.items():
                    if not course.is_at_work and not course.news.is_settled:
                        course.is_at_work = True
                        self._pool.submit(self._look, task_id, course)
                self._lock.wait(LOOK_SECONDS)

    def _look(self, task_id: str, course: _Course) -> None:
        with self._lock:
            watched = self._watched.get(task_id)
        before = course.news
        try:
            while watched is not None and self._keep(watched, course):
                self._wake(task_id)
        except Conflict:
            course.manifests = None  # another core has put a version of that number: read again what there is
        except LeptonError as error:
            course.news = replace(course.news, trouble=f"The checkpoint could not be saved: {error} It is tried again.")
        except Exception:
            log.exception("checkpoint_failed task=%s", task_id)
            course.news = replace(course.news, trouble="The checkpoint could not be saved; see the core's log.")
        finally:
            with self._lock:
                course.is_at_work = False
            if course.news != before:
                self._wake(task_id)

    def _keep(self, watched: _Watched, course: _Course) -> bool:
        """Save the newest version that is not saved; tell whether there was one."""
        task, scope = watched.task, scope_of(watched.task)
        if course.manifests is None:
            course.manifests = self._vault.manifests(scope)
            mine = [one.checkpoint for one in course.manifests if one.checkpoint.attempt == task.spec.attempt]
            course.news = News(last=mine[-1] if mine else None)
        newest = newest_unsaved(self._found(watched), course.manifests, task.spec.attempt)
        if newest is None:
            course.news = News(last=course.news.last, is_settled=watched.has_ended)
            return False
        told = f"{newest.name} ({newest.size_bytes:,} B)"
        course.news = replace(course.news, saving=told)
        if watched.has_ended:
            self._wake(task.id)
        manifest = self._save(watched, newest, course.manifests)
        if manifest is None:
            return False  # it changed meanwhile; the next look sees what it became
        policy = task.spec.program.checkpoint
        assert policy is not None
        course.manifests = [*course.manifests, manifest][-policy.keep :]
        course.news = News(last=manifest.checkpoint)
        self._vault.prune(scope, course.manifests)
        return True

    def _found(self, watched: _Watched) -> Collection[FoundVersion]:
        policy, replica = watched.task.spec.program.checkpoint, watched.replica
        if policy is None or replica is None or replica.started_at is None or not watched.is_reachable:
            return ()
        begin = replica.started_at.timestamp()
        found = self._runtime.find_checkpoints(watched.task.replica_id(0), policy)
        # What is older than the start was laid there by the platform. Both moments are of the node's clock.
        return [one for one in found if one.changed_at >= begin]

    def _save(self, watched: _Watched, found: FoundVersion, saved: list[Manifest]) -> Manifest | None:
        task, scope = watched.task, scope_of(watched.task)
        policy, replica_id = task.spec.program.checkpoint, task.replica_id(0)
        assert policy is not None
        try:
            files = self._vault.put_files(
                scope,
                found.files,
                lambda file: open_on_node(self._runtime, replica_id, policy.folder, found.name, file),
            )
        except NotFound:
            return None
        if found not in self._found(watched):
            return None
        manifest = Manifest(checkpoint=self._named(watched, found, saved), changed_at=found.changed_at, files=files)
        self._vault.put_manifest(scope, manifest)
        return manifest

    def _named(self, watched: _Watched, found: FoundVersion, saved: list[Manifest]) -> Checkpoint:
        replica, spec = watched.replica, watched.task.spec
        assert replica is not None
        assert replica.started_at is not None
        return Checkpoint(
            number=saved[-1].checkpoint.number + 1 if saved else 1,
            name=found.name,
            files=len(found.files),
            size_bytes=found.size_bytes,
            saved_at=self._clock.now(),
            attempt=spec.attempt,
            ran=spec.done + timedelta(seconds=max(0.0, found.changed_at - replica.started_at.timestamp())),
        )


@dataclass(frozen=True, slots=True)
class _Stored:
    """A version in the vault, looked up when it is asked for."""

    vault: Vault
    scope: Scope
    number: int
    name: str

    def files(self) -> tuple[StoredFile, ...]:
        return self.vault.manifest(self.scope, self.number).files

    def open(self, file: StoredFile) -> BinaryIO:
        return self.vault.open(self.scope, file)


def _watched(task: Task, seen: Mapping[str, Replica], nodes: Collection[str]) -> _Watched:
    known = next((one for one in task.status.replicas if one.rank == 0), None)
    replica = seen.get(task.replica_id(0))
    is_reachable = replica is not None and replica.node in nodes
    has_ended = any(one is not None and one.exit is not None for one in (known, replica))
    return _Watched(task, replica or known, is_reachable, has_ended)
