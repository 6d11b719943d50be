"""Pure: a job's status from its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from lepton_ai.kernel.tasks import decisive
from lepton_ai.types.base import Reason
from lepton_ai.types.job import ArrayCounts, Job, JobState, JobStatus
from lepton_ai.types.task import ExitKind, Replica, Task, TaskState

_SIGNAL_BASE = 128  # a shell reports death by signal n as 128 + n
_CODES = {ExitKind.SUCCEEDED: 0, ExitKind.OUT_OF_MEMORY: 137, ExitKind.TIMED_OUT: 124, ExitKind.NOT_STARTED: 127}
_OTHER_CODE = 1


def newest_attempts(tasks: Sequence[Task]) -> Mapping[int, Task]:
    """Return the newest attempt of each index."""
    newest: dict[int, Task] = {}
    for task in tasks:
        spec = task.spec
        known = newest.get(spec.index)
        if known is None or spec.attempt > known.spec.attempt:
            newest[spec.index] = task
    return newest


def summarise(job: Job, tasks: Sequence[Task], *, pending: int, now: datetime) -> JobStatus:
    """Return the status that `tasks` amount to; `pending` tasks are still to be made (first tries and retries)."""
    newest = newest_attempts(tasks)
    if not newest:
        return job.status.replace(reason=Reason(code="queued", sentence="Enters the queue."))
    shown = _shown(newest)
    state = _state(newest, pending)
    ended = state in {JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED}
    # Of an array of 10,000, most have not begun: the figures are taken of the others.
    begun = [task.status for task in tasks if task.status.allocations]
    replicas = [replica for status in begun for replica in status.replicas if replica.exit]
    return job.status.replace(
        state=state,
        reason=_reason(job, shown, pending),
        attempt=shown.spec.attempt,
        tasks=_counts(newest, pending),
        replicas=shown.status.replicas,
        limits=next((replica.limits for replica in shown.status.replicas if replica.limits), job.status.limits),
        started_at=min((status.started_at for status in begun if status.started_at), default=None),
        finished_at=max((t.status.finished_at for t in tasks if t.status.finished_at), default=now) if ended else None,
        exit_code=exit_code_of(shown) if ended and shown.status.allocations else None,
        exit_kind=shown.status.outcome if ended else None,
        peak_memory_bytes=max((r.exit.peak_memory_bytes for r in replicas if r.exit), default=0),
        checkpoint=shown.status.checkpoint or shown.spec.resumes_from,
        resumed_from=shown.spec.resumes_from if shown.status.allocations else job.status.resumed_from,
        cpu_seconds=round(sum(r.exit.cpu_seconds for r in replicas if r.exit), 6),
    )


def exit_code_of(task: Task) -> int:
    """Return the exit code of a finished task as a shell would have it."""
    last: Replica | None = decisive(task.status.replicas)
    if task.status.outcome in _CODES:
        return _CODES[task.status.outcome]
    if last is None or last.exit is None:
        return _OTHER_CODE
    if last.exit.signal:
        return _SIGNAL_BASE + last.exit.signal
    return last.exit.exit_code if last.exit.exit_code > 0 else _OTHER_CODE


def _state(newest: Mapping[int, Task], pending: int) -> JobState:
    states = {task.status.state for task in newest.values()}
    if TaskState.RUNNING in states or TaskState.STOPPING in states:
        return JobState.RUNNING
    if TaskState.STARTING in states:
        return JobState.STARTING
    if pending or TaskState.WAITING in states:
        # An array of which some have run already stays running: its owner waits for the whole.
        return JobState.RUNNING if TaskState.FINISHED in states and len(newest) > 1 else JobState.QUEUED
    outcomes = {task.status.outcome for task in newest.values()}
    if outcomes == {ExitKind.SUCCEEDED}:
        return JobState.SUCCEEDED
    return JobState.STOPPED if outcomes <= {ExitKind.SUCCEEDED, ExitKind.STOPPED} else JobState.FAILED


def _shown(newest: Mapping[int, Task]) -> Task:
    """Return the task whose story is the job's: a failed one, else one that runs or waits, else the first."""
    tasks = [newest[index] for index in sorted(newest)]
    good = {ExitKind.SUCCEEDED, ExitKind.STOPPED, ExitKind.PREEMPTED}
    ends = ((task, task.status.outcome) for task in tasks)
    failed = next((task for task, outcome in ends if outcome is not None and outcome not in good), None)
    return failed or next((task for task in tasks if not task.is_final()), tasks[0])


def _reason(job: Job, shown: Task, pending: int) -> Reason:
    if job.spec.array == 0:
        if pending and shown.is_final():
            sentence = f"Attempt {shown.spec.attempt} ended: {shown.status.reason.sentence} Another follows."
            return Reason(code="retrying", sentence=sentence)
        return shown.status.reason
    return Reason(code=shown.status.reason.code, sentence=f"Index {shown.spec.index}: {shown.status.reason.sentence}")


def _counts(newest: Mapping[int, Task], pending: int) -> ArrayCounts:
    states = [task.status.state for task in newest.values()]
    outcomes = [task.status.outcome for task in newest.values() if task.status.outcome and task.is_final()]
    succeeded, stopped = outcomes.count(ExitKind.SUCCEEDED), outcomes.count(ExitKind.STOPPED)
    waiting = states.count(TaskState.WAITING)
    return ArrayCounts(
        waiting=waiting + pending,
        running=len(states) - len(outcomes) - waiting,
        succeeded=succeeded,
        stopped=stopped,
        failed=len(outcomes) - succeeded - stopped,
    )
