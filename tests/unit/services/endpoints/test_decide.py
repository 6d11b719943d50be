"""What an endpoint needs next while it is scaled, sleeps, fails and is deleted. Updates are in test_update.py."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lepton_ai.kernel.change import Verb
from lepton_ai.kernel.decision import Decision
from lepton_ai.services.endpoints.decide import DRAIN_MIN, ENDED_KEPT, LOOK_AGAIN
from lepton_ai.services.endpoints.summary import FAILED_AFTER
from lepton_ai.types.endpoint import EndpointState
from lepton_ai.types.task import ExitKind, Task, TaskState
from tests.unit.kernel.samples import NOW, later
from tests.unit.services.endpoints.samples import (
    START_SECONDS,
    decided,
    deleted,
    drained,
    endpoint,
    gone,
    made,
    replica,
    since,
    stopped,
    traffic,
)


def test_a_new_endpoint_gets_its_replicas() -> None:
    decision, after = decided(endpoint(replicas=2), [], traffic())
    assert made(decision) == [1, 2]
    assert (after.status.state, after.status.wanted_replicas) == (EndpointState.STARTING, 2)


def test_the_first_replica_of_an_endpoint_that_has_none_is_told_from_further_ones() -> None:
    decision, _ = decided(endpoint(replicas=3), [], traffic())
    assert firsts(decision) == [True, False, False]


def test_where_one_serves_or_comes_already_no_further_one_is_first() -> None:
    served = endpoint(replicas=2)
    one = replica(served, 1)
    assert firsts(decided(served, [one], traffic(one))[0]) == [False]
    coming = one.replace(spec=one.spec.replace(is_first=True))
    assert firsts(decided(served, [coming], traffic())[0]) == [False]
    assert firsts(decided(served, [one], traffic())[0]) == [True]


def firsts(decision: Decision) -> list[bool]:
    tasks = (change.object for change in decision.changes if change.verb is Verb.CREATE)
    return [task.spec.is_first for task in tasks if isinstance(task, Task)]


def test_an_endpoint_is_ready_with_its_first_replica() -> None:
    served = endpoint(replicas=2)
    tasks = [replica(served, 1), replica(served, 2, TaskState.STARTING)]
    decision, after = decided(served, tasks, traffic(tasks[0]))
    assert made(decision) == []
    assert (after.status.state, after.status.reason.code) == (EndpointState.READY, "growing")
    assert after.status.started_at == later(100)


def test_an_endpoint_that_has_all_its_replicas_is_left_alone_until_something_changes() -> None:
    served = endpoint()
    task = replica(served)
    _, ready = decided(served, [task], traffic(task))
    decision, _ = decided(ready, [task], traffic(task))
    assert (decision.changes, decision.look_again_at) == ((), None)


def test_the_newest_replicas_leave_first_when_there_are_too_many() -> None:
    served = endpoint(replicas=1)
    tasks = [replica(served, number) for number in (1, 2, 3)]
    assert drained(decided(served, tasks, traffic(*tasks))[0]) == [3, 2]


def test_replicas_that_serve_nobody_yet_leave_before_those_that_do() -> None:
    served = endpoint(replicas=1)
    tasks = [replica(served, 1), replica(served, 2)]
    assert drained(decided(served, tasks, traffic(tasks[1]))[0]) == [1]


def test_a_replica_leaves_once_nothing_is_in_flight() -> None:
    served = endpoint(replicas=0, grace="30s")
    leaving = replica(served, drain_requested_at=NOW)
    busy, _ = decided(served, [leaving], traffic(in_flight={leaving.id: 2}), at=10)
    idle, _ = decided(served, [leaving], traffic(in_flight={leaving.id: 0}), at=10)
    assert (stopped(busy), busy.look_again_at) == ([], later(10) + LOOK_AGAIN)
    assert stopped(idle) == [1]


def test_a_replica_that_was_only_just_told_to_leave_may_still_get_requests() -> None:
    served = endpoint(replicas=0)
    leaving = replica(served, drain_requested_at=NOW)
    assert stopped(decided(served, [leaving], traffic(), at=DRAIN_MIN.total_seconds() / 2)[0]) == []


def test_a_replica_whose_requests_do_not_end_is_stopped_after_its_grace() -> None:
    served = endpoint(replicas=0, grace="30s")
    leaving = replica(served, drain_requested_at=NOW)
    assert stopped(decided(served, [leaving], traffic(in_flight={leaving.id: 2}), at=30)[0]) == [1]


@pytest.mark.parametrize("state", [TaskState.WAITING, TaskState.STARTING])
def test_a_replica_that_never_served_leaves_at_once(state: TaskState) -> None:
    served = endpoint(replicas=0)
    assert stopped(decided(served, [replica(served, 1, state, drain_requested_at=NOW)], traffic(), at=0)[0]) == [1]


def test_a_replica_that_was_told_to_stop_is_not_told_again() -> None:
    served = endpoint(replicas=0)
    leaving = replica(served, drain_requested_at=NOW, stop_requested=True)
    assert decided(served, [leaving], traffic())[0].look_again_at is None
    assert stopped(decided(served, [leaving], traffic())[0]) == []


def test_a_replica_that_ended_is_replaced_after_a_pause_that_doubles_with_each_failure() -> None:
    served = endpoint()
    twice = [gone(served, 1), gone(served, 2, at=10)]
    early, _ = decided(served, twice, traffic(), at=11)
    assert (made(early), early.look_again_at) == ([], later(12))
    assert made(decided(served, twice, traffic(), at=12)[0]) == [3]


def test_an_endpoint_whose_replicas_keep_ending_has_failed_and_says_how() -> None:
    served = endpoint()
    _, after = decided(served, [gone(served, number) for number in range(1, FAILED_AFTER + 1)], traffic())
    assert after.status.state is EndpointState.FAILED
    assert after.status.reason.sentence.startswith("3 replicas in a row ended by themselves.")


def test_a_failed_endpoint_stays_failed_while_it_tries_again() -> None:
    served = endpoint(EndpointState.FAILED)
    tasks = [gone(served, 1), replica(served, 2)]
    assert decided(served, tasks, traffic())[1].status.state is EndpointState.FAILED


def test_failures_before_a_replica_got_ready_are_forgiven() -> None:
    served = endpoint()
    tasks = [*(gone(served, number) for number in range(1, 6)), replica(served, 6)]
    _, after = decided(served, tasks, traffic(tasks[-1]))
    assert (after.status.state, after.status.failures) == (EndpointState.READY, 0)


def test_replicas_that_get_ready_and_then_die_are_not_started_again_without_a_pause() -> None:
    """Seen in the simulation: of two such replicas each made the other's failures forgotten, 588 times in 5 minutes."""
    served = endpoint(replicas=2)
    tasks = [gone(served, 1, at=1), gone(served, 2, at=2), gone(served, 3, at=3), replica(served, 4, at=3)]
    early, _ = decided(served, tasks, traffic(tasks[-1]), at=4)
    assert (made(early), early.look_again_at) == ([], later(7))
    late, after = decided(served, tasks, traffic(tasks[-1]), at=13)
    assert (made(late), after.status.failures) == ([5], 0)


