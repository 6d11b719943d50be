"""Replicas on the nodes of a real Ray cluster: the same promises as on one machine, and Ray's books beside ours."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lepton_ai.errors import NotFound, Unavailable
from lepton_ai.sdk.bundle import pack
from lepton_ai.testing.ray_cluster import NODES, LocalRayCluster
from lepton_ai.types.resources import DeviceShare
from lepton_ai.types.task import ExitKind, ReplicaState
from tests.integration.local_runtime.machine import is_alive
from tests.integration.ray_runtime.nodes import Nodes, on, order_of, wait_for

pytestmark = pytest.mark.slow
JOIN_AND_TELL = """
import ray
ray.init(address="auto", log_to_driver=False)

@ray.remote(num_cpus=1)
def where():
    context = ray.get_runtime_context()
    return context.get_node_labels()["lepton.ai/node"], context.get_placement_group_id()

@ray.remote(num_cpus=1)
class Parent:
    def children(self):
        return ray.get([where.options(num_cpus=0).remote() for _ in range(4)])

spread = where.options(scheduling_strategy="SPREAD")
seen = set(ray.get([task.remote() for task in (where, spread) for _ in range(4)]))
seen |= set(ray.get(Parent.remote().children.remote()))
print("nodes", sorted({node for node, _ in seen}), "groups", len({group for _, group in seen}), None in seen)
try:
    where.options(num_cpus=3).remote()
except ValueError as error:
    print("refused", "cannot fit into any bundles" in str(error))
"""
RAY_DATA = """
import ray
ray.init(address="auto", log_to_driver=False)

def where(batch):
    context = ray.get_runtime_context()
    batch["node"] = [context.get_node_labels()["lepton.ai/node"]] * len(batch["id"])
    batch["group"] = [context.get_placement_group_id() or ""] * len(batch["id"])
    return batch

