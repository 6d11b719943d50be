"""Pure: what a task's status says of its checkpoints, and how long an ended task may wait for the last one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from lepton_ai.kernel.change import Change, Note, update
from lepton_ai.types.base import Reason
from lepton_ai.types.checkpoint import Checkpoint, FoundVersion, Manifest
from lepton_ai.types.task import Replica, Task, TaskState

NOT_SAVED = "checkpoint_not_saved"


@dataclass(frozen=True, slots=True)
class News:
    """What is known of the checkpoints of one attempt. Once `is_settled`, nothing more is to come of it."""

    last: Checkpoint | None = None
    is_settled: bool = False
    saving: str = ""  # which version is on its way, and how large it is
    trouble: str = ""


NO_NEWS = News(is_settled=True)  # of tasks that keep no checkpoints


def newest_unsaved(found: Collection[FoundVersion], saved: Collection[Manifest], attempt: int) -> FoundVersion | None:
    """Return the version to save next: the newest, unless it is saved; older ones that were skipped stay skipped."""
    newest = max(found, key=lambda one: (one.changed_at, one.name), default=None)
    if newest is None or any(manifest.is_of(newest, attempt) for manifest in saved):
        return None
    return newest


def saved(task: Task, news: News) -> Change | None:
    """Return the change that tells of a version that was saved, or None if that is told."""
    if news.last is None or news.last == task.status.checkpoint:
        return None
    note = Note("checkpoint_saved", f"Saved checkpoint {news.last}.")
    status: dict[str, object] = {"checkpoint": news.last}
    if task.status.reason.code == NOT_SAVED:
        status["reason"] = Reason(code=note.code, sentence=note.sentence)
    return update(task.with_status(**status), note)


def not_saved(task: Task, news: News) -> Change | None:
    """Return the change that tells of a running task's trouble with its checkpoint, or None if there is none or it is
    told."""
    reason = Reason(code=NOT_SAVED, sentence=news.trouble)
    if not news.trouble or task.status.state is not TaskState.RUNNING or task.status.reason == reason:
        return None
    return update(task.with_status(reason=reason), Note(NOT_SAVED, news.trouble))


def may_end(task: Task, replicas: Collection[Replica], news: News, now: datetime) -> bool:
    """Tell whether an ended task may let go of its devices: its newest version is saved, or its time for that is up."""
    if task.spec.program.checkpoint is None or news.is_settled:
        return True
    if not any(one.rank == 0 and one.started_at for one in replicas):
        return True  # it never ran
    return now >= _until(task, now)


def wait(task: Task, replicas: tuple[Replica, ...], news: News, now: datetime) -> Change | None:
    """Return the change that says what an ended task waits for, and until when; None if that is told."""
    until = _until(task, now)
    what = f"checkpoint {news.saving}" if news.saving else "checkpoint"
    sentence = f"Ended; its last {what} is being saved, until {until:%H:%M:%S} UTC at most."
    reason = Reason(code="saving_checkpoint", sentence=f"{sentence} {news.trouble}".rstrip())
    after = task.with_status(saving_until=until, reason=reason, replicas=replicas)
    return None if after.status == task.status else update(after)


def _until(task: Task, now: datetime) -> datetime:
    """Return until when the task may wait, by the core's clock: those of nodes may be wrong."""
    policy = task.spec.program.checkpoint
    assert policy is not None
    return task.status.saving_until or now + policy.save_within
