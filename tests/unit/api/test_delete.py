"""DELETE and stop: what runs is asked to end, what has ended goes at once, and neither is done twice."""

from __future__ import annotations

import pytest

from lepton_ai.api.changes import DELETED_AT_ONCE_MAX
from lepton_ai.types.task import Task
from tests.unit.api.platform import JOBS, Platform

ENDPOINTS = JOBS.replace("jobs", "endpoints")


def test_a_running_job_is_stopped_before_it_goes(platform: Platform) -> None:
    replica = platform.running_job("train")
    asked = platform.call("DELETE", f"{JOBS}/train")
    assert asked.status_code == 202
    assert asked.json()["metadata"]["deletion_requested_at"] is not None
    assert platform.get(f"{JOBS}/train").status_code == 200
    platform.settle()
    assert platform.runtime.stopped == [replica]
    assert platform.get(f"{JOBS}/train").status_code == 404
    assert platform.store.page(Task) == []


def test_an_ended_job_goes_at_once_with_its_tasks(platform: Platform) -> None:
    platform.runtime.end(platform.running_job("train"))
    platform.settle()
    assert platform.call("DELETE", f"{JOBS}/train").status_code == 202
    assert platform.get(f"{JOBS}/train").status_code == 404
    assert platform.store.page(Task) == []
    assert platform.events("train")[-1].code == "deleted"


def test_asking_twice_is_asking_once(platform: Platform) -> None:
    platform.running_job("train")
    first, again = (platform.call("DELETE", f"{JOBS}/train") for _ in range(2))
    assert first.json() == again.json()
    assert [record.operation for record in platform.audit()] == ["job.create", "job.delete"]


def test_what_is_gone_is_not_found(platform: Platform) -> None:
    platform.call("PUT", f"{ENDPOINTS}/digits", json={"spec": {"command": ["serve"]}})
    platform.call("DELETE", f"{ENDPOINTS}/digits")
    platform.settle()
    gone = platform.call("DELETE", f"{ENDPOINTS}/digits")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


def test_a_long_array_that_has_ended_goes_whole(platform: Platform) -> None:
    platform.running_job("sweep", array=DELETED_AT_ONCE_MAX + 3)
    platform.post(f"{JOBS}/sweep/stop")
    platform.settle()
    assert platform.get(f"{JOBS}/sweep").json()["status"]["state"] == "stopped"
    assert platform.call("DELETE", f"{JOBS}/sweep").status_code == 202
    assert platform.store.page(Task) == []
    assert platform.get(f"{JOBS}/sweep").status_code == 404


def test_a_job_is_stopped_gracefully_and_stays(platform: Platform) -> None:
    replica = platform.running_job("train")
    asked = platform.post(f"{JOBS}/train/stop")
    assert (asked.status_code, asked.json()["spec"]["stop_requested"]) == (202, True)
    platform.settle()
    assert platform.runtime.stopped == [replica]
    assert platform.get(f"{JOBS}/train").json()["status"]["state"] == "stopped"


def test_stopping_twice_is_stopping_once(platform: Platform) -> None:
    platform.running_job("train")
    first, again = (platform.post(f"{JOBS}/train/stop") for _ in range(2))
    assert (first.json(), again.status_code) == (again.json(), 202)
    assert [record.operation for record in platform.audit()] == ["job.create", "job.stop"]


def test_a_stop_cannot_be_taken_back(platform: Platform) -> None:
    platform.running_job("train")
    platform.post(f"{JOBS}/train/stop")
    refused = platform.call("PATCH", f"{JOBS}/train", json={"spec": {"stop_requested": False}})
    assert refused.status_code == 422


def test_what_has_ended_cannot_be_stopped(platform: Platform) -> None:
    platform.runtime.end(platform.running_job("train"))
    platform.settle()
    assert platform.post(f"{JOBS}/train/stop").status_code == 409


@pytest.mark.parametrize("kind", ["secrets", "endpoints", "tasks"])
def test_only_jobs_are_stopped_by_a_verb_of_their_own(shared: Platform, kind: str) -> None:
    assert shared.post(f"/api/v1/projects/default/{kind}/x/stop").status_code == 404


def test_no_task_is_deleted_by_hand(platform: Platform) -> None:
    platform.running_job("train")
    (task,) = platform.store.page(Task)
    assert platform.call("DELETE", f"/api/v1/projects/default/tasks/{task.id}").status_code == 405
