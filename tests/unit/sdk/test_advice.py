"""The seed's section 5.2, as printed there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from lepton_ai.errors import Conflict, JobFailed, NotFound, Unavailable
from lepton_ai.sdk.advice import TaskLike
from lepton_ai.sdk.task_request import TaskRequest
from lepton_ai.types.job import JobSpec
from tests.unit.sdk.fake_platform import PROJECT, FakePlatform, event, job, ok, stream

SECTION_5_2 = """
# 定义任务调度函数
def task_scheduler(task):
    # 根据任务优先级，将任务分配到最优的计算资源中
    c = lepton.get_optimal_resource(task)
    # 根据任务需求和资源数量，计算最优资源分配方案
    r = lepton.get_optimal_allocation(c, task)
    # 在分配的资源上执行任务
    lepton.execute_task(r, task)
    # 记录任务完成时间
    return lepton.get_task_duration(task)

# 定义资源分配函数
def resource_scheduler(c, task):
    # 根据任务需求和资源数量，计算最优资源分配方案
    r = lepton.get_optimal_allocation(c, task)
    # 记录资源利用率
    return lepton.get_resource_utilization(c, r)
"""
RESOURCE = f"{PROJECT}/optimal-resource"
ALLOCATION = f"{PROJECT}/optimal-allocation"
JOBS = f"{PROJECT}/jobs"
H100 = {
    "resource_class": "nvidia-h100-80gb",
    "nodes": ["gpu-1"],
    "expected_seconds": 12.5,
    "p80_seconds": 20.0,
    "source": "measured",
    "is_free_now": True,
}
CPU = {**H100, "resource_class": "cpu-avx2", "nodes": ["gpu-1", "cpu-1"], "expected_seconds": 600, "source": "guessed"}
RAN = {"started_at": "2026-01-01T00:00:01.5Z", "finished_at": "2026-01-01T00:00:04Z"}


def part(node: str, *devices: str) -> dict[str, object]:
    shares = [{"device_id": device, "share_milli": 1000} for device in devices]
    amounts = {"rank": 0, "cpu_milli": 1000, "memory_bytes": 10**9, "resource_class": "nvidia-h100-80gb"}
    return {**amounts, "node": node, "devices": shares}


def plan(*parts: dict[str, object]) -> dict[str, object]:
    return {"allocations": list(parts), "sentence": "starts on node gpu-1"}


def view(node: str, name: str, utilisation: float, resource_class: str = "nvidia-h100-80gb") -> dict[str, object]:
    shares = {"utilisation": utilisation, "allocated": 1.0, "allocation": 1}
    who = {"number": 1, "name": name, "node": node, "kind": "device", "resource_class": resource_class, "model": "x"}
    return {**who, **shares, "memory_used_bytes": 0, "memory_bytes": 0, "tasks": ["a"]}


@pytest.fixture
def platform() -> FakePlatform:
    platform = FakePlatform().on("POST", RESOURCE, ok({"items": [H100, CPU]}))
    platform.on("POST", ALLOCATION, ok(plan(part("gpu-1", "gpu-0")))).on("POST", JOBS, ok(job("running"), 201))
    platform.on("GET", f"{JOBS}/watch", stream(event("put", job("succeeded", **RAN), "2")))
    return platform.on("GET", f"{JOBS}/job-1", ok(job("running")))


def resources(platform: FakePlatform, *views: dict[str, object]) -> FakePlatform:
    return platform.on("GET", "/api/v1/resources", ok({"items": list(views)}))


def section_5_2(platform: FakePlatform) -> dict[str, Callable[..., Any]]:
    names: dict[str, Any] = {"lepton": platform.client}
    exec(SECTION_5_2, names)
    return names


@pytest.mark.parametrize(
    "task",
    [
        "python train.py",
        ["python", "train.py"],
        TaskRequest("python train.py", priority=90),
        JobSpec(command=("true",)),
    ],
)
def test_the_task_scheduler_runs_as_printed(platform: FakePlatform, task: TaskLike) -> None:
    assert section_5_2(platform)["task_scheduler"](task) == timedelta(seconds=2.5)
    assert platform.bodies("POST", ALLOCATION)[0]["resource_class"] == "nvidia-h100-80gb"
    assert len(platform.seen("POST", JOBS)) == 1


def test_the_resource_scheduler_runs_as_printed(platform: FakePlatform) -> None:
    resources(platform, view("gpu-1", "gpu-0", 0.9), view("gpu-1", "gpu-1", 0.1))
    c = platform.client.get_optimal_resource("true")
    assert section_5_2(platform)["resource_scheduler"](c, "true") == pytest.approx(0.9)


def test_the_best_resource_is_the_first_that_the_scheduler_names(platform: FakePlatform) -> None:
    best = platform.client.get_optimal_resource("true")
    assert (best.resource_class, best.expected_seconds, best.source) == ("nvidia-h100-80gb", 12.5, "measured")


def test_the_scheduler_is_told_the_demand_and_nothing_that_is_private(platform: FakePlatform) -> None:
    platform.client.get_optimal_resource(
        TaskRequest("python train.py", replicas=2, resources={"gpu": 1}, env={"PASSWORD": "x"}, expected_duration=60)
    )
    assert platform.bodies("POST", RESOURCE) == [
        {
            "spec": {
                "command": ["python", "train.py"],
                "replicas": 2,
                "resources": {"accelerator": {}},
                "expected_duration": 60.0,
            }
        }
    ]


def test_a_function_is_asked_about_by_its_name(platform: FakePlatform) -> None:
    platform.client.get_optimal_resource(abs)
    assert platform.bodies("POST", RESOURCE) == [{"spec": {"function": "abs"}}]


def test_a_task_that_no_node_could_run_is_refused(platform: FakePlatform) -> None:
    platform.on("POST", RESOURCE, ok({"items": []}))
    with pytest.raises(Conflict, match="No node could run"):
        platform.client.get_optimal_resource("true")


def test_an_accelerator_is_narrowed_to_the_plans_class(platform: FakePlatform) -> None:
    task = TaskRequest("true", resources={"gpu": 2})
    planned = platform.client.get_optimal_allocation("nvidia-h100-80gb", task)
    platform.client.execute_task(planned, task)
    wanted = platform.bodies("POST", JOBS)[0]["spec"]["resources"]["accelerator"]
    assert wanted == {"kind": "nvidia-h100-80gb", "count": 2}


def test_a_task_that_fails_raises(platform: FakePlatform) -> None:
    platform.on("GET", f"{JOBS}/watch", stream(event("put", job("failed"), "2")))
    platform.on("GET", f"{JOBS}/job-1/logs", stream(event("end", {"state": "failed"})))
    planned = platform.client.get_optimal_allocation("cpu-avx2", "true")
    with pytest.raises(JobFailed):
        platform.client.execute_task(planned, "true")


def test_the_duration_of_what_was_not_executed_here_is_the_estimate(platform: FakePlatform) -> None:
    assert platform.client.get_task_duration("never ran") == timedelta(seconds=12.5)
    assert platform.seen("POST", JOBS) == []


def test_another_tasks_execution_does_not_count(platform: FakePlatform) -> None:
    scheduler = section_5_2(platform)["task_scheduler"]
    scheduler("true")
    assert platform.client.get_task_duration(["true", "--other"]) == timedelta(seconds=12.5)
    assert platform.client.get_task_duration(["true"]) == timedelta(seconds=2.5)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([part("gpu-1", "gpu-0", "gpu-1")], 0.5),
        ([part("gpu-2")], 0.3),
        ([], (0.9 + 0.1 + 0.3) / 3),
    ],
)
def test_utilisation_is_the_mean_of_what_the_plan_names(
    platform: FakePlatform, parts: list[dict[str, object]], expected: float
) -> None:
    resources(
        platform,
        view("gpu-1", "gpu-0", 0.9),
        view("gpu-1", "gpu-1", 0.1),
        view("gpu-2", "gpu-0", 0.3),
        view("gpu-1", "cpu", 0.7, "cpu-avx2"),
    )
    planned = platform.on("POST", ALLOCATION, ok(plan(*parts))).client.get_optimal_allocation(
        "nvidia-h100-80gb", "true"
    )
    assert platform.client.get_resource_utilization("nvidia-h100-80gb", planned) == pytest.approx(expected)


def test_what_is_not_measured_is_not_made_up(platform: FakePlatform) -> None:
    resources(platform, view("gpu-1", "gpu-0", -1.0))
    planned = platform.client.get_optimal_allocation("nvidia-h100-80gb", "true")
    with pytest.raises(Unavailable, match="not measured"):
        platform.client.get_resource_utilization("nvidia-h100-80gb", planned)
    with pytest.raises(NotFound, match="tpu-v5e"):
        platform.client.get_resource_utilization("tpu-v5e", planned)
