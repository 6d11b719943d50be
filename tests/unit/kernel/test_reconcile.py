"""The one loop, over imagined machines: what it starts, stops, repeats, adopts and lets go."""

from __future__ import annotations

from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.machines import machine
from lepton_ai.types.job import Job, JobState
from lepton_ai.types.node import Node, NodeState
from lepton_ai.types.task import ExitKind, ReplicaState
from tests.unit.kernel.rig import RUNS_ON, Rig


def test_a_job_goes_all_the_way_and_its_events_tell_of_each_step() -> None:
    rig = Rig()
    job = rig.submit()
    rig.work(7)
    assert rig.job().status.state is JobState.SUCCEEDED
    told = [event.code for event in rig.store.events() if event.object_id in {job.id, rig.tasks(job)[0].id}]
    assert told == ["submitted", "placed", "started", "running", "succeeded", "succeeded"]


def test_the_ranks_of_a_gang_meet_at_one_address() -> None:
    rig = Rig(machine("node-1", threads=1), machine("node-2", threads=1))
    job = rig.submit(replicas=2, command=RUNS_ON)
    rig.work()
    orders = [process.order for node in rig.runtime.fleet.values() for process in node.processes.values()]
    assert sorted(order.env["RANK"] for order in orders) == ["0", "1"]
    assert {order.env["MASTER_PORT"] for order in orders} == {str(rig.tasks(job)[0].status.master_port)}
    assert {order.env["WORLD_SIZE"] for order in orders} == {"2"}
    assert {order.gang for order in orders} == {rig.tasks(job)[0].status.allocations}


def test_a_gang_over_nodes_is_numbered_as_torchrun_does() -> None:
    rig = Rig(machine("node-1", threads=8), machine("node-2", threads=8))
    rig.submit(nodes=2, replicas_per_node=2, command=RUNS_ON)
    rig.work()
    orders = [process.order for node in rig.runtime.fleet.values() for process in node.processes.values()]
    names = ("RANK", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "WORLD_SIZE")
    assert sorted(tuple(order.env[name] for name in names) for order in orders) == [
        ("0", "0", "0", "0", "2", "2", "4"),
        ("1", "0", "0", "1", "2", "2", "4"),
        ("2", "1", "1", "0", "2", "2", "4"),
        ("3", "1", "1", "1", "2", "2", "4"),
    ]
    first = next(order for order in orders if order.env["RANK"] == "0")
    (node,) = [node for node in rig.runtime.nodes() if node.name == first.allocation.node]
    assert {order.env["MASTER_ADDR"] for order in orders} == {node.address}


def test_a_gang_that_lost_a_rank_meets_anew_at_another_port_and_leaves_no_rank_behind() -> None:
    rig = Rig(machine("node-1", threads=8), machine("node-2", threads=8))
    fails_once = Behaviour(seconds=5, exit_code=1, bad_attempts=1, bad_rank=2).command()
    job = rig.submit(nodes=2, replicas_per_node=2, command=fails_once, retries={"failed": 1})
    rig.work(30)
    first, second = sorted(rig.tasks(job), key=lambda task: task.spec.attempt)
    assert first.status.master_port != second.status.master_port
    assert rig.running() == []
    assert {replica.state for task in (first, second) for replica in task.status.replicas} == {ReplicaState.EXITED}


def test_a_gang_larger_than_the_machines_waits_with_a_reason_and_never_half_starts() -> None:
    rig = Rig(machine("node-1", threads=2))
    job = rig.submit(replicas=3)
    rig.work(60)
    assert rig.running() == []
    assert rig.job().status.state is JobState.QUEUED
    assert rig.tasks(job)[0].status.reason.code == "too_large"


def test_a_core_that_is_restarted_adopts_what_runs() -> None:
    rig = Rig()
    job = rig.submit(command=RUNS_ON)
    rig.work(1)
    before = rig.running()
    rig.start()
    rig.work(60)
    assert rig.running() == before == [rig.tasks(job)[0].replica_id(0)]


def test_a_stop_reaches_the_replica_and_the_job() -> None:
    rig = Rig()
    job = rig.submit(command=RUNS_ON)
    rig.work(1)
    rig.change(job, stop_requested=True)
    rig.work(2)
    assert (rig.running(), rig.job().status.state) == ([], JobState.STOPPED)


def test_a_deleted_job_takes_its_tasks_and_their_logs_along() -> None:
    rig = Rig()
    job = rig.submit(command=RUNS_ON)
    rig.work(1)
    rig.delete(job)
    rig.work(2)
    assert rig.store.look_up(Job, "default", "train") is None
    assert list(rig.tasks(job)) == []
    (process,) = rig.runtime.fleet["node-1"].processes.values()
    assert process.is_log_deleted


def test_a_job_that_follows_another_starts_as_soon_as_that_one_has_succeeded() -> None:
    rig = Rig()
    rig.submit("prepare")
    rig.submit("train", after=("prepare",))
    rig.work(3)
    assert rig.job("train").status.reason.sentence == "Waits for 'prepare' (running) to succeed."
    rig.work(5)
    assert rig.job("train").status.state is JobState.RUNNING


def test_a_retry_comes_after_its_pause_without_anybody_asking() -> None:
    rig = Rig()
    job = rig.submit(command=Behaviour(seconds=1, exit_code=1, bad_attempts=1).command(), retries={"failed": 1})
    rig.work(6)
    assert rig.job().status.state is JobState.SUCCEEDED
    assert [task.status.outcome for task in rig.tasks(job)] == [ExitKind.FAILED, ExitKind.SUCCEEDED]


def test_work_on_a_lost_node_starts_again_on_another() -> None:
    rig = Rig(machine("node-1"), machine("node-2"))
    job = rig.submit(command=RUNS_ON)
    rig.work(1)
    first = rig.tasks(job)[0].status.allocations[0].node
    rig.runtime.crash(rig.runtime.fleet[first])
    rig.work(1)
    assert rig.tasks(job)[0].status.outcome is ExitKind.LOST
    assert rig.tasks(job)[1].status.allocations[0].node != first
    assert {node.name: node.status.state for node in rig.store.page(Node)}[first] is NodeState.LOST


def test_a_secret_that_is_gone_ends_the_task_with_its_name() -> None:
    rig = Rig()
    rig.submit(secrets={"TOKEN": "hf"})
    rig.work(1)
    assert rig.job().status.exit_kind is ExitKind.NOT_STARTED
    assert "There is no secret 'hf'" in rig.job().status.reason.sentence


def test_secrets_reach_the_replica_and_no_stored_object() -> None:
    rig = Rig(secrets={"hf": "tell-nobody"})
    job = rig.submit(secrets={"TOKEN": "hf"})
    rig.work()
    (process,) = rig.runtime.fleet["node-1"].processes.values()
    assert process.order.secrets == {"TOKEN": "tell-nobody"}
    assert "tell-nobody" not in rig.tasks(job)[0].model_dump_json() + repr(process.order)
