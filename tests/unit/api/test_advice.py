"""Explanations, the queue, the best resource, a trial placement, and results."""

from __future__ import annotations

from typing import Any

import pytest

from lepton_ai.types.node import Device
from lepton_ai.types.task import Task
from tests.unit.api.platform import JOB, JOBS, Platform

PROJECT = "/api/v1/projects/default"
BEST, TRIAL = f"{PROJECT}/optimal-resource", f"{PROJECT}/optimal-allocation"
GPU = Device(id="gpu-0", index=0, vendor="nvidia", kind="nvidia-h100-80gb", model="H100", memory_bytes=80 * 10**9)


def question(resource_class: str = "", **spec: Any) -> dict[str, Any]:
    return {"spec": spec, **({"resource_class": resource_class} if resource_class else {})}


def test_a_running_job_is_explained_by_its_place(platform: Platform) -> None:
    platform.running_job("train")
    told = platform.get(f"{JOBS}/train/explain").json()
    assert (told["standing"], told["nodes"], told["resource_class"]) == ("running", ["node-1"], "cpu-avx2")
    assert told["reason"]["sentence"]


def test_a_waiting_job_is_explained_by_what_it_lacks(platform: Platform) -> None:
    platform.running_job("long", resources={"cpu": 8})
    platform.post(JOBS, {**JOB, "metadata": {"name": "train"}})
    platform.settle()
    told = platform.get(f"{JOBS}/train/explain").json()
    assert (told["standing"], told["rank"], told["queue_length"]) == ("waiting", 1, 1)
    (task,) = [task for task in platform.store.page(Task) if task.spec.owner_name == "train"]
    assert platform.get(f"{PROJECT}/tasks/{task.id}/explain").json()["reason"] == told["reason"]


def test_waiting_work_is_not_told_what_the_work_of_another_project_is_called(platform: Platform) -> None:
    platform.running_job("merger", resources={"cpu": 8}, expected_duration="1h")
    platform.post("/api/v1/projects", {"metadata": {"name": "vision"}, "spec": {}})
    platform.post("/api/v1/projects/vision/jobs", {**JOB, "metadata": {"name": "train"}})
    platform.settle()
    told = platform.get("/api/v1/projects/vision/jobs/train/explain").json()
    (entry,) = platform.get("/api/v1/projects/vision/queue").json()["items"]
    assert "when a task of another project ends" in told["reason"]["sentence"]
    assert "when a task of another project ends" in entry["sentence"]
    assert told["name"] == "train"


def test_what_has_no_task_yet_is_explained_by_its_own_reason(platform: Platform) -> None:
    platform.post(JOBS, {**JOB, "metadata": {"name": "train"}})
    told = platform.get(f"{JOBS}/train/explain").json()
    reason = platform.get(f"{JOBS}/train").json()["status"]["reason"]
    assert (told["name"], told["standing"], told["reason"]) == ("train", "waiting", reason)


def test_what_has_ended_is_explained_by_its_end_and_its_place(platform: Platform) -> None:
    replica = platform.running_job("train")
    platform.pass_seconds(40)
    platform.runtime.end(replica)
    platform.settle()
    told = platform.get(f"{JOBS}/train/explain").json()
    assert (told["standing"], told["nodes"], told["resource_class"]) == ("ended", ["node-1"], "cpu-avx2")
    assert "It waited 1 s and ran 40 s; 10 min were expected. When it was placed: it" in told["reason"]["sentence"]


def test_the_queue_is_that_of_the_scheduler(platform: Platform) -> None:
    platform.running_job("long", resources={"cpu": 8})
    for name, priority in (("low", 10), ("high", 90)):
        platform.post(JOBS, {"metadata": {"name": name}, "spec": {"command": ["true"], "priority": priority}})
    platform.settle()
    queue = platform.get(f"{PROJECT}/queue").json()["items"]
    assert [(entry["rank"], entry["owner_name"]) for entry in queue] == [(1, "high"), (2, "low")]
    assert queue[0]["weight"] > queue[1]["weight"]
    assert queue[0]["sentence"]


