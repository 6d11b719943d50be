"""`lepton resources`: what it asks of the platform, and what it prints."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.program import printed, run
from tests.unit.sdk.fake_platform import FakePlatform, page

PATH = "/api/v1/resources"


def resource(**changes: object) -> dict[str, Any]:
    return {
        "number": 1, "name": "cpu", "node": "vm", "kind": "cpu", "resource_class": "cpu-avx2", "model": "Some CPU",
        "utilisation": 0.9, "memory_used_bytes": 10**9, "memory_bytes": 8 * 10**9, "allocation": 3, "allocated": 0.5,
        "tasks": ["train"], **changes,
    }  # fmt: skip


def test_each_resource_has_the_line_that_the_seed_prints(platform: FakePlatform) -> None:
    platform.on("GET", PATH, page(resource(), resource(number=2, utilisation=0.0, allocation=0)))
    lines = run(platform, "resources").stdout.splitlines()
    assert lines[-2:] == [
        "Resource 1: Utilization: 90%, Allocation: 3",
        "Resource 2: Utilization: 0%, Allocation: 0",
    ]


def test_the_table_draws_bars_within_80_columns(platform: FakePlatform) -> None:
    platform.on("GET", PATH, page(resource(tasks=["a" * 63] * 20)))
    shown = run(platform, "resources").stdout
    assert "███████░  90%" in shown
    assert "████░░░░  50%" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_what_is_not_measured_is_not_guessed(platform: FakePlatform) -> None:
    platform.on("GET", PATH, page(resource(utilisation=-1, memory_used_bytes=-1)))
    shown = run(platform, "resources").stdout
    assert "Utilization: -, Allocation: 3" in shown
    assert "? / 8.0 GB" in shown


def test_json_is_the_resources_of_the_api(platform: FakePlatform) -> None:
    platform.on("GET", PATH, page(resource()))
    assert printed(run(platform, "resources", "-o", "json")) == [resource()]
