"""`lepton project`: bounds are said in one word each, and shown beside what is used."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.program import printed, rows, run
from tests.unit.sdk.fake_platform import FakePlatform, ok, page

LAB = {
    "kind": "project",
    "metadata": {"id": "x", "name": "lab"},
    "spec": {"description": "Robots"},
    "status": {
        "state": "soft",
        "reason": {"code": "budget_soft", "sentence": "Project lab has used up 5 device-hours."},
    },
}
USAGE: dict[str, Any] = {
    "project": "lab",
    "held": {"cpu": 6, "memory": 4 * 10**9, "accelerators": {"*": 4, "nvidia-h100-80gb": 4}},
    "quota": {"accelerators": {"*": 8}},
    "limit": {"cpu": 12, "accelerators": {"*": 16}},
    "spent": {"device_seconds": 18000, "money": 2.5},
    "budget": {"device_hours": {"soft": 4, "hard": 10}},
    "state": "soft",
    "waiting": 3,
    "warning": "projects are promised 9 of 8 gpu: not all can have it at once",
}
BELOW = {"project": "arm", "parent": "lab"}


def test_bounds_are_sent_as_they_are_said(platform: FakePlatform) -> None:
    platform.on("POST", "/api/v1/projects", ok(LAB, 201))
    options = ("--quota", "gpu=8,h100=4,cpu=64,memory=256GB", "--budget", "device-hours=500,money=1000", "--no-borrow")
    run(platform, "project", "create", "lab", "--parent", "org", "--weight", "2", *options)
    assert platform.bodies("POST", "/api/v1/projects")[0]["spec"] == {
        "description": "",
        "parent": "org",
        "weight": 2.0,
        "borrow": False,
        "quota": {"accelerators": {"*": 8.0, "h100": 4.0}, "cpu": 64.0, "memory": "256GB"},
        "budget": {"device_hours": {"hard": 500.0}, "money": {"hard": 1000.0}},
    }


def test_only_what_is_named_changes_and_none_takes_a_bound_away(platform: FakePlatform) -> None:
    platform.on("PATCH", "/api/v1/projects/lab", ok(LAB)).on("GET", "/api/v1/usage", page(USAGE))
    result = run(
        platform, "project", "set", "lab", "--limit", "gpu=none", "--soft-budget", "money=5", "--budget", "none"
    )
    assert platform.bodies("PATCH", "/api/v1/projects/lab")[0]["spec"] == {
        "limit": {"accelerators": {"*": None}},
        "budget": {"device_hours": {"hard": None}, "money": {"hard": None, "soft": 5.0}},
    }
    assert "Warning: projects are promised 9 of 8 gpu" in result.stderr


def test_nothing_to_change_is_a_wrong_usage(platform: FakePlatform) -> None:
    assert run(platform, "project", "set", "lab").exit_code == 2


def test_an_amount_that_is_no_number_is_a_wrong_usage(platform: FakePlatform) -> None:
    assert run(platform, "project", "set", "lab", "--quota", "gpu=many").exit_code == 2
    assert run(platform, "project", "set", "lab", "--budget", "beer=5").exit_code == 2


def test_projects_are_listed_as_a_tree_with_what_they_use(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/usage", page(BELOW, USAGE))
    listed = rows(run(platform, "project", "list", COLUMNS="160"))
    assert listed[1] == [
        "lab",
        "(soft)",
        "████░░░░",
        "6/12",
        "4.0",
        "GB",
        "████░░░░",
        "4/8",
        "████░░░░",
        "5.00/10",
        "2.50",
        "3",
    ]
    assert listed[2] == ["arm", "-", "-", "-", "-", "-", "0"]
    assert printed(run(platform, "project", "list", "-o", "json"))[1]["project"] == "lab"


def test_one_project_is_shown_with_bars(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/projects/lab", ok(LAB)).on("GET", "/api/v1/usage", page(USAGE))
    shown = run(platform, "project", "show", "lab").stdout
    assert "Budget:      Project lab has used up 5 device-hours." in shown
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line}
    assert lines["gpu"] == ["█████░░░░░", "4", "8", "16"]
    assert lines["cpu"] == ["█████░░░░░", "6", "-", "12"]
    assert lines["device-hours"] == ["████░░░░", "5.00/10", "4", "10"]


def test_a_node_is_given_a_price(platform: FakePlatform) -> None:
    node = {"kind": "node", "metadata": {"id": "n", "name": "big"}, "spec": {}, "status": {}}
    platform.on("PATCH", "/api/v1/nodes/big", ok(node))
    assert run(platform, "node", "price", "big", "2.50").stdout.startswith("An hour of node big costs 2.5,")
    assert platform.bodies("PATCH", "/api/v1/nodes/big") == [{"metadata": {"labels": {"price": "2.5"}}}]
