"""GET: by name, by id, and page by page."""

from __future__ import annotations

import pytest

from lepton_ai.kernel.store.store import LIST_MAX
from tests.unit.api.platform import JOB, JOBS, Platform


def test_an_object_is_found_by_name_and_by_id(platform: Platform) -> None:
    made = platform.post(JOBS, {**JOB, "metadata": {"name": "train"}}).json()
    assert platform.get(f"{JOBS}/train").json() == platform.get(f"{JOBS}/{made['metadata']['id']}").json() == made


def test_of_several_with_one_name_the_live_one_is_found(platform: Platform) -> None:
    platform.runtime.end(platform.running_job("train"))
    platform.settle()
    assert platform.get(f"{JOBS}/train").json()["status"]["state"] == "succeeded"
    platform.post(JOBS, {**JOB, "metadata": {"name": "train"}})
    assert platform.get(f"{JOBS}/train").json()["status"]["state"] == "queued"


@pytest.mark.parametrize(
    "name", ["absent", "UPPER", "%00", "a%0a", "%2e%2e", "%2E%2E%2Fx", "x" * 3000, "%ff", "%F0%9F%98%80"]
)
def test_what_is_not_there_is_not_found(shared: Platform, name: str) -> None:
    for path in (f"{JOBS}/{name}", f"{JOBS}/{name}/explain", f"{JOBS}/{name}/result", f"/api/v1/nodes/{name}/events"):
        answer = shared.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_pages_come_newest_first_and_hold_everything_once(platform: Platform) -> None:
    made = [platform.post(JOBS, JOB).json()["metadata"]["id"] for _ in range(5)]
    found, cursor, pages = [], "", 0
    while pages == 0 or cursor:
        page = platform.get(f"{JOBS}?limit=2&before={cursor}").json()
        found += [item["metadata"]["id"] for item in page["items"]]
        cursor, pages = page["next"], pages + 1
    assert found == made[::-1]
    assert pages == 3


def test_what_comes_meanwhile_does_not_shift_a_page(platform: Platform) -> None:
    made = [platform.post(JOBS, JOB).json()["metadata"]["id"] for _ in range(3)]
    first = platform.get(f"{JOBS}?limit=2").json()
    platform.post(JOBS, JOB)
    rest = platform.get(f"{JOBS}?limit=2&before={first['next']}").json()["items"]
    assert [item["metadata"]["id"] for item in rest] == made[:1]


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", str(2**70)])
def test_a_page_has_a_size(shared: Platform, limit: str) -> None:
    refused = shared.get(f"{JOBS}?limit={limit}")
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, "query.limit")


@pytest.mark.parametrize("before", ["%00", "%ff", "'", "x" * 65, "A"])
def test_a_cursor_is_one_of_ours(shared: Platform, before: str) -> None:
    assert shared.get(f"{JOBS}?before={before}").status_code == 422


def test_nothing_of_another_project_is_listed(platform: Platform) -> None:
    platform.project("other")
    platform.post(JOBS, JOB)
    for kind in ("jobs", "tasks", "endpoints", "secrets", "events", "queue"):
        assert platform.get(f"/api/v1/projects/other/{kind}").json()["items"] == []


def test_more_live_objects_than_one_page_are_all_counted(platform: Platform) -> None:
    platform.running_job("sweep", array=LIST_MAX + 50)
    counts = platform.get("/api/v1/status").json()["counts"]
    assert counts == {"nodes": 1, "tasks_waiting": LIST_MAX + 50 - 8, "tasks_running": 8}
    assert len(platform.get("/api/v1/projects/default/queue").json()["items"]) == LIST_MAX + 50 - 8
