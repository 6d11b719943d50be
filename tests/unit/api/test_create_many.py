"""Many objects in one request: all of them or none, once, with one audit record."""

from __future__ import annotations

from typing import Any

import pytest

from lepton_ai.api.batch import BATCH_MAX
from lepton_ai.types.identity import Role
from tests.unit.api.platform import JOB, JOBS, Platform

BATCH = f"{JOBS}:batch"


def named(*names: str) -> dict[str, Any]:
    return {"items": [{"metadata": {"name": name}, "spec": {"command": ["true"]}} for name in names]}


def names(platform: Platform) -> list[str]:
    return sorted(item["metadata"]["name"] for item in platform.get(JOBS, params={"limit": 1000}).json()["items"])


def test_all_are_returned_as_they_are_stored_in_the_order_asked_for(platform: Platform) -> None:
    made = platform.post(BATCH, named("b", "a"))
    assert made.status_code == 201
    assert made.json() == {"items": [platform.get(f"{JOBS}/{name}").json() for name in ("b", "a")], "next": ""}


def test_all_run(platform: Platform) -> None:
    platform.post(BATCH, {"items": [JOB] * 3})
    platform.settle()
    assert [item["status"]["attempt"] for item in platform.get(JOBS).json()["items"]] == [1, 1, 1]


def test_each_has_its_event_and_the_request_one_audit_record(platform: Platform) -> None:
    token = platform.user("ada", {"default": Role.MEMBER})
    platform.post(BATCH, named("a", "b", "c"), token=token)
    assert [event.code for name in "abc" for event in platform.events(name)] == ["submitted"] * 3
    (record,) = platform.audit()
    assert (record.operation, record.actor, record.object_name) == ("job.create", "ada", "a")
    assert record.detail == "and 2 more"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"spec": {"command": ["true"], "secrets": {"A": "absent"}}}, "Item 1 of 2: Project 'default' has no secret"),
        ({"kind": "endpoint", "spec": {"command": ["true"]}}, "Item 1 of 2: The body is of kind 'endpoint'"),
        ({"metadata": {"name": "taken"}, "spec": {"command": ["true"]}}, "'taken' already exists"),
    ],
)
def test_one_that_is_refused_refuses_all(platform: Platform, wrong: dict[str, Any], said: str) -> None:
    platform.post(JOBS, {"metadata": {"name": "taken"}, **JOB})
    refused = platform.post(BATCH, {"items": [*named("good")["items"], wrong]})
    assert refused.status_code in {409, 422}
    assert said in refused.json()["detail"]
    assert names(platform) == ["taken"]


def test_what_is_no_draft_is_told_with_its_place(platform: Platform) -> None:
    refused = platform.post(BATCH, {"items": [JOB, {"spec": {"command": 7}}]})
    assert refused.status_code == 422
    assert [error["loc"] for error in refused.json()["errors"]] == ["items.1.spec.command"]


@pytest.mark.parametrize("count", [0, BATCH_MAX + 1])
def test_a_batch_holds_one_object_at_least_and_a_thousand_at_most(platform: Platform, count: int) -> None:
    assert platform.post(BATCH, {"items": [JOB] * count}).status_code == 422


def test_a_batch_of_the_largest_size_is_made(platform: Platform) -> None:
    assert len(platform.post(BATCH, {"items": [JOB] * BATCH_MAX}).json()["items"]) == BATCH_MAX


def test_the_same_key_makes_them_once(platform: Platform) -> None:
    key = {"idempotency-key": "k" * 128}
    first = platform.post(BATCH, named("a", "b"), headers=key)
    again = platform.post(BATCH, named("a", "b"), headers=key)
    assert [first.status_code, again.status_code] == [201, 200]
    assert first.json() == again.json()
    assert (names(platform), len(platform.audit())) == (["a", "b"], 1)


def test_several_at_once_with_one_key_make_them_once(platform: Platform) -> None:
    request = {"json": {"items": [JOB] * 5}, "headers": {"idempotency-key": "k"}}
    answers = platform.together(*[("POST", BATCH, dict(request)) for _ in range(6)])
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert len(names(platform)) == 5


def test_a_viewer_may_not(platform: Platform) -> None:
    token = platform.user("bob", {"default": Role.VIEWER})
    assert platform.post(BATCH, named("a"), token=token).status_code == 403