rows = ray.data.range(1000, override_num_blocks=8).map_batches(where).take_all()
print("sum", sum(row["id"] for row in rows))
print("nodes", sorted({row["node"] for row in rows}), "groups", len({row["group"] for row in rows} - {""}))
"""


@pytest.fixture(scope="module")
def nodes(cluster: LocalRayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    made = Nodes(cluster, tmp_path_factory.mktemp("core"))
    yield made
    made.end()


def test_each_node_is_seen_with_what_it_declared_when_it_joined(nodes: Nodes) -> None:
    seen = {node.name: node.hardware for node in nodes.runtime.nodes()}

    assert seen == NODES
    assert nodes.runtime.drifts([]) == []


def test_a_command_runs_on_the_node_that_was_chosen_and_its_log_and_exit_are_read_from_there(nodes: Nodes) -> None:
    started = {name: nodes.start(name, "sh", "-c", "pwd; exit 7") for name in NODES}

    exits = {name: nodes.exit_of(replica_id) for name, replica_id in started.items()}
    logs = {name: nodes.log(replica_id) for name, replica_id in started.items()}
    assert {(found.kind, found.exit_code) for found in exits.values()} == {(ExitKind.FAILED, 7)}
    for name, replica_id in started.items():
        assert logs[name] == f"{nodes.cluster.folder}/{name}/runtime/replicas/{replica_id}/work\n"


def test_ray_sets_aside_what_a_replica_holds_and_gets_it_back(nodes: Nodes) -> None:
    held = on("beta", 0, 500, DeviceShare("sim-0", 250))
    [replica_id] = nodes.start_gang([held], ["sleep", "1000"])
    nodes.wait_for_state(replica_id, ReplicaState.RUNNING)

    nodes.wait_until_ray_agrees(held)
    drifts = {drift.resource: (drift.ours, drift.rays) for drift in nodes.runtime.drifts([])}
    assert drifts == {"CPU": (0.0, 0.5), "memory": (0.0, 1e8), "simulated-x1": (0.0, 0.25)}
    nodes.runtime.stop(replica_id, timedelta(0))
    assert nodes.exit_of(replica_id).kind is ExitKind.STOPPED
    nodes.wait_until_ray_agrees()


def test_ray_inside_a_gang_uses_the_gangs_allocation_and_nothing_else(nodes: Nodes) -> None:
    held = [on("beta", 0, memory_mb=1000), on("gamma", 1)]

    first, other = nodes.start_gang(held, [sys.executable, "-c", JOIN_AND_TELL], ["sleep", "1000"])

    assert nodes.exit_of(first).kind is ExitKind.SUCCEEDED, nodes.log(first)
    lines = nodes.log(first).splitlines()
    assert [line for line in lines if line.startswith(("nodes", "refused"))] == [
        "nodes ['beta', 'gamma'] groups 1 False",
        "refused True",
    ]
    nodes.runtime.stop(other, timedelta(0))
    nodes.wait_until_ray_agrees()


def test_ray_data_inside_a_job_uses_the_jobs_allocation_and_nothing_else(nodes: Nodes) -> None:
    held = on("beta", 0, 2000, memory_mb=1000)

    [replica_id] = nodes.start_gang([held], [sys.executable, "-c", RAY_DATA])

    assert nodes.exit_of(replica_id).kind is ExitKind.SUCCEEDED, nodes.log(replica_id)
    told = [line for line in nodes.log(replica_id).splitlines() if line.startswith(("sum", "nodes"))]
    assert told == ["sum 499500", "nodes ['beta'] groups 1"]
    nodes.wait_until_ray_agrees()


def test_a_stop_lets_the_command_end_by_itself(nodes: Nodes) -> None:
    replica_id = nodes.start("gamma", "sh", "-c", "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done")
    nodes.wait_for_log(replica_id, "ready")

    nodes.runtime.stop(replica_id, timedelta(seconds=60))

    assert (nodes.exit_of(replica_id).kind, nodes.exit_of(replica_id).exit_code) == (ExitKind.STOPPED, 3)


def test_a_stop_that_overtakes_its_order_keeps_the_command_from_running(nodes: Nodes, tmp_path: Path) -> None:
    started = []
    for _ in range(20):
        started.append(nodes.start("beta", "sh", "-c", f"sleep 5; echo ran >> {tmp_path}/ran"))
        nodes.runtime.stop(started[-1], timedelta(0))

    assert {nodes.exit_of(replica_id).kind for replica_id in started} == {ExitKind.STOPPED}
    assert not (tmp_path / "ran").exists()
    nodes.wait_until_ray_agrees()


def test_an_order_that_arrives_after_its_stop_does_not_run(nodes: Nodes, tmp_path: Path) -> None:
    agent = nodes.runtime._watch.agent("beta")
    nodes.runtime._connection.get(agent.stop.remote("late-0", 0, 0.0), "the agent")

    nodes.runtime.start(order_of("late-0", on("beta"), "touch", f"{tmp_path}/ran"))

    assert nodes.exit_of("late-0").kind is ExitKind.STOPPED
    assert not (tmp_path / "ran").exists()


def test_a_working_directory_reaches_the_node_through_ray(nodes: Nodes) -> None:
    with pack(None, bytes_max=10**6, extra={"hello.txt": b"carried\n"}) as bundle:
        content = b"".join(bundle.chunks())
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    nodes.blobs.put(digest, [content], bytes_max=len(content))

    started = [nodes.start(name, "cat", "hello.txt", bundle=digest) for name in ("beta", "gamma")]

    assert {nodes.exit_of(replica_id).kind for replica_id in started} == {ExitKind.SUCCEEDED}
    assert {nodes.log(replica_id) for replica_id in started} == {"carried\n"}


def test_orders_that_are_repeated_run_once(nodes: Nodes, tmp_path: Path) -> None:
    order = order_of("again-0", on("gamma"), "sh", "-c", f"echo ran >> {tmp_path}/ran")
    for _ in range(5):
        nodes.runtime.start(order)

    nodes.exit_of("again-0")
    nodes.runtime.start(order)
    nodes.runtime.forget("again-0", delete_log=False)
    wait_for(lambda: "again-0" not in nodes.runtime.replicas())

    assert (tmp_path / "ran").read_text() == "ran\n"
    assert nodes.runtime.read_log("again-0", 0, 100).is_complete


def test_the_next_core_finds_what_runs_and_what_ray_set_aside_for_it(nodes: Nodes) -> None:
    held = [on("alpha", 0), on("gamma", 1)]
    first, other = nodes.start_gang(held, *[["sh", "-c", "echo ready; sleep 1000"]] * 2)
    nodes.wait_for_state(first, ReplicaState.RUNNING)
    nodes.wait_for_state(other, ReplicaState.RUNNING)

    nodes.reopen()

    assert [nodes.replica(one).state for one in (first, other)] == [ReplicaState.RUNNING] * 2
    nodes.wait_until_ray_agrees(*held)
    for replica_id in (first, other):
        nodes.runtime.stop(replica_id, timedelta(0))
        assert nodes.exit_of(replica_id).kind is ExitKind.STOPPED
    nodes.wait_until_ray_agrees()


def test_replicas_do_not_notice_that_their_nodes_agent_was_killed(nodes: Nodes) -> None:
    replica_id = nodes.start("gamma", "sh", "-c", "echo ready; sleep 1000")
    nodes.wait_for_log(replica_id, "ready")

    nodes.kill_agent("gamma")
    later = nodes.start("alpha", "true")

    assert nodes.exit_of(later).kind is ExitKind.SUCCEEDED
    assert nodes.replica(replica_id).state is ReplicaState.RUNNING
    nodes.runtime.stop(replica_id, timedelta(0))
    wait_for(lambda: nodes.is_stopped(replica_id))


def test_a_killed_supervisor_leaves_a_lost_replica(nodes: Nodes) -> None:
    replica_id = nodes.start("gamma", "sleep", "1000")
    nodes.wait_for_state(replica_id, ReplicaState.RUNNING)

    os.kill(nodes.cluster.supervisor("gamma", replica_id), signal.SIGKILL)

    assert nodes.exit_of(replica_id).kind is ExitKind.LOST
    nodes.wait_until_ray_agrees()


def test_a_node_whose_raylet_is_killed_is_gone_with_what_ran_there_and_comes_back(nodes: Nodes) -> None:
    replica_id = nodes.start("gamma", "sh", "-c", "echo $$; sleep 1000")
    elsewhere = nodes.start("alpha", "sleep", "1000")
    nodes.wait_for_state(elsewhere, ReplicaState.RUNNING)
    pid = int(nodes.wait_for_log(replica_id, "\n"))
    # One that the agent of now did not start itself: what an agent started, Ray ends with it.
    nodes.kill_agent("gamma")
    assert is_alive(pid)

    nodes.cluster.kill_node("gamma")
    wait_for(lambda: not is_alive(pid))
    wait_for(lambda: "gamma" not in {node.name for node in nodes.runtime.nodes()})
    assert replica_id not in nodes.runtime.replicas()
    with pytest.raises(Unavailable, match="gamma"):
        nodes.start("gamma", "true")
    with pytest.raises(NotFound, match="gamma"):
        nodes.runtime.free_port("gamma")
    assert nodes.replica(elsewhere).state is ReplicaState.RUNNING

    nodes.cluster.start_node("gamma")
    wait_for(lambda: "gamma" in {node.name for node in nodes.runtime.nodes()})
    assert nodes.exit_of(replica_id).kind is ExitKind.LOST
    assert nodes.exit_of(nodes.start("gamma", "true")).kind is ExitKind.SUCCEEDED
    nodes.runtime.stop(elsewhere, timedelta(0))
    nodes.wait_until_ray_agrees()