def test_the_classes_that_could_run_a_task_are_ranked(platform: Platform) -> None:
    platform.runtime.hardware = platform.runtime.hardware.replace(devices=(GPU,))
    platform.settle()
    (choice,) = platform.post(BEST, question(command=["true"])).json()["items"]
    assert (choice["resource_class"], choice["nodes"], choice["is_free_now"]) == ("cpu-avx2", ["node-1"], True)
    (choice,) = platform.post(BEST, question(resources={"accelerator": "h100"})).json()["items"]
    assert (choice["resource_class"], choice["source"]) == ("nvidia-h100-80gb", "guessed")


def test_a_trial_is_placed_and_nothing_is_held(platform: Platform) -> None:
    platform.settle()
    placed = platform.post(TRIAL, question("cpu-avx2", resources={"cpu": 2}, replicas=2)).json()
    assert [(one["rank"], one["node"], one["cpu_milli"]) for one in placed["allocations"]] == [
        (0, "node-1", 2000), (1, "node-1", 2000),
    ]  # fmt: skip
    assert platform.store.page(Task) == []
    assert platform.get("/api/v1/resources").json()["items"][0]["allocated"] == 0


def test_a_trial_that_must_wait_is_told_until_when(platform: Platform) -> None:
    platform.running_job("long", resources={"cpu": 8}, expected_duration="1h")
    placed = platform.post(TRIAL, question("cpu-avx2")).json()
    assert placed["allocations"] == []
    assert placed["expected_start"].startswith("2026-01-02T04:")


def test_a_trial_that_never_fits_is_refused(platform: Platform) -> None:
    platform.settle()
    refused = platform.post(TRIAL, question("cpu-avx2", resources={"cpu": 4000}))
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize("name", ["", "tpu-v9", "cpu"])
def test_an_unknown_class_is_answered_with_the_known_ones(platform: Platform, name: str) -> None:
    platform.settle()
    refused = platform.post(TRIAL, question(name))
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert "cpu-avx2" in refused.json()["hint"]


@pytest.mark.parametrize(
    "spec",
    [{"replicas": 0}, {"replicas": -1}, {"replicas": 10**9}, {"priority": 101}, {"expected_duration": "soon"},
     {"resources": {"cpu": -1}}, {"command": "true"}, {"x": 1}],
)  # fmt: skip
def test_a_trial_is_checked_as_a_job_is(shared: Platform, spec: dict[str, Any]) -> None:
    for path in (BEST, TRIAL):
        refused = shared.post(path, question("cpu-avx2", **spec))
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
        assert refused.json()["errors"][0]["loc"].startswith(f"spec.{next(iter(spec))}")


def test_a_result_is_handed_out_as_it_was_written(platform: Platform) -> None:
    replica = platform.running_job("train")
    assert platform.get(f"{JOBS}/train/result").status_code == 404
    platform.runtime.results[replica] = b"\x80\x05N."
    answer = platform.get(f"{JOBS}/train/result")
    assert (answer.content, answer.headers["content-type"]) == (b"\x80\x05N.", "application/octet-stream")


def test_a_result_of_an_array_is_that_of_its_index(platform: Platform) -> None:
    platform.running_job("train", array=2)
    for task in platform.store.page(Task):
        platform.runtime.results[task.replica_id(0)] = str(task.spec.index).encode()
    assert [platform.get(f"{JOBS}/train/result?index={index}").text for index in (0, 1)] == ["0", "1"]
    assert platform.get(f"{JOBS}/train/result?index=2").status_code == 404
    assert platform.get(f"{JOBS}/train/result?index=-1").status_code == 422


SLOW_GPU = GPU.replace(id="gpu-1", index=1, kind="nvidia-t4-16gb", model="T4", memory_bytes=16 * 10**9)
TRAIN: dict[str, Any] = {"command": ["python", "train.py"], "resources": {"gpu": 1}}


def measured(resource_class: str, seconds: float, unit: str = "step") -> dict[str, Any]:
    return {"spec": TRAIN, "resource_class": resource_class, "unit": unit, "seconds_per_unit": seconds}


