"""Pure: what a job needs next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from lepton_ai.kernel.change import Change, Note, advance, create, delete, update
from lepton_ai.kernel.decision import Decision
from lepton_ai.services.jobs.summary import exit_code_of, newest_attempts, summarise
from lepton_ai.services.jobs.task import task_for
from lepton_ai.types.base import Reason
from lepton_ai.types.job import MOVES, Job, JobState, JobStatus
from lepton_ai.types.task import ExitKind, Task

CREATE_MAX = 500  # tasks of an array made in one pass: 500 x 0.3 ms = 0.15 s
OUR_GUESSES = 3  # retries with more memory where the size was ours to choose: 512 MB, 768, 1,152 and 1,728
RETRY_PAUSE = timedelta(seconds=1)  # doubled with each attempt
RETRY_PAUSE_MAX = timedelta(minutes=5)
_AT_ONCE = frozenset({ExitKind.LOST, ExitKind.PREEMPTED})


def decide(job: Job, tasks: Sequence[Task], after: Mapping[str, Job | None], now: datetime) -> Decision:
    """Return the steps that bring `job` closer to what its owner asked for.

    Each index of its array (a plain job has one) is a task; a failed task is followed by another attempt as long as
    the job's retries allow. `tasks` are all that the job ever made, `after` the jobs that must succeed first.
    """
    if job.metadata.deletion_requested_at is not None:
        return _delete(job, tasks, now)
    if job.spec.stop_requested:
        return _stop(job, tasks, now)
    if not tasks:
        held = _held_back(job, after, now)
        if held is not None:
            return held
    return _go_on(job, tasks, now)


def leaves_checkpoints(job: Job, tasks: Sequence[Task]) -> bool:
    """Tell whether the job is to be deleted, runs no more, and may have checkpoints in the store."""
    is_to_go = job.metadata.deletion_requested_at is not None and job.spec.checkpoint is not None
    return is_to_go and all(task.is_final() for task in tasks)


def _go_on(job: Job, tasks: Sequence[Task], now: datetime) -> Decision:
    newest = newest_attempts(tasks)
    made: list[Change] = []
    waits: list[datetime] = []
    ends: Counter[tuple[int, ExitKind | None]] = Counter(
        (task.spec.index, task.status.outcome) for task in tasks if task.status.outcome is not None
    )
    for index in range(max(1, job.spec.array)):
        last = newest.get(index)
        if last is not None and (last.status.outcome is None or not _may_retry(job, last, ends)):
            continue
        ready_at = _not_before(last, now)
        if ready_at > now:
            waits.append(ready_at)
        elif len(made) < CREATE_MAX:
            made.append(_make(job, index, last, now))
        else:
            waits.append(now)
    status = summarise(job, tasks, pending=len(made) + len(waits), now=now)
    moved = advance(job, MOVES, status, *_of_checkpoints(job.status, status))
    return Decision((*made, *moved), look_again_at=min(waits, default=None))


def _of_checkpoints(before: JobStatus, after: JobStatus) -> Sequence[Note]:
    notes = []
    if after.checkpoint is not None and after.checkpoint not in (before.checkpoint, after.resumed_from):
        notes.append(Note("checkpoint_saved", f"Saved checkpoint {after.checkpoint}."))
    if (origin := after.resumed_from) is not None and origin != before.resumed_from:
        notes.append(Note("resumed", f"Attempt {after.attempt} goes on from checkpoint {origin}."))
    return notes


def _make(job: Job, index: int, last: Task | None, now: datetime) -> Change:
    attempt = last.spec.attempt + 1 if last else 1
    note = Note("retried", f"Attempt {attempt} of job {job.name}.") if attempt > 1 else None
    return create(task_for(job, index, last, now), *([note] if note else []))


def _may_retry(job: Job, last: Task, ends: Counter[tuple[int, ExitKind | None]]) -> bool:
    """Tell whether the ended attempt is followed by another: each class of failure has its own count."""
    outcome = last.status.outcome
    if not last.is_final() or outcome is None or outcome is ExitKind.SUCCEEDED:
        return False
    if outcome is ExitKind.PREEMPTED:
        return True  # not its fault
    allowed = job.spec.retries.allowed(outcome, exit_code_of(last))
    if outcome is ExitKind.OUT_OF_MEMORY and not job.spec.resources.memory_is_stated:
        allowed = max(allowed, OUR_GUESSES)
    return ends[last.spec.index, outcome] <= allowed


def _not_before(last: Task | None, now: datetime) -> datetime:
    if last is None or last.status.finished_at is None or last.status.outcome in _AT_ONCE:
        return now
    pause = min(RETRY_PAUSE * (1 << min(last.spec.attempt - 1, 16)), RETRY_PAUSE_MAX)
    return last.status.finished_at + pause


def _held_back(job: Job, after: Mapping[str, Job | None], now: datetime) -> Decision | None:
    waiting = []
    for name, other in after.items():
        if other is None:
            return Decision(_end(job, Note("after_missing", f"Job '{name}', which it must follow, is gone."), now))
        if other.id == job.id:
            return Decision(_end(job, Note("after_itself", "It cannot follow itself: no older job has its name."), now))
        if other.status.state in {JobState.FAILED, JobState.STOPPED}:
            note = Note("after_failed", f"Job '{name}', which it must follow, {other.status.state.value}.")
            return Decision(_end(job, note, now))
        if other.status.state is not JobState.SUCCEEDED:
            waiting.append(other)
    if not waiting:
        return None
    names = ", ".join(f"'{other.name}' ({other.status.state.value})" for other in waiting)
    status = job.status.replace(reason=Reason(code="after", sentence=f"Waits for {names} to succeed."))
    return Decision(advance(job, MOVES, status), depends_on=tuple(other.id for other in waiting))


def _stop(job: Job, tasks: Sequence[Task], now: datetime) -> Decision:
    changes = [_stop_task(task) for task in tasks if not task.is_final() and not task.spec.stop_requested]
    if any(not task.is_final() for task in tasks):
        status = summarise(job, tasks, pending=0, now=now).replace(
            state=JobState.STOPPING, reason=Reason(code="stopping", sentence="Stopping on request.")
        )
        return Decision((*changes, *advance(job, MOVES, status, *_of_checkpoints(job.status, status))))
    if job.is_final():
        return Decision()
    status = summarise(job, tasks, pending=0, now=now)
    is_whole = len(newest_attempts(tasks)) == max(1, job.spec.array)
    if not MOVES[status.state] and status.state is not JobState.STOPPED and is_whole:
        return Decision(advance(job, MOVES, status))  # It ended by itself before the stop could reach it.
    return Decision(_end(job, Note("stopped", "Stopped on request."), now, state=JobState.STOPPED, status=status))


def _delete(job: Job, tasks: Sequence[Task], now: datetime) -> Decision:
    live = [task for task in tasks if not task.is_final()]
    if live:
        return Decision(tuple(_stop_task(task) for task in live if not task.spec.stop_requested))
    note = Note("deleted", f"Job {job.name} was deleted.")
    return Decision((*(delete(task) for task in tasks), delete(job, note)))


def _stop_task(task: Task) -> Change:
    return update(task.replace(spec=task.spec.replace(stop_requested=True, stop_reason="Stopped on request.")))


def _end(
    job: Job, note: Note, now: datetime, *, state: JobState = JobState.FAILED, status: JobStatus | None = None
) -> tuple[Change, ...]:
    base = status or job.status
    reason = Reason(code=note.code, sentence=note.sentence)
    return advance(job, MOVES, base.replace(state=state, reason=reason, finished_at=base.finished_at or now))
