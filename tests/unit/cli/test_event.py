"""`lepton event`: what it asks of the platform, and what it prints."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.cli.program import printed, run
from tests.unit.sdk.fake_platform import FakePlatform, Reply, event, page, stream

EVENTS = "/api/v1/projects/default/events"


def happened(seq: int, sentence: str) -> dict[str, Any]:
    return {
        "seq": seq, "at": "2026-01-02T03:04:05Z", "project": "default", "kind": "job", "object_id": "job-1",
        "object_name": "train", "code": "started", "sentence": sentence, "actor": "system",
    }  # fmt: skip


def interrupt(_: object) -> Any:
    raise KeyboardInterrupt


def test_the_newest_are_asked_for_and_shown_oldest_first(platform: FakePlatform) -> None:
    platform.on("GET", EVENTS, page(happened(2, "Second."), happened(1, "First.")))
    result = run(platform, "event", "list", "--limit", "2")
    assert result.stdout.index("First.") < result.stdout.index("Second.")
    asked = platform.requests[0].url.params
    assert (asked["limit"], asked["newest"]) == ("2", "true")
    assert [each["seq"] for each in printed(run(platform, "event", "list", "-o", "json"))] == [1, 2]


def test_following_goes_on_after_the_newest_until_ctrl_c(platform: FakePlatform) -> None:
    replies: list[Reply] = [page(happened(1, "First.")), stream(event("event", happened(2, "Second."), "2")), interrupt]
    platform.on("GET", EVENTS, *replies)
    result = run(platform, "event", "list", "--follow", "-o", "json")
    assert [json.loads(line)["sentence"] for line in result.stdout.splitlines()] == ["First.", "Second."]
    assert platform.requests[1].url.params["after"] == "1"
    assert result.exit_code == 130


def test_following_prints_a_line_for_each(platform: FakePlatform) -> None:
    platform.on("GET", EVENTS, page(happened(1, "First.")), interrupt)
    assert run(platform, "event", "list", "-f").stdout.endswith("job/train  First.\n")
