"""What a job tells of its tasks: state, counts, exit code and what was used."""

from __future__ import annotations

import pytest

from lepton_ai.services.jobs.summary import exit_code_of, summarise
from lepton_ai.types.job import Job, JobState, JobStatus
from lepton_ai.types.task import ExitKind, Task, TaskState
from tests.unit.kernel.samples import NOW, ended, later, runs, task
from tests.unit.services.jobs.samples import attempt, job, live


def summary(of: Job, *tasks: Task, pending: int = 0) -> JobStatus:
    return summarise(of, tasks, pending=pending, now=later(100))


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ([TaskState.WAITING], JobState.QUEUED),
        ([TaskState.STARTING], JobState.STARTING),
        ([TaskState.WAITING, TaskState.STARTING], JobState.STARTING),
        ([TaskState.STARTING, TaskState.RUNNING], JobState.RUNNING),
        ([TaskState.STOPPING], JobState.RUNNING),  # a gang that broke: nobody asked the job to stop
    ],
)
def test_a_job_is_as_far_as_the_furthest_of_its_tasks(states: list[TaskState], state: JobState) -> None:
    tasks = [live(one, index=index) for index, one in enumerate(states)]
    assert summary(job(array=len(tasks)), *tasks).state is state


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (ExitKind.SUCCEEDED, 0),
        (ExitKind.FAILED, 1),
        (ExitKind.OUT_OF_MEMORY, 137),
        (ExitKind.TIMED_OUT, 124),
        (ExitKind.NOT_STARTED, 127),
        (ExitKind.LOST, 1),
    ],
)
def test_every_end_has_the_exit_code_that_a_shell_would_give_it(outcome: ExitKind, code: int) -> None:
    assert exit_code_of(attempt(outcome=outcome)) == code


def test_death_by_a_signal_is_128_and_the_signal() -> None:
    dead = attempt(outcome=ExitKind.SIGNALED)
    dead = dead.with_status(replicas=(ended(0, ExitKind.SIGNALED, signal=11),))
    assert exit_code_of(dead) == 139


def test_a_task_without_replicas_failed_with_1() -> None:
    assert exit_code_of(attempt(outcome=ExitKind.FAILED).with_status(replicas=())) == 1


def test_a_job_counts_what_all_its_attempts_used() -> None:
    used = summary(job(), attempt(1), attempt(2, ExitKind.SUCCEEDED))
    assert (used.cpu_seconds, used.peak_memory_bytes, used.attempt) == (3.0, 1000, 2)
    assert (used.started_at, used.finished_at) == (NOW, later(5))


def test_an_array_counts_where_its_tasks_are() -> None:
    tasks = (
        attempt(1, ExitKind.SUCCEEDED, index=0),
        live(TaskState.RUNNING, index=1),
        live(TaskState.WAITING, index=2),
    )
    counts = summary(job(array=4), *tasks, pending=1).tasks
    assert (counts.succeeded, counts.running, counts.waiting, counts.failed) == (1, 1, 2, 0)


def test_a_job_shows_the_replicas_and_the_limits_of_its_newest_attempt() -> None:
    newest = task("task-0-2", TaskState.RUNNING, attempt=2)
    newest = newest.with_status(replicas=(runs().replace(limits="cgroup-v2"),))
    shown = summary(job(), attempt(1), newest)
    assert (shown.replicas, shown.limits) == (newest.status.replicas, "cgroup-v2")


def test_an_array_stopped_in_part_is_stopped_unless_something_failed() -> None:
    good, gone = attempt(1, ExitKind.SUCCEEDED, index=0), attempt(1, ExitKind.STOPPED, index=1)
    assert summary(job(array=2), good, gone).state is JobState.STOPPED
    assert summary(job(array=3), good, gone, attempt(1, index=2)).state is JobState.FAILED
