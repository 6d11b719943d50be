"""`lepton queue`: what it asks of the platform, and what it prints."""

from __future__ import annotations

from tests.unit.cli.program import printed, run
from tests.unit.sdk.fake_platform import FakePlatform, page

PATH = "/api/v1/projects/default/queue"
ENTRY = {
    "rank": 1, "task": "task-1", "owner_kind": "job", "owner_name": "train", "weight": 1.5, "refusal": "no_room",
    "sentence": "needs 2 GPUs; 1 is free", "expected_start": None,
}  # fmt: skip


def test_each_entry_says_why_it_waits(platform: FakePlatform) -> None:
    platform.on("GET", PATH, page(ENTRY))
    shown = " ".join(run(platform, "queue").stdout.split())
    assert "1 job/train 1.5 - needs 2 GPUs; 1 is free" in shown
    assert printed(run(platform, "queue", "-o", "json")) == [ENTRY]


def test_an_empty_queue_says_so(platform: FakePlatform) -> None:
    platform.on("GET", PATH, page())
    assert run(platform, "queue").stderr == "Nothing waits.\n"