def test_classes_are_ranked_by_what_was_inferred_and_then_by_what_was_measured(platform: Platform) -> None:
    platform.runtime.hardware = platform.runtime.hardware.replace(devices=(GPU, SLOW_GPU))
    platform.settle()
    promised = platform.post(BEST, question(**TRAIN)).json()["items"]
    for name, seconds in ((GPU.kind, 0.4), (SLOW_GPU.kind, 0.1)):  # this program is slower on the faster device
        assert platform.post(f"{PROJECT}/profile", measured(name, seconds)).status_code == 204
    known = platform.post(BEST, question(**TRAIN)).json()["items"]
    assert [item["resource_class"] for item in promised] == [GPU.kind, SLOW_GPU.kind]
    assert {item["speed_source"] for item in promised} <= {"inferred", "guessed"}
    assert "datasheet" in "".join(item["speed_because"] for item in promised)
    assert [item["resource_class"] for item in known] == [SLOW_GPU.kind, GPU.kind]
    assert {item["speed_source"] for item in known} == {"measured"}
    assert known[0]["relative_speed"] > 1.5
    assert known[0]["speed_spread"] < promised[1]["speed_spread"] + promised[0]["speed_spread"]


def test_what_was_measured_outlives_a_failure_to_store_what_was_learnt(platform: Platform) -> None:
    platform.runtime.hardware = platform.runtime.hardware.replace(devices=(GPU, SLOW_GPU))
    platform.settle()
    for name, seconds in ((GPU.kind, 0.4), (SLOW_GPU.kind, 0.1)):
        platform.post(f"{PROJECT}/profile", measured(name, seconds))
    platform.core.estimates.forget()
    assert platform.post(BEST, question(**TRAIN)).json()["items"][0]["speed_source"] == "measured"


@pytest.mark.parametrize(
    "wrong",
    [
        measured("nvidia-b200", 1.0),
        measured("cpu-avx2", 0.0),
        measured("cpu-avx2", -1.0),
        measured("cpu-avx2", 1e12),
        measured("cpu-avx2", 1.0, unit="parsec"),
    ],
)
def test_what_is_no_speed_of_a_class_that_there_is_is_refused(platform: Platform, wrong: dict[str, Any]) -> None:
    platform.settle()
    assert platform.post(f"{PROJECT}/profile", wrong).status_code == 422


def test_a_program_that_ended_within_the_probe_is_expected_to_take_so_long_again(platform: Platform) -> None:
    platform.settle()
    before = platform.post(BEST, question(command=["true"])).json()["items"][0]
    ended = {"resource_class": "cpu-avx2", "unit": "run", "seconds_per_unit": 12.0, "whole_seconds": 12.0}
    assert platform.post(f"{PROJECT}/profile", {"spec": {"command": ["true"]}, **ended}).status_code == 204
    known = platform.post(BEST, question(command=["true"])).json()["items"][0]
    assert (before["source"], known["source"]) == ("guessed", "measured")
    assert known["expected_seconds"] == pytest.approx(12.0, rel=0.5)
    assert before["expected_seconds"] > 100


def test_what_a_task_would_cost_follows_from_the_prices_of_its_nodes(platform: Platform) -> None:
    platform.runtime.hardware = platform.runtime.hardware.replace(devices=(GPU, SLOW_GPU))
    platform.settle()
    unknown = platform.post(BEST, question(**TRAIN)).json()["items"][0]
    assert (unknown["price_per_hour"], unknown["expected_cost"]) == (None, None)
    platform.call("PATCH", "/api/v1/nodes/node-1", json={"metadata": {"labels": {"price": "4"}}})
    found = platform.post(BEST, question(**TRAIN)).json()["items"][0]
    assert found["price_per_hour"] == pytest.approx(2.0)  # one of two devices
    assert found["expected_cost"] == pytest.approx(2.0 * found["expected_seconds"] / 3600)


def test_a_task_that_no_node_could_ever_run_is_refused_with_the_reason(platform: Platform) -> None:
    platform.settle()
    refused = platform.post(BEST, question(resources={"cpu": 4000}))
    assert refused.status_code == 409
    assert "No node could run this task: needs 4000 CPUs on one node" in refused.json()["detail"]
