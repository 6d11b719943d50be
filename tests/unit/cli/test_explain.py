"""`lepton explain`: what it asks of the platform, and what it prints."""

from __future__ import annotations

from tests.unit.cli.program import JOBS, printed, run
from tests.unit.sdk.fake_platform import FakePlatform, job, ok

EXPLANATION = {
    "task_id": "task-1",
    "name": "train",
    "standing": "waiting",
    "reason": {"code": "no_room", "sentence": "needs 2 GPUs; 1 is free"},
    "rank": 2,
    "queue_length": 5,
    "expected_start": "2026-01-02T03:04:05Z",
    "candidates": [
        {
            "resource_class": "nvidia-h100-80gb", "expected_seconds": 14.0, "expected_seconds_p80": 20.0,
            "source": "measured", "share": 0.5, "cost": 7.0, "nodes": 3, "nodes_with_room": 1, "has_room": False,
            "lacks": [{"lack": "memory", "nodes": 2}],
            "best_nodes": [{"node": "vm", "replicas": 1, "sentence": "has room for 1 of 2"}],
        }
    ],
    "terms": {"weight": 1.25},
}  # fmt: skip


def test_the_reason_the_place_in_the_queue_and_each_class_are_told(platform: FakePlatform) -> None:
    platform.on("GET", f"{JOBS}/train", ok(job())).on("GET", f"{JOBS}/job-1/explain", ok(EXPLANATION))
    shown = " ".join(run(platform, "explain", "train").stdout.split())
    assert "needs 2 GPUs; 1 is free" in shown
    assert "2 of 5" in shown
    assert "nvidia-h100-80gb 14.0s 20.0s measured 7 1/3 2 without free memory" in shown
    assert "Node vm: has room for 1 of 2" in shown
    assert "weight 1.25" in shown


def test_json_is_the_explanation_of_the_api(platform: FakePlatform) -> None:
    platform.on("GET", f"{JOBS}/train", ok(job())).on("GET", f"{JOBS}/job-1/explain", ok(EXPLANATION))
    assert printed(run(platform, "explain", "train", "-o", "json"))["terms"] == {"weight": 1.25}


def test_nodes_that_are_ruled_out_are_counted_by_why(platform: FakePlatform) -> None:
    lacks = {"size": 1, "device": 3, "cordoned": 2, "cost": 4}
    excluded = [{"lack": lack, "nodes": nodes} for lack, nodes in lacks.items()]
    platform.on("GET", f"{JOBS}/train", ok(job()))
    platform.on("GET", f"{JOBS}/job-1/explain", ok(EXPLANATION | {"excluded": excluded}))
    shown = " ".join(run(platform, "explain", "train").stdout.split())
    assert "Ruled out: 1 node too small, 3 nodes without the device, 2 nodes cordoned, 4 nodes too dear" in shown