def test_replicas_that_we_stopped_are_no_failures() -> None:
    served = endpoint()
    decision, _ = decided(served, [gone(served, 1, ExitKind.STOPPED)], traffic(), at=0)
    assert made(decision) == [2]


def test_ended_replicas_are_kept_for_their_logs_the_newest_of_them() -> None:
    """Their numbers go on from the highest: an id that was used before would be refused for ever (seed 19)."""
    served = endpoint()
    tasks = [gone(served, number) for number in range(1, ENDED_KEPT + 5)]
    decision, _ = decided(served, tasks, traffic(), at=1000)
    assert deleted(decision) == [1, 2, 3, 4]
    assert made(decision) == [ENDED_KEPT + 5]


def test_a_replica_that_does_not_get_ready_in_time_is_given_up_and_counts_as_failed() -> None:
    served = endpoint(start_timeout=START_SECONDS)
    task = replica(served)
    asked = traffic(asked_since=since(task, at=20))
    early, _ = decided(served, [task], asked, at=START_SECONDS + 19)
    late, _ = decided(served, [task], asked, at=START_SECONDS + 20)
    assert (stopped(early), early.look_again_at) == ([], later(START_SECONDS + 20))
    assert stopped(late) == [1]
    given_up = gone(served, 1, ExitKind.STOPPED, stop_reason="It did not become ready in time.", at=400)
    assert decided(served, [given_up], traffic(), at=401)[1].status.failures == 1


