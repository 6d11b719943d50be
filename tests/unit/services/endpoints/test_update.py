"""A rolling update: one new replica at a time beside the old ones, and an old one leaves for each that is ready."""

from __future__ import annotations

from lepton_ai.types.endpoint import Endpoint, EndpointState
from lepton_ai.types.task import TaskState
from tests.unit.kernel.samples import NOW, later
from tests.unit.services.endpoints.samples import decided, drained, endpoint, gone, made, replica, traffic


def updated(before: Endpoint) -> Endpoint:
    return before.replace(spec=before.spec.replace(env={"VERSION": "2"}))


def test_an_update_begins_with_one_new_replica() -> None:
    before = endpoint(EndpointState.READY, replicas=3)
    old = [replica(before, number) for number in (1, 2, 3)]
    decision, after = decided(updated(before), old, traffic(*old))
    assert (made(decision), drained(decision)) == ([4], [])
    assert (after.status.state, after.status.reason.code) == (EndpointState.READY, "updating")


def test_no_second_new_replica_comes_before_the_first_is_ready() -> None:
    before = endpoint(EndpointState.READY, replicas=3)
    after = updated(before)
    tasks = [*(replica(before, number) for number in (1, 2, 3)), replica(after, 4)]
    decision, _ = decided(after, tasks, traffic(*tasks[:3]))
    assert (made(decision), drained(decision)) == ([], [])


def test_an_old_replica_leaves_for_each_new_one_that_is_ready() -> None:
    before = endpoint(EndpointState.READY, replicas=2)
    after = updated(before)
    tasks = [replica(before, 1), replica(before, 2), replica(after, 3)]
    decision, _ = decided(after, tasks, traffic(*tasks))
    assert (made(decision), drained(decision)) == ([4], [1])


def test_old_replicas_that_serve_nobody_leave_first() -> None:
    before = endpoint(EndpointState.READY, replicas=2)
    after = updated(before)
    tasks = [replica(before, 1), replica(before, 2), replica(after, 3)]
    assert drained(decided(after, tasks, traffic(tasks[0], tasks[2]))[0]) == [2]


def test_an_update_is_over_when_only_new_replicas_are_left() -> None:
    after = updated(endpoint(replicas=2))
    tasks = [replica(after, 3), replica(after, 4)]
    decision, done = decided(after, tasks, traffic(*tasks))
    assert (made(decision), drained(decision)) == ([], [])
    assert (done.status.updated_replicas, done.status.reason.code) == (2, "ready")


def test_the_old_replicas_go_on_serving_while_the_new_ones_fail() -> None:
    before = endpoint(EndpointState.READY)
    after = updated(before)
    old = replica(before, 1)
    failures = [gone(after, number, at=number) for number in (2, 3, 4)]
    decision, served = decided(after, [old, *failures], traffic(old), at=5)
    assert (made(decision), drained(decision), decision.look_again_at) == ([], [], later(8))
    assert (served.status.state, served.status.failures) == (EndpointState.READY, 3)


def test_failures_of_the_old_program_are_not_held_against_the_new_one() -> None:
    before = endpoint(EndpointState.FAILED)
    failures = [gone(before, number, at=99) for number in (1, 2, 3)]
    decision, _ = decided(updated(before), failures, traffic())
    assert made(decision) == [4]


def test_an_update_that_finds_no_room_beside_the_old_replicas_takes_theirs_one_at_a_time() -> None:
    before = endpoint(EndpointState.READY, replicas=2)
    after = updated(before)
    old, waiting = [replica(before, 1), replica(before, 2)], replica(after, 3, TaskState.WAITING, at=10)
    early, _ = decided(after, [*old, waiting], traffic(*old), at=14)
    late, _ = decided(after, [*old, waiting], traffic(*old), at=15)
    assert (drained(early), early.look_again_at) == ([], later(15))
    assert drained(late) == [1]
    leaving = replica(before, 1, drain_requested_at=later(15))
    assert drained(decided(after, [leaving, old[1], waiting], traffic(*old), at=60)[0]) == []
    left = gone(before, 1, at=60)
    assert drained(decided(after, [left, old[1], waiting], traffic(old[1]), at=61)[0]) == []
    assert drained(decided(after, [left, old[1], waiting], traffic(old[1]), at=65)[0]) == [2]


def test_an_update_on_a_fixed_port_waits_until_the_old_replica_has_let_go_of_it() -> None:
    before = endpoint(EndpointState.READY, port=8080)
    after = updated(before)
    old = replica(before, 1)
    first, _ = decided(after, [old], traffic(old))
    assert (made(first), drained(first)) == ([], [1])
    leaving = replica(before, 1, drain_requested_at=NOW, stop_requested=True)
    assert made(decided(after, [leaving], traffic())[0]) == []
    assert made(decided(after, [gone(before, 1)], traffic())[0]) == [2]


def test_how_many_there_are_and_when_they_sleep_replaces_no_replica() -> None:
    before = endpoint(EndpointState.READY)
    old = replica(before, 1)
    scaled = before.replace(spec=before.spec.replace(idle_timeout=None, priority=1, max_concurrency=9))
    assert drained(decided(scaled, [old], traffic(old))[0]) == []
    assert made(decided(scaled, [old], traffic(old))[0]) == []


def test_the_order_in_which_variables_are_written_replaces_no_replica() -> None:
    before = endpoint(EndpointState.READY, env={"A": "1", "B": "2"})
    old = replica(before, 1)
    same = before.replace(spec=before.spec.replace(env={"B": "2", "A": "1"}))
    assert made(decided(same, [old], traffic(old))[0]) == []
