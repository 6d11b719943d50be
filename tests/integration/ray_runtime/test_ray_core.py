"""The whole platform on a Ray cluster: what a user does on one machine works over several, unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton_ai.testing.ray_cluster import LocalRayCluster
from tests.faults.rig import JOBS, Platform

pytestmark = pytest.mark.slow
WAIT_FOR_GO = "echo ready on $0; while [ ! -e {go} ]; do sleep 0.05; done; echo went; exit 7"
TELL_RANK = "echo rank $RANK of $WORLD_SIZE, node $GROUP_RANK of $GROUP_WORLD_SIZE, at $MASTER_ADDR:$MASTER_PORT"


@pytest.fixture
def platform(cluster: LocalRayCluster, tmp_path: Path) -> Iterator[Platform]:
    made = Platform(tmp_path / "core", ray_address=cluster.where.address, **cluster.where.environment)
    try:
        made.start()
        yield made
        for job in made.get(JOBS)["items"]:
            made.call("POST", f"{JOBS}/{job['metadata']['id']}/stop")  # a conflict where it has ended
            made.await_job(job)
    finally:
        made.end()


def test_a_job_runs_where_its_device_is_and_a_gang_over_two_nodes(platform: Platform) -> None:
    assert {node["metadata"]["name"] for node in platform.get("/api/v1/nodes")["items"]} == {"alpha", "beta", "gamma"}
    on_device = platform.submit("sh", "-c", "pwd", resources={"accelerator": "simulated-x1:1"})
    gang = platform.submit("sh", "-c", TELL_RANK, replicas=2, resources={"cpu": 2.0})

    ended = [platform.await_job(job)["status"]["state"] for job in (on_device, gang)]

    assert ended == ["succeeded", "succeeded"]
    assert "/beta/runtime/replicas/" in platform.log_of(on_device)
    told = sorted(platform.log_of(gang).splitlines())
    assert [line.partition(", ")[0] for line in told] == ["rank 0 of 2", "rank 1 of 2"]
    assert len({line.rpartition(" at ")[2] for line in told}) == 1


def test_a_job_outlives_the_core_and_moves_on_when_its_node_is_lost(
    platform: Platform, cluster: LocalRayCluster, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    command = WAIT_FOR_GO.format(go=go)
    pinned = platform.submit("sh", "-c", command, "beta", resources={"accelerator": "simulated-x1:1"})
    platform.await_job(pinned, "running")

    platform.kill()
    platform.start()

    assert platform.get(f"{JOBS}/{pinned['metadata']['id']}")["status"]["state"] == "running"
    cluster.kill_node("beta")
    platform.await_job(pinned, "queued")
    cluster.start_node("beta")
    platform.await_job(pinned, "running")
    go.touch()
    ended = platform.await_job(pinned)
    assert ended["status"]["exit_code"] == 7
    assert ended["status"]["attempt"] >= 2  # on a machine under load, Ray may take a node for lost once more
    assert platform.log_of(pinned).endswith("ready on beta\nwent\n")
