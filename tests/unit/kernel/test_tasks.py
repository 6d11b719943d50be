"""How a task moves: each way that a gang can start, run, break and end."""

from __future__ import annotations

import pytest

from lepton_ai.kernel import tasks
from lepton_ai.kernel.change import Change, Note
from lepton_ai.types.task import ExitKind, Replica, Task, TaskState
from tests.unit.kernel.samples import NODE, NOW, ended, later, prepares, runs, seen, task


def observe(before: Task, *replicas: Replica, nodes: tuple[str, ...] = (NODE,), at: float = 10) -> Task | None:
    change = tasks.observe(before, seen(before, *replicas), nodes, later(at))
    return None if change is None else _task(change)


def _task(change: Change) -> Task:
    assert isinstance(change.object, Task)
    return change.object


def test_a_task_that_nothing_is_seen_of_goes_on_starting() -> None:
    assert observe(task(state=TaskState.STARTING)) is None


def test_a_replica_that_prepares_tells_its_task_what_it_waits_for() -> None:
    after = observe(task(state=TaskState.STARTING), prepares(sentence="Installs torch."))
    assert after is not None
    assert (after.status.state, after.status.reason.sentence) == (TaskState.STARTING, "Installs torch.")


def test_a_gang_runs_once_all_its_ranks_do() -> None:
    before = task(state=TaskState.STARTING, size=2)
    half, whole = observe(before, runs(0), prepares(1)), observe(before, runs(0), runs(1, started=3))
    assert half is not None
    assert half.status.state is TaskState.STARTING
    assert whole is not None
    assert (whole.status.state, whole.status.started_at) == (TaskState.RUNNING, NOW)


def test_what_is_known_already_is_not_written_again() -> None:
    assert observe(task(state=TaskState.RUNNING, status={"replicas": (runs(),)}), runs()) is None


def test_a_task_ends_when_its_replica_has() -> None:
    after = observe(task(state=TaskState.RUNNING), ended(at=5))
    assert after is not None
    assert (after.status.state, after.status.outcome) == (TaskState.FINISHED, ExitKind.SUCCEEDED)
    assert after.status.finished_at == later(5)


def test_a_task_may_end_before_it_was_seen_to_run() -> None:
    after = observe(task(state=TaskState.STARTING), ended(kind=ExitKind.NOT_STARTED))
    assert after is not None
    assert (after.status.state, after.status.outcome) == (TaskState.FINISHED, ExitKind.NOT_STARTED)


def test_a_gang_whose_first_rank_has_succeeded_waits_for_the_others() -> None:
    after = observe(task(state=TaskState.RUNNING, size=2), ended(0), runs(1))
    assert after is not None
    assert after.status.state is TaskState.RUNNING


def test_a_gang_is_stopped_when_one_rank_breaks() -> None:
    after = observe(task(state=TaskState.RUNNING, size=2), ended(0, ExitKind.FAILED), runs(1))
    assert after is not None
    assert (after.status.state, after.status.reason.code) == (TaskState.STOPPING, "gang_broken")
    assert after.status.reason.sentence.startswith("Rank 0 ended with exit code 1.")


def test_a_gang_that_is_only_half_started_is_stopped_too() -> None:
    after = observe(task(state=TaskState.STARTING, size=2), ended(0, ExitKind.OUT_OF_MEMORY))
    assert after is not None
    assert after.status.state is TaskState.STOPPING


def test_what_broke_a_gang_is_its_outcome_whatever_the_others_say_when_they_are_stopped() -> None:
    """A lost node makes the other ranks fail: the job's retries must count a lost node, not a failed program."""
    broken = observe(task(state=TaskState.RUNNING, status={"replicas": (runs(0), runs(1))}, size=2), runs(1))
    assert broken is not None
    after = observe(broken, ended(1, ExitKind.FAILED, at=12))
    assert after is not None
    assert (after.status.state, after.status.outcome) == (TaskState.FINISHED, ExitKind.LOST)


def test_a_gang_that_broke_before_it_was_stopped_keeps_its_outcome() -> None:
    broken = observe(task(state=TaskState.RUNNING, size=2), ended(0, ExitKind.FAILED), runs(1))
    assert broken is not None
    stopped = broken.replace(spec=broken.spec.replace(stop_requested=True))
    after = observe(stopped, ended(0, ExitKind.FAILED), ended(1, ExitKind.STOPPED))
    assert after is not None
    assert after.status.outcome is ExitKind.FAILED


@pytest.mark.parametrize("kind", [ExitKind.FAILED, ExitKind.SIGNALED, ExitKind.LOST, ExitKind.STOPPED])
def test_whatever_a_replica_says_when_it_is_stopped_counts_as_stopped(kind: ExitKind) -> None:
    stopping = task(state=TaskState.STOPPING, stop_requested=True, stop_reason="Enough.")
    after = observe(stopping, ended(kind=kind))
    assert after is not None
    assert after.status.outcome is ExitKind.STOPPED


@pytest.mark.parametrize("kind", [ExitKind.SUCCEEDED, ExitKind.TIMED_OUT, ExitKind.OUT_OF_MEMORY])
def test_an_end_that_no_stop_can_cause_stays_what_it_is(kind: ExitKind) -> None:
    after = observe(task(state=TaskState.STOPPING, stop_requested=True), ended(kind=kind))
    assert after is not None
    assert after.status.outcome is kind


