"""From the scheduler's plan to changes: what starts, who is told why it waits, and when nothing needs to be done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from lepton_ai.kernel.change import Change
from lepton_ai.kernel.placing import Placing
from lepton_ai.kernel.queue import SnapshotBuilder
from lepton_ai.kernel.scheduling.snapshot import Expectation, Policy
from lepton_ai.kernel.telling import RENEW_REASON
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.machines import machine
from lepton_ai.testing.platform import SETTINGS
from lepton_ai.testing.runtime import FakeRuntime
from lepton_ai.types.base import AnyObject, Metadata
from lepton_ai.types.node import Node, NodeStatus
from lepton_ai.types.task import ExitKind, Preemptible, Task, TaskState
from tests.unit.kernel.samples import later, task

T = TypeVar("T", bound=AnyObject)
GUESS = {"": Expectation(60.0, 120.0, "guessed")}


@dataclass
class World:
    """The objects that placing sees."""

    tasks: dict[str, Task] = field(default_factory=dict)
    nodes: Sequence[Node] = ()

    def all(self, kind: type[T]) -> Collection[T]:
        return [thing for thing in (*self.tasks.values(), *self.nodes) if isinstance(thing, kind)]

    def get(self, kind: type[T], object_id: str) -> T | None:
        found = self.tasks.get(object_id)
        return found if isinstance(found, kind) else None

    def changed_tasks(self) -> set[str]:
        return set(self.tasks)

    def take(self, changes: Sequence[Change]) -> None:
        self.tasks |= {c.object.id: c.object for c in changes if isinstance(c.object, Task)}


def world(*tasks: Task, threads: int = 1) -> World:
    node = machine("node-1", threads=threads)
    status = NodeStatus(address="10.0.0.1", hardware=node.hardware)
    return World({one.id: one for one in tasks}, [Node(metadata=Metadata(id="n1", name="node-1"), status=status)])


def placing(expectations: Mapping[str, Expectation] | None = None) -> Placing:
    return Placing(SnapshotBuilder(SETTINGS, lambda _task: expectations or GUESS), Policy(), FakeClock())


def runtime() -> FakeRuntime:
    return FakeRuntime(FakeClock(), [machine("node-1")])


def states(of: World) -> list[TaskState]:
    return [one.status.state for one in of.tasks.values()]


def test_a_task_that_fits_is_placed_with_the_numbers_that_decided_it() -> None:
    here = world(task())
    (change,) = placing().place(here, runtime(), later(0))
    placed = change.object
    assert isinstance(placed, Task)
    assert (placed.status.state, placed.status.allocations[0].node) == (TaskState.STARTING, "node-1")
    assert (placed.status.expected_seconds, placed.status.placement) == (60.0, change.notes[0].sentence)
    assert "rank" in placed.status.terms


def test_a_gang_gets_an_address_and_a_port_to_meet_at_and_a_single_replica_needs_none() -> None:
    here = world(task("gang", size=2), task("single"), threads=4)
    here.take(placing().place(here, runtime(), later(0)))
    gang, single = (here.tasks[name].status for name in ("gang", "single"))
    assert (gang.master_address, gang.master_port > 0, single.master_port) == ("10.0.0.1", True, 0)


def test_a_task_that_waits_is_told_why() -> None:
    here = world(task("a"), task("b"))
    here.take(placing().place(here, runtime(), later(0)))
    assert states(here) == [TaskState.STARTING, TaskState.WAITING]
    assert (here.tasks["b"].status.reason.code, here.tasks["b"].status.reason.sentence != "") == ("busy", True)


def test_an_unchanged_world_is_not_scheduled_again_for_a_while() -> None:
    here, place = world(task("a"), task("b")), placing()
    here.take(place.place(here, runtime(), later(0)))
    here.take(place.place(here, runtime(), later(1)))
    last = place.last
    assert place.place(here, runtime(), later(2)) == []
    assert place.last is last
    place.place(here, runtime(), later(1) + RENEW_REASON)
    assert place.last is not last


def test_a_placement_that_was_not_committed_is_made_again_at_once() -> None:
    here, place = world(task()), placing()
    assert len(place.place(here, runtime(), later(0))) == 1
    assert len(place.place(here, runtime(), later(0.1))) == 1


def test_a_gang_whose_node_goes_away_between_two_lines_is_placed_later() -> None:
    here, place, machines = world(task(size=1), task("gang", size=2), threads=4), placing(), runtime()
    machines.fleet["node-1"].is_reachable = False
    here.take(place.place(here, machines, later(0)))
    assert states(here) == [TaskState.STARTING, TaskState.WAITING]
    machines.fleet["node-1"].is_reachable = True
    here.take(place.place(here, machines, later(0.1)))
    assert states(here) == [TaskState.STARTING, TaskState.STARTING]


def test_a_reason_that_was_not_committed_is_told_again() -> None:
    here, place = world(task("a"), task("b")), placing()
    here.take([change for change in place.place(here, runtime(), later(0)) if change.object.id == "a"])
    here.take(place.place(here, runtime(), later(0.1)))
    assert here.tasks["b"].status.reason.code == "busy"


def test_a_reason_is_renewed_only_now_and_then() -> None:
    here, place = world(task("a"), task("b"), task("c")), placing()
    here.take(place.place(here, runtime(), later(0)))
    here.tasks["d"] = task("d", priority=100)
    changed = place.place(here, runtime(), later(1))
    assert {change.object.id for change in changed} == {"d"}
    here.take(changed)
    here.tasks["e"] = task("e", priority=100)
    renewed = place.place(here, runtime(), later(1) + RENEW_REASON)
    assert {"b", "c", "e"} <= {change.object.id for change in renewed}


def test_nothing_starts_while_the_platform_shuts_down() -> None:
    here, place = world(task()), placing()
    place.is_paused = True
    assert place.place(here, runtime(), later(0)) == []


def test_nothing_starts_on_a_node_that_runs_what_nobody_holds() -> None:
    here, place = world(task()), placing()
    here.take(place.place(here, runtime(), later(0), {"node-1"}))
    assert states(here) == [TaskState.WAITING]
    here.take(place.place(here, runtime(), later(0.1)))
    assert states(here) == [TaskState.STARTING]


def test_a_task_that_is_to_stop_is_not_placed() -> None:
    here = world(task(stop_requested=True))
    assert placing().place(here, runtime(), later(0)) == []


def test_what_a_task_holds_is_not_given_to_another_until_it_has_ended() -> None:
    stopping = task("a", TaskState.STOPPING)
    here, place = world(stopping, task("b")), placing()
    here.take(place.place(here, runtime(), later(0)))
    assert states(here) == [TaskState.STOPPING, TaskState.WAITING]
    here.tasks["a"] = stopping.with_status(state=TaskState.FINISHED)
    here.take(place.place(here, runtime(), later(1)))
    assert states(here) == [TaskState.FINISHED, TaskState.STARTING]


def test_a_service_is_expected_to_run_until_it_is_stopped_and_a_job_as_long_as_the_estimate_says() -> None:
    held = {"started_at": later(0), "expected_seconds": 30.0}
    service, job = (
        task("a", TaskState.RUNNING, status=held, is_service=True),
        task("b", TaskState.RUNNING, status=held),
    )
    builder = SnapshotBuilder(SETTINGS, lambda _task: GUESS)
    ends = [one.expected_end for one in builder.build([], [service, job], later(0)).running]
    assert ends == [None, later(0) + timedelta(seconds=30)]


class SlowClock(FakeClock):
    """Lets 10 ms pass whenever it is asked, as if each plan took so long."""

    def now(self) -> datetime:
        self.advance(timedelta(milliseconds=10))
        return super().now()


def test_the_next_plan_waits_for_twice_the_time_that_the_last_one_took() -> None:
    slow = Placing(SnapshotBuilder(SETTINGS, lambda _task: GUESS), Policy(), SlowClock())
    here, other = world(task("first"), task("waits")), world(task("second"))
    slow.place(here, runtime(), later(0))

    assert slow.place(other, runtime(), later(0)) == []
    assert slow.put_off_until is not None
    assert len(slow.place(other, runtime(), slow.put_off_until)) == 1


def crowded_world() -> World:
    """A machine of one CPU on which a long task runs that may be preempted, while an urgent one waits."""
    long = task(
        "long",
        TaskState.RUNNING,
        status={"started_at": later(0), "expected_seconds": 9000.0},
        preemptible=Preemptible(resumes=True),
        owner_name="long",
    )
    return world(long, task("urgent", priority=100, owner_name="urgent"))


def test_who_makes_room_is_stopped_and_who_gets_it_has_a_claim() -> None:
    here = crowded_world()
    here.take(placing().place(here, runtime(), later(3600)))
    long, urgent = here.tasks["long"].status, here.tasks["urgent"].status
    assert (long.state, long.outcome, long.reason.code) == (TaskState.STOPPING, ExitKind.PREEMPTED, "preempted")
    assert "makes room for 'urgent'" in long.reason.sentence
    assert (urgent.state, urgent.has_claim, urgent.reason.code) == (TaskState.WAITING, True, "making_room")


def test_nobody_else_is_stopped_while_somebody_makes_room() -> None:
    here, place = crowded_world(), placing()
    here.take(place.place(here, runtime(), later(3600)))
    before = dict(here.tasks)
    here.take(place.place(here, runtime(), later(3601)))
    assert here.tasks["long"] == before["long"]


def test_a_stop_that_was_not_committed_is_ordered_again_although_the_claim_was() -> None:
    here, place = crowded_world(), placing()
    changes = place.place(here, runtime(), later(3600))
    here.take([change for change in changes if change.object.id == "urgent"])
    here.take(place.place(here, runtime(), later(3601)))
    assert here.tasks["long"].status.state is TaskState.STOPPING


def test_a_claim_ends_with_the_start() -> None:
    here = world(task("urgent", status={"has_claim": True}))
    here.take(placing().place(here, runtime(), later(0)))
    assert (here.tasks["urgent"].status.state, here.tasks["urgent"].status.has_claim) == (TaskState.STARTING, False)


def test_a_task_that_resumes_is_expected_to_take_what_is_left_of_it_and_its_restart() -> None:
    known = {"": Expectation(1000.0, 1000.0, "measured")}
    again = task(done="900s", preemptible=Preemptible(resumes=True, restart=timedelta(seconds=60)))
    (change,) = placing(known).place(world(again), runtime(), later(0))
    assert isinstance(change.object, Task)
    assert 60 < change.object.status.expected_seconds < 1000


def test_a_waiting_task_is_looked_at_again_once_more_is_known_of_its_kind() -> None:
    known = {"": Expectation(60.0, 120.0, "guessed")}
    builder, waits = SnapshotBuilder(SETTINGS, lambda _task: dict(known)), [task()]
    first = builder.build((), waits, later(0)).waiting
    known[""] = Expectation(61.0, 120.0, "measured")
    little = builder.build((), waits, later(1000)).waiting
    known[""] = Expectation(600.0, 1200.0, "measured")
    soon = builder.build((), waits, later(1001)).waiting
    then = builder.build((), waits, later(2000)).waiting
    assert little[0] is soon[0] is first[0]
    assert then[0].expectations[""].median == 600.0


def test_what_is_left_of_a_running_task_is_told_for_each_class_in_proportion() -> None:
    known = {"": Expectation(100.0, 200.0, "guessed"), "cpu-slow": Expectation(400.0, 800.0, "measured")}
    (long,) = (one for one in crowded_world().tasks.values() if one.id == "long")
    (running,) = SnapshotBuilder(SETTINGS, lambda _task: known).build((), [long], later(10)).running
    assert running.stake is not None
    seconds = {name: expected.median for name, expected in running.stake.expectations.items()}
    placed = long.status.allocations[0].resource_class
    assert seconds == {placed: 9000.0, "": 9000.0, "cpu-slow": 36_000.0}
    assert running.stake.waited_seconds >= 0.0


def test_the_end_of_a_task_that_outlives_it_moves() -> None:
    late = task(state=TaskState.RUNNING, status={"started_at": later(0), "expected_seconds": 60.0})
    builder = SnapshotBuilder(SETTINGS, lambda _task: GUESS, lambda _task, _now: Expectation(50.0, 200.0, "measured"))
    ends = [builder.build((), [late], later(at)).running[0].expected_end for at in (0, 59, 61, 100, 300)]
    assert ends == [later(60), later(60), later(261), later(261), later(500)]


def test_where_all_start_the_next_plan_need_not_wait() -> None:
    slow = Placing(SnapshotBuilder(SETTINGS, lambda _task: GUESS), Policy(), SlowClock())
    here = world(task("first"), threads=2)
    here.take(slow.place(here, runtime(), later(0)))
    here.tasks["second"] = task("second")

    assert [change.object.id for change in slow.place(here, runtime(), later(0))] == ["second"]
