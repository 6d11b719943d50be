"""The one loop, where the runtime or a service fails: who else still has a turn, and what is tried again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from lepton_ai.errors import InvalidInput, StorageFailed, Unavailable
from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.registry import AsgiApp, Service, View
from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.machines import machine
from lepton_ai.testing.process import Process
from lepton_ai.testing.runtime import FakeRuntime
from lepton_ai.types.base import AnyObject
from lepton_ai.types.job import Job, JobState
from lepton_ai.types.task import ExitKind, Replica, Task
from tests.unit.kernel.rig import RUNS_ON, Rig


class Failing(FakeRuntime):
    """Fails as told, by the name of the call."""

    failures: Mapping[str, Callable[[str], Exception | None]] = {}

    def start(self, order: ReplicaOrder) -> None:
        self._fail("start", order.replica_id)
        super().start(order)

    def stop(self, replica_id: str, grace: timedelta) -> None:
        self._fail("stop", replica_id)
        super().stop(replica_id, grace)

    def forget(self, replica_id: str, *, delete_log: bool) -> None:
        self._fail("forget", replica_id)
        super().forget(replica_id, delete_log=delete_log)

    def replicas(self) -> Mapping[str, Replica]:
        self._fail("replicas", "")
        return super().replicas()

    def _fail(self, call: str, replica_id: str) -> None:
        fails = self.failures.get(call)
        error = fails(replica_id) if fails is not None else None
        if error is not None:
            raise error


def failing(rig: Rig, **failures: Callable[[str], Exception | None]) -> None:
    """Start a core whose runtime fails as told, on the machines that the rig has."""
    runtime = Failing(rig.clock, list(rig.runtime.fleet.values()))
    runtime.failures = failures
    rig.start(runtime)


def test_logs_that_cannot_be_deleted_now_are_deleted_later() -> None:
    rig = Rig()
    job = rig.submit()
    rig.work(7)
    refusals = [Unavailable("Not now."), Unavailable("Not now.")]
    failing(rig, forget=lambda _: refusals.pop() if refusals else None)
    rig.work()
    rig.delete_ended(job)
    rig.work(5)
    (process,) = rig.runtime.fleet["node-1"].processes.values()
    assert process.is_log_deleted


def test_a_node_that_comes_back_still_running_what_was_given_up_gets_nothing_new_before_that_has_ended() -> None:
    rig = Rig(machine("node-1", threads=1))
    rig.submit("first", command=Behaviour(seconds=0, is_stubborn=1).command(), retries={"lost_node": 0})
    rig.work(1)
    node = rig.runtime.fleet["node-1"]
    node.is_reachable = False
    rig.submit("second", command=RUNS_ON)
    rig.work(1)
    assert rig.job("first").status.exit_kind is ExitKind.LOST
    node.is_reachable = True
    failing(rig, stop=lambda _: Unavailable("Not now."))
    rig.work(5)
    assert rig.running() == ["task-first-0-1-0"]
    rig.start()
    rig.work(5)
    assert rig.running() == ["task-second-0-1-0"]


def test_a_program_that_the_runtime_cannot_start_ends_the_task_instead_of_being_tried_for_ever() -> None:
    rig = Rig()
    failing(rig, start=lambda _: InvalidInput("The arguments are 3 MB, at most 2 MB fit.", hint="Write a file."))
    rig.submit()
    rig.work(1)
    assert rig.job().status.exit_kind is ExitKind.NOT_STARTED
    assert "3 MB" in rig.job().status.reason.sentence


def test_a_gang_of_which_one_rank_cannot_start_is_stopped_as_a_whole() -> None:
    rig = Rig()
    failing(rig, start=lambda name: InvalidInput("Too large.") if name.endswith("-1") else None)
    rig.submit(replicas=2, command=RUNS_ON)
    rig.work(3)
    assert (rig.running(), rig.job().status.exit_kind) == ([], ExitKind.NOT_STARTED)


def test_one_replica_that_cannot_be_stopped_keeps_no_other_from_its_turn() -> None:
    rig = Rig()
    rig.submit("first", command=RUNS_ON)
    rig.work(1)
    failing(rig, stop=lambda name: Unavailable("No.") if "first" in name else None)
    rig.change(rig.job("first"), stop_requested=True)
    rig.submit("second")
    rig.work(7)
    assert rig.job("second").status.state is JobState.SUCCEEDED


def test_a_stray_that_cannot_be_stopped_keeps_no_other_from_its_turn() -> None:
    rig = Rig(machine("node-1"), machine("node-2"))
    rig.runtime.fleet["node-1"].processes |= _stray_on("node-1")
    failing(rig, stop=lambda name: Unavailable("No.") if "stray" in name else None)
    rig.submit("second")
    rig.work(7)
    assert rig.job("second").status.state is JobState.SUCCEEDED


def test_a_start_that_was_refused_is_tried_again_later() -> None:
    rig = Rig()
    refusals = [Unavailable("Not now.") for _ in range(3)]
    failing(rig, start=lambda _: refusals.pop() if refusals else None)
    rig.submit()
    rig.work(10)
    assert rig.job().status.state is JobState.SUCCEEDED


def test_a_task_that_cannot_be_started_says_why() -> None:
    rig = Rig()
    failing(rig, start=lambda _: Unavailable("No space is left."))
    job = rig.submit()
    rig.work(10)
    (task,) = rig.store.owned(Task, job.id)
    assert task.status.reason.sentence == "No space is left. This is tried again."


def test_a_pass_that_fails_is_made_up_for_by_the_next() -> None:
    rig = Rig()
    failures = [StorageFailed("No space is left.")]
    failing(rig, replicas=lambda _: failures.pop() if failures else None)
    rig.submit()
    assert not rig.core.loop.try_pass()
    rig.work(7)
    assert rig.job().status.state is JobState.SUCCEEDED


class Confused:
    """A service that fails for one of its jobs, and in what it does outside."""

    gateway: AsgiApp | None = None

    def decide(self, thing: AnyObject, view: View, now: object) -> Decision:
        assert thing.name != "bad", "our own mistake"
        return Decision()

    def apply(self, view: View, now: object) -> None:
        raise Unavailable("The world outside does not answer.")

    def close(self) -> None: ...


def test_a_service_that_fails_for_one_object_or_outside_keeps_nobody_else_from_their_turn() -> None:
    rig = Rig(services=[Service("confused", (Job,), open=lambda _door: Confused())])
    rig.submit("bad")
    rig.submit("good")
    rig.work(60)
    assert rig.core.loop.seconds_to_next() > 0


def _stray_on(node: str) -> dict[str, Process]:
    """Return a process that nobody knows."""
    other = Rig(machine(node))
    other.submit("stray", command=RUNS_ON)
    other.work()
    return other.runtime.fleet[node].processes
