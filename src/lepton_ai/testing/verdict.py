"""What must hold at the end of a simulation, once nothing goes wrong any more and time has run on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from lepton_ai.kernel.store import Store
from lepton_ai.testing.runtime import FakeRuntime
from lepton_ai.testing.users import Users
from lepton_ai.types.endpoint import Endpoint, EndpointState
from lepton_ai.types.job import MOVES, Job, JobState
from lepton_ai.types.node import Node
from lepton_ai.types.task import ExitKind, ReplicaExit, Task, TaskState

HOPELESS = frozenset({"too_large", "no_such_device", "no_such_place"})
KEPT = frozenset({TaskState.STARTING, TaskState.RUNNING, TaskState.STOPPING})


def check_machines(store: Store, runtime: FakeRuntime, now: datetime) -> None:
    """Every replica that runs belongs to a task that holds it, and a gang runs whole or not at all."""
    wanted = {
        task.replica_id(allocation.rank)
        for task in store.page(Task, live_only=True)
        if task.status.state in KEPT
        for allocation in task.status.allocations
    }
    running = {
        replica_id
        for node in runtime.fleet.values()
        for replica_id, process in node.processes.items()
        if not process.has_ended(now)
    }
    assert not running - wanted, f"orphans: {sorted(running - wanted)}"
    for task in store.page(Task, live_only=True):
        ranks = {task.replica_id(rank) for rank in range(task.spec.size)}
        assert not running & ranks or ranks <= running or _all_good(task), f"{task.id} runs in part: {ranks & running}"


def check_jobs(store: Store, runtime: FakeRuntime, users: Users) -> None:
    """No acknowledged job is lost, each has ended as its replicas did, and what waits says why."""
    for job_id, submitted in users.jobs.items():
        job = store.look_up(Job, submitted.project, job_id)
        if job_id in users.deleted:
            assert job is None, f"{job_id} was deleted and is still there: {job}"
            assert not store.owned(Task, job_id), f"{job_id} was deleted, and its tasks were not"
            continue
        assert job is not None, f"{job_id} was acknowledged and is lost"
        tasks = store.owned(Task, job_id)
        if not job.is_final():
            _check_waiting(job, tasks, store)
            continue
        for task in tasks:
            _check_ranks(task, runtime)
        _check_outcome(job, tasks, store, is_stopped=job_id in users.stopped)


def check_endpoints(store: Store, runtime: FakeRuntime, users: Users, now: datetime) -> None:
    """Every endpoint has its replicas, or its tasks say why they wait."""
    for endpoint_id, created in users.endpoints.items():
        endpoint = store.look_up(Endpoint, created.project, endpoint_id)
        if endpoint_id in users.deleted:
            assert endpoint is None, f"{endpoint_id} was deleted and is still there: {endpoint}"
            continue
        assert endpoint is not None, f"{endpoint_id} was acknowledged and is lost"
        tasks = [task for task in store.owned(Task, endpoint_id) if not task.is_final()]
        answering = sum(
            process.answers(now)
            for node in runtime.fleet.values()
            for process in node.processes.values()
            if process.order.replica_id.removesuffix("-0") in {task.id for task in tasks}
        )
        waiting = [task for task in tasks if task.status.state is TaskState.WAITING]
        assert all(task.status.reason.code for task in waiting), f"{endpoint_id} waits without a reason"
        assert answering + len(waiting) == len(tasks), f"{endpoint_id}: {[t.status for t in tasks]}"
        if not waiting:
            wanted = endpoint.spec.replicas
            assert answering == wanted == endpoint.status.ready_replicas, f"{endpoint}: {answering}"
            state = EndpointState.READY if wanted else EndpointState.ASLEEP
            assert endpoint.status.state is state, f"{endpoint_id} is {endpoint.status}"


def check_events(store: Store, users: Users) -> None:
    """The events of a job are a walk along the table of moves that ends where the job is."""
    for job_id in users.jobs.keys() - users.deleted:
        told = [event.code for event in store.events(object_id=job_id)]
        walk = [JobState.QUEUED, *(JobState(code) for code in told if code in set(JobState))]
        job = store.get(Job, job_id)
        assert walk[-1] is job.status.state, f"{job_id} is {job.status.state}, its events say {told}"
        for before, after in pairwise(walk):
            assert after in MOVES[before], f"{job_id}: the events tell of {before} -> {after}"


def check_objects(store: Store, kinds: Sequence[type[Node] | type[Task]]) -> None:
    """Everything stored is valid, and nothing waits without a reason."""
    for kind in kinds:
        for thing in store.page(kind):
            assert type(thing).model_validate_json(thing.model_dump_json()) == thing


def _check_waiting(job: Job, tasks: Sequence[Task], store: Store) -> None:
    assert job.status.state is JobState.QUEUED, f"{job.id} did not end: {job.status}"
    if tasks:
        waiting = [task for task in tasks if not task.is_final()]
        assert waiting, f"{job.id} waits for nothing: {job.status}"
        for task in waiting:
            assert task.status.reason.code in HOPELESS, f"{task.id} did not start: {task.status}"
            assert not task.status.allocations
        return
    others = [store.look_up(Job, job.project, name) for name in job.spec.after]
    assert any(other and not other.is_final() for other in others), f"{job.id} waits for nothing: {job.status}"


def _check_ranks(task: Task, runtime: FakeRuntime) -> None:
    assert task.is_final(), f"{task.id} of an ended job: {task.status}"
    exits = [replica.exit for replica in task.status.replicas]
    for replica in task.status.replicas:
        truth = _truth(runtime, task.replica_id(replica.rank))
        said = replica.exit
        assert said is not None, f"{task.id} ended and its rank {replica.rank} did not"
        assert said.kind is ExitKind.LOST or truth == said, f"{task.id}-{replica.rank}: {said}, really {truth}"
    if task.status.outcome is ExitKind.SUCCEEDED:
        assert len(exits) == task.spec.size, f"{task.id} succeeded with {len(exits)} of {task.spec.size} ranks"
        assert all(one and one.kind is ExitKind.SUCCEEDED for one in exits), f"{task.id}: {exits}"


def _check_outcome(job: Job, tasks: Sequence[Task], store: Store, *, is_stopped: bool) -> None:
    newest: dict[int, Task] = {}
    for task in tasks:
        if task.spec.attempt >= newest.get(task.spec.index, task).spec.attempt:
            newest[task.spec.index] = task
    outcomes = [task.status.outcome for task in newest.values()]
    is_whole = len(newest) == max(1, job.spec.array)
    if is_whole and set(outcomes) == {ExitKind.SUCCEEDED}:
        assert job.status.state is JobState.SUCCEEDED, f"{job.id}: {job.status}"
        return
    if is_stopped:
        assert job.status.state in {JobState.STOPPED, JobState.FAILED}, f"{job.id}: {job.status}"
        return
    assert job.status.state is JobState.FAILED, f"{job.id}: {job.status}, {outcomes}"
    if not tasks:
        assert job.status.reason.code in {"after_failed", "after_missing"}, f"{job.id}: {job.status}"
        return
    assert is_whole, f"{job.id} failed before all its indexes were tried"
    for task in newest.values():
        same = sum(
            other.spec.index == task.spec.index and other.status.outcome is task.status.outcome for other in tasks
        )
        outcome = task.status.outcome
        assert outcome is not None
        allowed = job.spec.retries.allowed(outcome, 0)
        assert outcome is ExitKind.SUCCEEDED or same == allowed + 1, f"{task.id}: {outcome} x {same}, not {allowed + 1}"


def _all_good(task: Task) -> bool:
    """Tell whether the ranks of a gang that have ended ended well: the others may take longer."""
    return all(
        replica.exit is None or replica.exit.kind is ExitKind.SUCCEEDED for replica in task.status.replicas
    ) and task.status.state in {TaskState.RUNNING, TaskState.STARTING}


def _truth(runtime: FakeRuntime, replica_id: str) -> ReplicaExit | None:
    for node in runtime.fleet.values():
        if replica_id in node.processes:
            return node.processes[replica_id].exit
    return None
