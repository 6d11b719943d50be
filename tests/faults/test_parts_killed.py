"""`kill -9` of the parts around the core: the data plane, a supervisor, a replica, and the core under an endpoint."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

import pytest

from tests.faults.rig import ENDPOINTS, Json, Platform, is_alive, wait_for
from tests.faults.traffic import Traffic, await_ready, serve

BACK_SECONDS_MAX = 5.0
KILLS = 5
RETRIED = 'echo "$$"; [ "$LEPTON_ATTEMPT" = 1 ] && sleep 1000; echo "attempt $LEPTON_ATTEMPT"'


@pytest.mark.parametrize("role", ["master", "worker"])
def test_a_killed_data_plane_is_back_within_seconds_with_its_routes(platform: Platform, role: str) -> None:
    path = serve(platform)
    before = platform.haproxies()

    with Traffic(platform, path) as traffic:
        killed_at = time.monotonic()
        os.kill(roles(platform)[role], signal.SIGKILL)
        wait_for(lambda: not before.keys() & platform.haproxies().keys(), "the old data plane to be gone")
        traffic.await_more(1)
        seconds = time.monotonic() - killed_at
        traffic.await_more()

    print(f"{role} killed: requests answered again after {seconds:.2f} s")
    assert len(platform.haproxies()) == 2
    assert seconds <= BACK_SECONDS_MAX
    # What was under way at the kill is cut; nothing is refused or sent astray, since routes and tokens came with it.
    assert {answer for answer in traffic.answers if isinstance(answer, int)} == {200}
    assert platform.get("/api/v1/status")["data_plane"]["state"] == "ready"


def test_a_data_plane_and_a_core_that_were_killed_together_come_back_with_their_routes(platform: Platform) -> None:
    path = serve(platform)

    for pid in (platform.pid, *platform.haproxies()):
        os.kill(pid, signal.SIGKILL)
    platform.kill()
    platform.start()

    wait_for(lambda: platform.call("GET", path).status_code == 200, "the endpoint to answer")
    assert platform.get(f"{ENDPOINTS}/echo")["status"]["ready_replicas"] == 1


def test_a_job_whose_supervisor_is_killed_is_tried_again_and_leaves_nothing(platform: Platform) -> None:
    job = platform.submit("sh", "-c", RETRIED)
    platform.await_job(job, "running")
    wait_for(lambda: len(platform.log_of(job).split()) == 1, "the job to print its process number")
    first = int(platform.log_of(job))

    os.kill(supervisor_of(platform, job, rank=0), signal.SIGKILL)
    ended = platform.await_job(job)

    assert (ended["status"]["state"], ended["status"]["attempt"]) == ("succeeded", 2)
    assert "attempt 2" in platform.log_of(job)
    assert not is_alive(first)
    wait_for(lambda: not platform.orphans() and not platform.groups(), f"nothing to be left: {platform.orphans()}")
    kinds = [task["status"]["outcome"] for task in platform.get("/api/v1/projects/default/tasks")["items"]]
    assert sorted(kinds) == ["lost", "succeeded"]


def test_a_gang_that_loses_a_supervisor_is_tried_again_as_a_whole(platform: Platform) -> None:
    job = platform.submit("sh", "-c", RETRIED, replicas=2, grace=1)
    platform.await_job(job, "running")

    os.kill(supervisor_of(platform, job, rank=1), signal.SIGKILL)
    ended = platform.await_job(job)

    assert (ended["status"]["state"], ended["status"]["attempt"]) == ("succeeded", 2)
    assert platform.log_of(job).count("attempt 2") == 2
    wait_for(lambda: not platform.orphans() and not platform.groups(), f"nothing to be left: {platform.orphans()}")


def test_a_job_that_may_not_be_tried_again_says_that_it_was_lost(platform: Platform) -> None:
    job = platform.submit("sh", "-c", "echo hello; sleep 1000", retries={"lost_node": 0})
    platform.await_job(job, "running")
    wait_for(lambda: platform.log_of(job) == "hello\n", "the job to print")

    os.kill(supervisor_of(platform, job, rank=0), signal.SIGKILL)
    ended = platform.await_job(job)

    assert (ended["status"]["state"], ended["status"]["exit_kind"]) == ("failed", "lost")
    assert "supervisor" in ended["status"]["reason"]["sentence"]
    assert platform.log_of(job) == "hello\n"


def test_killing_one_of_two_replicas_loses_no_get_request(platform: Platform) -> None:
    path = serve(platform, replicas=2)

    with Traffic(platform, path) as traffic:
        for _ in range(KILLS):
            traffic.await_more()
            os.kill(int(platform.call("GET", path).text), signal.SIGKILL)
            traffic.await_more()
            await_ready(platform, "echo", 2)

    assert traffic.answers.keys() == {200}


def test_an_endpoint_answers_on_while_the_core_is_killed_and_restarted(platform: Platform) -> None:
    path = serve(platform)
    answering = platform.call("GET", path).text

    with Traffic(platform, path) as traffic:
        for _ in range(KILLS):
            platform.kill()
            traffic.await_more()
            platform.start()
            traffic.await_more()

    assert traffic.answers.keys() == {200}
    assert platform.call("GET", path).text == answering
    assert platform.get(f"{ENDPOINTS}/echo")["status"]["state"] == "ready"


def roles(platform: Platform) -> Mapping[str, int]:
    master = int((platform.home / "haproxy" / "haproxy.pid").read_text())
    return {"master": master, "worker": next(pid for pid in platform.haproxies() if pid != master)}


def supervisor_of(platform: Platform, job: Json, *, rank: int) -> int:
    task = f"task-{job['metadata']['id'].removeprefix('job-')}-0-1-{rank}"
    claim = platform.home / "runtime" / "replicas" / task / "claim.json"
    wait_for(claim.exists, "the replica to be claimed")
    return platform.supervisors()[task]
