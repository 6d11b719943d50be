"""Status, whoami, resources, nodes, events, audit and shutdown."""

from __future__ import annotations

import pytest

from lepton_ai.types.identity import Role
from lepton_ai.types.node import Device
from lepton_ai.version import VERSION
from tests.unit.api.platform import JOB, JOBS, Platform

EVENTS = "/api/v1/projects/default/events"
NODE = "/api/v1/nodes/node-1"


def test_the_status_says_what_runs(platform: Platform) -> None:
    platform.running_job("a", resources={"cpu": 8})
    platform.post(JOBS, JOB)
    platform.settle()
    status = platform.get("/api/v1/status").json()
    assert status["version"] == VERSION
    assert (status["core"]["pid"], status["core"]["state"]) == (1, "ready")
    assert status["core"]["started_at"].startswith("2026-01-02T03:04:05.")
    assert status["data_plane"] == {"state": "ready", "detail": ""}
    assert status["counts"] == {"nodes": 1, "tasks_waiting": 1, "tasks_running": 1}
    assert (status["database"], status["services"]) == ("sqlite", ["endpoints", "jobs", "nodegroups", "storage"])


def test_resources_show_what_is_held(platform: Platform) -> None:
    platform.running_job("train", resources={"cpu": 2})
    (cpu,) = platform.get("/api/v1/resources").json()["items"]
    assert (cpu["number"], cpu["name"], cpu["kind"], cpu["resource_class"]) == (1, "node-1/cpu", "cpu", "cpu-avx2")
    assert (cpu["utilisation"], cpu["allocation"], cpu["allocated"], cpu["tasks"]) == (0.25, 1, 0.25, ["train"])


def test_devices_are_resources_of_their_own(platform: Platform) -> None:
    device = Device(
        id="gpu-0", index=0, vendor="nvidia", kind="nvidia-h100-80gb", model="H100", memory_bytes=80 * 10**9
    )
    platform.runtime.hardware = platform.runtime.hardware.replace(devices=(device,))
    platform.settle()
    platform.running_job("train", resources={"accelerator": "h100:0.5"})
    gpu = platform.get("/api/v1/resources").json()["items"][1]
    assert (gpu["name"], gpu["kind"], gpu["resource_class"]) == (
        "node-1/nvidia-h100-80gb-0",
        "device",
        "nvidia-h100-80gb",
    )
    assert (gpu["utilisation"], gpu["allocated"], gpu["tasks"]) == (-1, 0.5, ["train"])


def test_resources_do_not_name_the_work_of_others(platform: Platform) -> None:
    platform.project("other")
    platform.running_job("train")
    eve = platform.user("eve", {"other": Role.ADMIN})
    (cpu,) = platform.get("/api/v1/resources", token=eve).json()["items"]
    assert (cpu["allocation"], cpu["tasks"]) == (1, [])


def test_a_cordoned_node_gets_nothing_new(platform: Platform) -> None:
    platform.settle()
    cordoned = platform.call("PATCH", NODE, json={"spec": {"cordoned": True}})
    assert (cordoned.status_code, cordoned.json()["spec"]) == (200, {"cordoned": True, "drain_by": None})
    platform.post(JOBS, {**JOB, "metadata": {"name": "train"}})
    platform.settle()
    assert platform.get(f"{JOBS}/train").json()["status"]["state"] == "queued"
    platform.call("PATCH", NODE, json={"spec": {"cordoned": False}})
    platform.settle()
    assert platform.get(f"{JOBS}/train").json()["status"]["state"] == "running"
    assert [record.operation for record in platform.audit() if record.object_kind == "node"] == ["node.update"] * 2


def test_a_drained_node_is_empty_of_jobs_and_gets_nothing_new_until_that_is_taken_back(platform: Platform) -> None:
    platform.running_job("train")
    drained = platform.call("POST", f"{NODE}/drain", json={"seconds": 60})
    assert drained.json()["spec"]["cordoned"]
    platform.settle()
    assert platform.get(NODE).json()["status"]["reason"]["code"] == "drained"
    assert platform.get(f"{JOBS}/train").json()["status"]["state"] == "queued"
    platform.call("PATCH", NODE, json={"spec": {"cordoned": False, "drain_by": None}})
    platform.settle()
    assert platform.get(f"{JOBS}/train").json()["status"]["state"] == "running"


@pytest.mark.parametrize("seconds", [-1, 1e12, "soon"])
def test_a_time_to_drain_that_is_none_is_refused(platform: Platform, seconds: object) -> None:
    platform.settle()
    assert platform.call("POST", f"{NODE}/drain", json={"seconds": seconds}).status_code == 422


