"""What a job needs next: a page of examples for each thing that may happen to it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lepton_ai.services.jobs.decide import CREATE_MAX
from lepton_ai.types.job import JobState, Retries
from lepton_ai.types.resources import Resources
from lepton_ai.types.task import ExitKind, Preemptible, TaskState
from tests.unit.kernel.samples import NOW, finished, later
from tests.unit.services.jobs.samples import attempt, decided, job, live, made, stopped


def test_a_new_job_gets_a_task_for_its_first_attempt() -> None:
    decision, after = decided(job())
    assert [(task.spec.index, task.spec.attempt) for task in made(decision)] == [(0, 1)]
    assert after is not None
    assert (after.status.state, after.status.reason.code) == (JobState.QUEUED, "queued")


def test_the_task_of_an_attempt_always_has_the_same_id_so_that_none_is_made_twice() -> None:
    first, again = decided(job())[0], decided(job())[0]
    assert made(first)[0].id == made(again)[0].id == "task-train-0-1"


def test_a_task_waits_since_its_job_was_submitted_so_that_a_retry_keeps_its_place() -> None:
    decision, _ = decided(job(retries=Retries(failed=1)), attempt(1))
    assert made(decision)[0].status.submitted_at == NOW


def test_a_job_runs_when_its_task_does() -> None:
    _, after = decided(job(), live(TaskState.RUNNING))
    assert after is not None
    assert after.status.state is JobState.RUNNING


def test_a_job_of_which_nothing_has_changed_is_left_alone() -> None:
    _, running = decided(job(), live(TaskState.RUNNING))
    assert running is not None
    assert decided(running, live(TaskState.RUNNING))[0].changes == ()


def test_a_job_ends_as_its_task_has_with_the_exit_code_of_a_shell() -> None:
    _, after = decided(job(), attempt(outcome=ExitKind.SUCCEEDED))
    assert after is not None
    assert (after.status.state, after.status.exit_code) == (JobState.SUCCEEDED, 0)
    assert after.status.finished_at == later(5)


@pytest.mark.parametrize(
    ("outcome", "retries"),
    [
        (ExitKind.FAILED, Retries(failed=1)),
        (ExitKind.SIGNALED, Retries(failed=1)),
        (ExitKind.OUT_OF_MEMORY, Retries(out_of_memory=1)),
        (ExitKind.LOST, Retries(lost_node=1)),
    ],
)
def test_each_class_of_failure_is_tried_again_as_often_as_the_job_allows(outcome: ExitKind, retries: Retries) -> None:
    waiting = job(retries=retries, resources=Resources(memory=10**9))
    again, over = decided(waiting, attempt(1, outcome)), decided(waiting, attempt(1, outcome), attempt(2, outcome))
    assert [task.spec.attempt for task in made(again[0])] == [2]
    assert made(over[0]) == []
    assert over[1] is not None
    assert over[1].status.state is JobState.FAILED


def test_a_size_of_memory_that_was_ours_to_choose_is_tried_again_three_times() -> None:
    attempts = [attempt(number, ExitKind.OUT_OF_MEMORY) for number in (1, 2, 3, 4)]
    again = [made(decided(job(), *attempts[:count])[0]) for count in (1, 2, 3, 4)]
    assert [[task.spec.attempt for task in tasks] for tasks in again] == [[2], [3], [4], []]


def test_each_class_of_failure_has_its_own_count() -> None:
    waiting = job(retries=Retries(failed=1, lost_node=1))
    decision, _ = decided(waiting, attempt(1, ExitKind.FAILED), attempt(2, ExitKind.LOST))
    assert [task.spec.attempt for task in made(decision)] == [3]


@pytest.mark.parametrize("outcome", [ExitKind.TIMED_OUT, ExitKind.NOT_STARTED, ExitKind.STOPPED])
def test_what_would_only_happen_again_is_not_tried_again(outcome: ExitKind) -> None:
    decision, after = decided(job(retries=Retries(failed=9, out_of_memory=9)), attempt(1, outcome))
    assert made(decision) == []
    assert after is not None
    assert after.is_final()


def test_exit_codes_narrow_down_which_failures_are_tried_again() -> None:
    choosy = job(retries=Retries(failed=1, exit_codes=(75,)))
    decision, after = decided(choosy, attempt(1, ExitKind.FAILED))
    assert made(decision) == []
    assert after is not None
    assert (after.status.state, after.status.exit_code) == (JobState.FAILED, 1)


def test_a_retry_waits_for_a_pause_that_doubles_with_each_attempt() -> None:
    waiting = job(retries=Retries(failed=5))
    tasks = (attempt(1, at=0), attempt(2, at=10))
    decision, after = decided(waiting, *tasks, at=11)
    assert (made(decision), decision.look_again_at) == ([], later(12))
    assert after is not None
    assert (after.status.state, after.status.reason.code) == (JobState.QUEUED, "retrying")
    assert len(made(decided(waiting, *tasks, at=12)[0])) == 1


def test_work_on_a_lost_node_is_tried_again_at_once() -> None:
    decision, _ = decided(job(), attempt(1, ExitKind.LOST, at=10), at=10)
    assert len(made(decision)) == 1


def test_an_array_gets_a_task_for_each_index() -> None:
    decision, _ = decided(job(array=3))
    assert [task.spec.index for task in made(decision)] == [0, 1, 2]


def test_a_large_array_is_made_in_pieces() -> None:
    decision, _ = decided(job(array=CREATE_MAX + 1), at=7)
    assert (len(made(decision)), decision.look_again_at) == (CREATE_MAX, later(7))


def test_only_the_index_that_failed_is_tried_again() -> None:
    tasks = (attempt(1, ExitKind.SUCCEEDED, index=0), attempt(1, ExitKind.FAILED, index=1))
    decision, after = decided(job(array=2, retries=Retries(failed=1)), *tasks)
    assert [(task.spec.index, task.spec.attempt) for task in made(decision)] == [(1, 2)]
    assert after is not None
    assert after.status.state is JobState.RUNNING


def test_an_array_fails_if_one_index_does_and_tells_which() -> None:
    tasks = (attempt(1, ExitKind.SUCCEEDED, index=0), attempt(1, ExitKind.FAILED, index=1))
    _, after = decided(job(array=2), *tasks)
    assert after is not None
    assert after.status.state is JobState.FAILED
    assert after.status.reason.sentence.startswith("Index 1: ")
    assert (after.status.tasks.succeeded, after.status.tasks.failed) == (1, 1)


def test_a_job_waits_for_the_jobs_that_it_follows_and_names_them() -> None:
    waiting = job(after=("prepare",))
    decision, after = decided(waiting, after={"prepare": job("prepare", JobState.RUNNING)})
    assert (made(decision), decision.depends_on) == ([], ("job-prepare",))
    assert after is not None
    assert after.status.reason.sentence == "Waits for 'prepare' (running) to succeed."


def test_a_job_goes_on_once_those_that_it_follows_have_succeeded() -> None:
    decision, _ = decided(job(after=("prepare",)), after={"prepare": job("prepare", JobState.SUCCEEDED)})
    assert len(made(decision)) == 1


@pytest.mark.parametrize("end", [JobState.FAILED, JobState.STOPPED])
def test_a_job_fails_with_the_job_that_it_follows(end: JobState) -> None:
    _, after = decided(job(after=("prepare",)), after={"prepare": job("prepare", end)})
    assert after is not None
    assert (after.status.state, after.status.reason.code) == (JobState.FAILED, "after_failed")
    assert after.status.finished_at == later(100)


def test_a_job_fails_if_the_job_that_it_follows_is_deleted() -> None:
    _, after = decided(job(after=("prepare",)), after={"prepare": None})
    assert after is not None
    assert (after.status.state, after.status.reason.code) == (JobState.FAILED, "after_missing")


def test_a_job_that_would_wait_for_itself_fails_instead() -> None:
    waiting = job("train", after=("train",))
    _, after = decided(waiting, after={"train": waiting})
    assert after is not None
    assert (after.status.state, after.status.reason.code) == (JobState.FAILED, "after_itself")


def test_what_a_job_follows_counts_no_more_once_it_has_begun() -> None:
    _, after = decided(job(after=("prepare",)), live(TaskState.RUNNING), after={"prepare": None})
    assert after is not None
    assert after.status.state is JobState.RUNNING


def test_a_job_that_is_stopped_before_it_has_a_task_ends_at_once() -> None:
    decision, after = decided(job(stop_requested=True))
    assert made(decision) == []
    assert after is not None
    assert (after.status.state, after.status.reason.code) == (JobState.STOPPED, "stopped")


def test_stopping_a_job_stops_its_tasks_and_makes_no_new_ones() -> None:
    tasks = (live(TaskState.RUNNING, index=0), live(TaskState.WAITING, index=1))
    decision, after = decided(job(state=JobState.RUNNING, array=3, stop_requested=True), *tasks)
    assert (stopped(decision), made(decision)) == (["task-0-1", "task-1-1"], [])
    assert after is not None
    assert after.status.state is JobState.STOPPING


def test_a_task_that_was_asked_to_stop_is_not_asked_again() -> None:
    stopping = job(state=JobState.STOPPING, stop_requested=True)
    decision, _ = decided(stopping, live(TaskState.STOPPING, stop_requested=True))
    assert stopped(decision) == []


def test_a_job_is_stopped_once_its_tasks_are() -> None:
    _, after = decided(job(state=JobState.STOPPING, stop_requested=True), attempt(1, ExitKind.STOPPED))
    assert after is not None
    assert after.status.state is JobState.STOPPED


@pytest.mark.parametrize(
    ("outcome", "end"), [(ExitKind.SUCCEEDED, JobState.SUCCEEDED), (ExitKind.FAILED, JobState.FAILED)]
)
def test_a_job_that_ended_by_itself_before_the_stop_could_reach_it_says_so(outcome: ExitKind, end: JobState) -> None:
    _, after = decided(job(state=JobState.RUNNING, stop_requested=True), attempt(1, outcome))
    assert after is not None
    assert after.status.state is end


def test_an_array_that_is_stopped_before_all_its_indexes_were_made_did_not_succeed() -> None:
    half = job(state=JobState.RUNNING, array=CREATE_MAX + 1, stop_requested=True)
    _, after = decided(half, *(attempt(1, ExitKind.SUCCEEDED, index=index) for index in range(CREATE_MAX)))
    assert after is not None
    assert after.status.state is JobState.STOPPED


def test_a_job_that_has_ended_stays_as_it_is_when_a_stop_comes_late() -> None:
    ended = job(state=JobState.SUCCEEDED, stop_requested=True)
    assert decided(ended, attempt(1, ExitKind.SUCCEEDED))[0].changes == ()


def test_deleting_a_job_stops_what_runs_first() -> None:
    gone = job(state=JobState.RUNNING)
    gone = gone.replace(metadata=gone.metadata.replace(deletion_requested_at=NOW))
    decision, after = decided(gone, live(TaskState.RUNNING))
    assert (stopped(decision), after) == (["task-0-1"], None)
    assert decided(gone, live(TaskState.STOPPING, stop_requested=True))[0].changes == ()


def test_a_deleted_job_goes_with_all_its_tasks_once_they_have_ended() -> None:
    gone = job(state=JobState.RUNNING)
    gone = gone.replace(metadata=gone.metadata.replace(deletion_requested_at=NOW))
    decision, _ = decided(gone, attempt(1), attempt(2, ExitKind.STOPPED))
    assert [(change.verb, change.object.id) for change in decision.changes] == [
        ("delete", "task-0-1"),
        ("delete", "task-0-2"),
        ("delete", "job-train"),
    ]


def test_a_pause_before_a_retry_never_exceeds_its_maximum() -> None:
    tasks = tuple(attempt(number, at=0) for number in range(1, 20))
    decision, _ = decided(job(retries=Retries(failed=100)), *tasks, at=1)
    assert decision.look_again_at == NOW + timedelta(minutes=5)


def test_a_preempted_attempt_is_followed_by_another_at_once_and_costs_no_retry() -> None:
    ends = [attempt(number, ExitKind.PREEMPTED) for number in range(1, 4)]
    decision, after = decided(job(), *ends, at=5)
    assert [task.spec.attempt for task in made(decision)] == [4]
    assert after is not None
    assert after.status.state is JobState.QUEUED


@pytest.mark.parametrize(("resumes", "done"), [(True, 15.0), (False, 0.0)])
def test_what_an_attempt_did_counts_if_the_next_resumes_from_it(resumes: bool, done: float) -> None:
    terms = Preemptible(resumes=resumes)
    first = finished("task-0-1", ExitKind.PREEMPTED, at=5, preemptible=terms, done=timedelta(seconds=10))
    (again,) = made(decided(job(preemptible=terms), first)[0])
    assert (again.spec.done.total_seconds(), again.spec.preemptible) == (done, terms)
