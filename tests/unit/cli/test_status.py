"""`lepton status`: what it asks of the platform, and what it prints."""

from __future__ import annotations

from tests.unit.cli.program import printed, run
from tests.unit.sdk.fake_platform import URL, FakePlatform, ok, plain

STATUS = {
    "url": URL,
    "version": "9.9.9",
    "core": {"pid": 42, "started_at": "2026-01-02T03:04:05.000006Z", "state": "ready"},
    "data_plane": {"state": "ready", "detail": ""},
    "database": "sqlite",
    "services": ["endpoints", "jobs"],
    "counts": {"nodes": 1, "tasks_waiting": 2, "tasks_running": 3},
    "home": "/srv/lepton",
}


def test_json_has_what_scripts_rely_on(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/status", ok(STATUS))
    shown = printed(run(platform, "status", "--output", "json"))
    assert (shown["url"], shown["core"]["pid"], shown["version"]) == (URL, 42, "9.9.9")


def test_a_person_reads_it_in_lines(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/status", ok(STATUS))
    shown = run(platform, "status").stdout
    assert f"ready at {URL}" in shown
    assert "3 running, 2 waiting" in shown


def test_a_platform_that_does_not_answer_exits_with_1(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/status", plain(503))
    result = run(platform, "status")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Hint: " in result.stderr