def test_a_core_that_has_just_started_gives_up_nobody_before_it_has_asked() -> None:
    served = endpoint(start_timeout=START_SECONDS)
    assert stopped(decided(served, [replica(served)], traffic(), at=10 * START_SECONDS)[0]) == []


def test_an_idle_endpoint_falls_asleep() -> None:
    served = endpoint(EndpointState.READY, idle_timeout="60s")
    task = replica(served)
    decision, after = decided(served, [task], traffic(task, idle_seconds=60))
    assert drained(decision) == [1]
    assert (after.status.state, after.status.reason.sentence) == (
        EndpointState.ASLEEP,
        "Idle; the next request wakes it.",
    )


def test_an_endpoint_is_looked_at_often_enough_to_fall_asleep_in_time() -> None:
    served = endpoint(EndpointState.READY, idle_timeout="60s")
    task = replica(served)
    assert decided(served, [task], traffic(task))[0].look_again_at == later(106)


def test_an_endpoint_that_is_not_up_yet_does_not_fall_asleep() -> None:
    served = endpoint(idle_timeout="60s")
    assert made(decided(served, [], traffic(idle_seconds=1000))[0]) == [1]


def test_a_sleeping_endpoint_stays_asleep_until_a_request_wants_it() -> None:
    served = endpoint(EndpointState.ASLEEP, idle_timeout="60s")
    assert made(decided(served, [], traffic())[0]) == []
    decision, after = decided(served, [], traffic(is_wanted=True))
    assert (made(decision), after.status.state) == ([1], EndpointState.STARTING)


def test_an_endpoint_scaled_to_0_has_no_replicas_and_says_that_it_was_done_by_hand() -> None:
    served = endpoint(EndpointState.READY, replicas=0)
    task = replica(served)
    decision, after = decided(served, [task], traffic(task, is_wanted=True))
    assert drained(decision) == [1]
    assert (after.status.state, after.status.reason.sentence) == (EndpointState.ASLEEP, "Scaled to 0 by hand.")


def test_an_endpoint_that_is_scaled_up_again_starts_without_a_request() -> None:
    _, asleep = decided(endpoint(replicas=0, idle_timeout="60s"), [], traffic())
    scaled = asleep.replace(spec=asleep.spec.replace(replicas=1))
    assert made(decided(scaled, [], traffic())[0]) == [1]


def test_the_last_request_is_told_to_the_nearest_ten_seconds() -> None:
    served = endpoint(status={"last_request_at": later(90)})
    assert decided(served, [], traffic(idle_seconds=5, last_request_seconds_ago=5), at=100)[
        1
    ].status.last_request_at == later(90)
    assert decided(served, [], traffic(idle_seconds=5, last_request_seconds_ago=5), at=200)[
        1
    ].status.last_request_at == later(195)


def test_a_restarted_core_that_saw_no_request_yet_keeps_the_last_one_that_was_told() -> None:
    served = endpoint(status={"last_request_at": later(90)})
    assert decided(served, [], traffic(idle_seconds=100), at=200)[1].status.last_request_at == later(90)


def test_a_deleted_endpoint_stops_its_replicas_and_then_goes_with_them() -> None:
    served = endpoint(EndpointState.READY)
    served = served.replace(metadata=served.metadata.replace(deletion_requested_at=NOW))
    first, stopping = decided(served, [replica(served), gone(served, 2)], traffic())
    assert (stopped(first), stopping.status.state) == ([1], EndpointState.STOPPING)
    last, _ = decided(stopping, [gone(served, 1), gone(served, 2)], traffic())
    assert deleted(last) == [1, 2]
    assert [change.verb for change in last.changes if change.object.id == served.id] == ["delete"]


def test_a_pause_between_replicas_never_exceeds_its_maximum() -> None:
    served = endpoint()
    tasks = [gone(served, number, at=10) for number in range(1, ENDED_KEPT + 1)]
    assert decided(served, tasks, traffic(), at=11)[0].look_again_at == later(10) + timedelta(minutes=1)