def test_a_stop_is_asked_for_with_its_reason() -> None:
    after = observe(task(state=TaskState.RUNNING, stop_requested=True, stop_reason="Enough."), runs())
    assert after is not None
    assert (after.status.state, after.status.reason.sentence) == (TaskState.STOPPING, "Enough.")


def test_a_task_that_is_stopped_before_anything_was_started_ends_at_once() -> None:
    after = observe(task(state=TaskState.STARTING, stop_requested=True))
    assert after is not None
    assert (after.status.state, after.status.outcome) == (TaskState.FINISHED, ExitKind.STOPPED)


def test_a_replica_that_ran_and_is_not_seen_any_more_is_lost() -> None:
    after = observe(task(state=TaskState.RUNNING, status={"replicas": (runs(),)}))
    assert after is not None
    assert (after.status.state, after.status.outcome) == (TaskState.FINISHED, ExitKind.LOST)


def test_a_replica_that_only_prepared_and_is_gone_is_started_again() -> None:
    """A core that dies drops what it was preparing; the replica never ran, so that the same id may start."""
    after = observe(task(state=TaskState.STARTING, status={"replicas": (prepares(),)}))
    assert after is not None
    assert (after.status.state, after.status.replicas) == (TaskState.STARTING, ())


def test_everything_on_a_lost_node_is_lost_whether_it_ran_or_not() -> None:
    after = observe(task(state=TaskState.STARTING), nodes=("another",))
    assert after is not None
    assert (after.status.state, after.status.outcome) == (TaskState.FINISHED, ExitKind.LOST)


def test_an_end_once_recorded_stays_whatever_a_node_says_that_comes_back() -> None:
    before = task(state=TaskState.STOPPING, status={"replicas": (ended(0, ExitKind.LOST), runs(1))}, size=2)
    after = observe(before, runs(0), runs(1))
    assert after is None


def test_a_rank_that_cannot_start_breaks_its_gang() -> None:
    before = task(state=TaskState.STARTING, status={"replicas": (runs(0),)}, size=2)
    refused = _task(tasks.refuse(before, 1, Note("secret_missing", "There is no secret 'hf'."), later(1)))
    stopping = observe(refused, runs(0))
    assert stopping is not None
    assert stopping.status.state is TaskState.STOPPING
    after = observe(stopping, ended(0, ExitKind.STOPPED))
    assert after is not None
    assert (after.status.outcome, after.status.reason.sentence) == (ExitKind.NOT_STARTED, "There is no secret 'hf'.")


def test_a_waiting_task_is_cancelled_without_a_runtime() -> None:
    after = _task(tasks.cancel(task(stop_requested=True), NOW))
    assert (after.status.state, after.status.outcome) == (TaskState.FINISHED, ExitKind.STOPPED)
    assert after.status.reason.sentence == "Stopped before it started."


def test_an_illegal_move_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="finished -> running is not a legal move"):
        tasks.move(task(state=TaskState.FINISHED), TaskState.RUNNING, Note("started", "Again."))


def test_the_gravest_end_explains_the_end_of_a_gang_and_the_earliest_among_equals() -> None:
    ends = [ended(0), ended(1, ExitKind.FAILED, at=9), ended(2, ExitKind.FAILED, at=7), ended(3, ExitKind.STOPPED)]
    assert tasks.decisive(ends) == ends[2]


def test_nothing_explains_the_end_of_what_has_not_ended() -> None:
    assert tasks.decisive([runs()]) is None


def preempted(*, size: int = 1, stop_requested: bool = False) -> Task:
    before = task(state=TaskState.RUNNING, size=size, stop_requested=stop_requested)
    return _task(tasks.preempt(before, "It makes room for 'b'."))


def test_a_preempted_task_ends_as_preempted_however_its_process_took_the_signal() -> None:
    for kind in (ExitKind.STOPPED, ExitKind.SIGNALED, ExitKind.FAILED, ExitKind.LOST):
        after = observe(preempted(), ended(kind=kind))
        assert after is not None
        assert (after.status.state, after.status.outcome) == (TaskState.FINISHED, ExitKind.PREEMPTED)
        assert after.status.reason.sentence == "It makes room for 'b'."


def test_a_preempted_task_that_came_to_its_end_in_its_grace_has_succeeded() -> None:
    after = observe(preempted(size=2), ended(0), ended(1))
    assert after is not None
    assert after.status.outcome is ExitKind.SUCCEEDED


def test_a_preempted_task_whose_owner_wants_it_stopped_is_stopped() -> None:
    after = observe(preempted(stop_requested=True), ended(kind=ExitKind.STOPPED))
    assert after is not None
    assert after.status.outcome is ExitKind.STOPPED


def exceeding() -> Task:
    return _task(tasks.exceed(task(state=TaskState.RUNNING), "It has cost 2, and may cost 2 in all: it is stopped."))


def test_a_task_that_reached_its_cost_limit_ends_by_it_however_its_process_took_the_signal() -> None:
    for kind in (ExitKind.STOPPED, ExitKind.SIGNALED, ExitKind.FAILED, ExitKind.LOST):
        after = observe(exceeding(), ended(kind=kind))
        assert after is not None
        assert (after.status.outcome, after.status.reason.code) == (ExitKind.COST_LIMIT, "cost_limit")


def test_a_task_that_came_to_its_end_in_the_grace_of_its_cost_limit_has_succeeded() -> None:
    after = observe(exceeding(), ended())
    assert after is not None
    assert after.status.outcome is ExitKind.SUCCEEDED