@pytest.mark.parametrize("patch", [{"status": {"state": "ready"}}, {"spec": {"cordoned": 7}}, {"spec": {"x": 1}}])
def test_only_what_an_operator_wants_of_a_node_is_changed(platform: Platform, patch: object) -> None:
    platform.settle()
    assert platform.call("PATCH", NODE, json=patch).status_code == 422


def test_events_are_told_in_order_and_page_by_page(platform: Platform) -> None:
    platform.runtime.end(platform.running_job("train"))
    platform.settle()
    whole = platform.get(EVENTS).json()
    codes = [event["code"] for event in whole["items"]]
    assert (codes[0], codes[-1], whole["next"]) == ("submitted", "succeeded", "")
    first = platform.get(f"{EVENTS}?limit=2").json()
    rest = platform.get(f"{EVENTS}?after={first['next']}").json()["items"]
    assert first["items"] + rest == whole["items"]
    assert platform.get(f"{EVENTS}?limit=1&newest=true").json()["items"] == whole["items"][-1:]


def test_events_of_one_object_are_its_own(platform: Platform) -> None:
    platform.running_job("train")
    platform.post(JOBS, {**JOB, "metadata": {"name": "other"}})
    told = platform.get(f"{JOBS}/train/events").json()["items"]
    assert {event["object_name"] for event in told} == {"train"}
    assert [event["code"] for event in told] == ["submitted", "running"]


def test_events_are_followed(platform: Platform) -> None:
    platform.post(JOBS, {**JOB, "metadata": {"name": "a"}})
    with platform.stream(f"{EVENTS}?follow=true") as stream:
        first = stream.next()
        assert (first.event, first.data["object_name"], first.id) == ("event", "a", str(first.data["seq"]))
        platform.post(JOBS, {**JOB, "metadata": {"name": "b"}})
        assert stream.next().data["object_name"] == "b"
    with platform.stream(f"{EVENTS}?follow=true&after={first.id}") as stream:
        assert stream.next().data["object_name"] == "b"


def test_what_happens_to_the_platform_is_told_to_its_own_people(platform: Platform) -> None:
    platform.settle()
    told = platform.get("/api/v1/projects/platform/events").json()["items"]
    assert {event["kind"] for event in told} >= {"node", "user", "project"}
    ada = platform.user("ada", {"default": Role.ADMIN})
    assert platform.get("/api/v1/projects/platform/events", token=ada).status_code == 403


def test_the_project_of_the_platform_is_none_to_work_in(platform: Platform) -> None:
    for path in ("jobs", "secrets", "tasks", "queue"):
        assert platform.get(f"/api/v1/projects/platform/{path}").status_code == 404
    assert platform.post("/api/v1/projects/platform/jobs", JOB).status_code == 404


@pytest.mark.parametrize("query", ["after=-1", "after=x", f"after={2**63}", "limit=0", "newest=perhaps"])
def test_a_strange_question_about_events_is_refused(shared: Platform, query: str) -> None:
    assert shared.get(f"{EVENTS}?{query}").status_code == 422


def test_the_audit_comes_oldest_first_and_page_by_page(platform: Platform) -> None:
    for _ in range(5):
        platform.post(JOBS, JOB)
    found, cursor = [], "0"
    while cursor:
        page = platform.get(f"/api/v1/audit?limit=2&after={cursor}").json()
        found += page["items"]
        cursor = page["next"]
    assert [record["seq"] for record in found] == sorted(record["seq"] for record in found)
    assert [record["operation"] for record in found] == ["job.create"] * 5


def test_a_request_that_fails_leaves_no_audit_record(platform: Platform) -> None:
    platform.post(JOBS, {**JOB, "metadata": {"name": "train"}})
    before = platform.audit()
    platform.post(JOBS, {**JOB, "metadata": {"name": "train"}})
    platform.post(JOBS, {"spec": {}})
    platform.call("DELETE", f"{JOBS}/absent")
    assert platform.audit() == before


@pytest.mark.parametrize(("body", "stops"), [({}, True), (None, True), ({"stop_replicas": False}, False)])
def test_the_platform_is_ended_after_the_answer(platform: Platform, body: object, stops: bool) -> None:
    answer = platform.call("POST", "/api/v1/shutdown", json=body)
    assert (answer.status_code, answer.json(), platform.shutdowns) == (202, {"state": "stopping"}, [stops])
    (record,) = platform.audit()
    assert record.operation == "platform.shutdown"
