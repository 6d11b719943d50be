"""PUT and PATCH: bring an object to a draft, or merge into it, unless it changed meanwhile, ended or is going."""

from __future__ import annotations

from typing import Any

import pytest

from lepton_ai.types.merge import merge
from tests.unit.api.platform import JOBS, Platform

ENDPOINTS = JOBS.replace("jobs", "endpoints")
SERVE: dict[str, Any] = {"spec": {"command": ["serve"], "replicas": 2}}


def put(platform: Platform, name: str, draft: Any, kind: str = ENDPOINTS) -> Any:
    return platform.call("PUT", f"{kind}/{name}", json=draft)


def patch(platform: Platform, name: str, changes: Any, query: str = "", kind: str = ENDPOINTS) -> Any:
    return platform.call("PATCH", f"{kind}/{name}{query}", json=changes)


def test_a_put_creates_what_is_not_there(platform: Platform) -> None:
    made = put(platform, "digits", SERVE)
    assert (made.status_code, made.json()["metadata"]["name"]) == (201, "digits")


def test_a_put_that_changes_nothing_writes_nothing(platform: Platform) -> None:
    put(platform, "digits", SERVE)
    before, audit = platform.get(f"{ENDPOINTS}/digits").json(), len(platform.audit())
    again = put(platform, "digits", SERVE)
    assert (again.status_code, again.json()) == (200, before)
    assert len(platform.audit()) == audit


def test_a_put_replaces_spec_and_labels_and_leaves_a_trail(platform: Platform) -> None:
    put(platform, "digits", {**SERVE, "metadata": {"labels": {"a": "1"}}})
    changed = put(platform, "digits", {"spec": {"command": ["other"]}, "metadata": {"labels": {"b": "2"}}})
    assert changed.status_code == 200
    assert (changed.json()["spec"]["replicas"], changed.json()["metadata"]["labels"]) == (1, {"b": "2"})
    assert [event.code for event in platform.events("digits")] == ["submitted", "changed"]
    assert [record.operation for record in platform.audit()] == ["endpoint.update"] * 2


def test_a_put_after_the_old_one_ended_makes_a_new_one(platform: Platform) -> None:
    replica = platform.running_job("train")
    draft = {"spec": {"command": ["false"]}}
    assert put(platform, "train", draft, JOBS).status_code == 422
    platform.runtime.end(replica)
    platform.settle()
    again = put(platform, "train", draft, JOBS)
    assert (again.status_code, again.json()["spec"]["command"]) == (201, ["false"])
    assert len(platform.get(JOBS).json()["items"]) == 2


@pytest.mark.parametrize(("name", "status"), [("other", 422), ("digits", 201)])
def test_the_name_in_the_body_is_that_of_the_url(platform: Platform, name: str, status: int) -> None:
    assert put(platform, "digits", {**SERVE, "metadata": {"name": name}}).status_code == status


@pytest.mark.parametrize("name", ["A", "a_b", "%2e%2e", "x" * 64, "a%0a"])
def test_a_put_under_no_name_is_refused(shared: Platform, name: str) -> None:
    refused = put(shared, name, SERVE)
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, "path.name")


def test_puts_at_once_create_one_object(platform: Platform) -> None:
    answers = platform.together(*[("PUT", f"{ENDPOINTS}/digits", {"json": SERVE}) for _ in range(8)])
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]


def test_a_patch_merges(platform: Platform) -> None:
    put(platform, "digits", {**SERVE, "metadata": {"labels": {"a": "1", "b": "2"}}})
    changed = patch(platform, "digits", {"spec": {"replicas": 3}, "metadata": {"labels": {"a": None, "c": "3"}}})
    assert changed.status_code == 200
    assert (changed.json()["spec"]["replicas"], changed.json()["spec"]["command"]) == (3, ["serve"])
    assert changed.json()["metadata"]["labels"] == {"b": "2", "c": "3"}


def test_null_takes_a_field_back_to_its_default(platform: Platform) -> None:
    put(platform, "digits", SERVE)
    assert patch(platform, "digits", {"spec": {"replicas": None}}).json()["spec"]["replicas"] == 1
    cleared = patch(platform, "digits", {"metadata": {"labels": None}})
    assert (cleared.status_code, cleared.json()["metadata"]["labels"]) == (200, {})


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": None},
        {"spec": []},
        {"spec": "x"},
        {"spec": {"command": None}},
        {"spec": {"replicas": -1}},
        {"spec": {"replicas": {"a": 1}}},
        {"spec": {"frobnicate": 1}},
        {"metadata": None},
        {"metadata": []},
        {"metadata": "x"},
        {"metadata": {"labels": "x"}},
        {"metadata": {"labels": {"a": 1}}},
        {"metadata": {"labels": {"a": {"b": "c"}}}},
        {"metadata": {"name": "other"}},
        {"metadata": {"version": 9}},
        {"status": {"state": "ready"}},
        {"kind": "job"},
        [],
        "x",
        None,
    ],
)
def test_a_patch_that_makes_no_sense_changes_nothing(platform: Platform, changes: Any) -> None:
    put(platform, "digits", SERVE)
    before = platform.get(f"{ENDPOINTS}/digits").json()
    refused = patch(platform, "digits", changes)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert platform.get(f"{ENDPOINTS}/digits").json() == before


def test_a_patch_of_an_old_version_is_refused(platform: Platform) -> None:
    version = put(platform, "digits", SERVE).json()["metadata"]["version"]
    changes = {"spec": {"replicas": 5}}
    assert patch(platform, "digits", changes, f"?version={version}").status_code == 200
    late = patch(platform, "digits", {"spec": {"replicas": 6}}, f"?version={version}")
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert f"version {version + 1}, not {version}" in late.json()["detail"]


@pytest.mark.parametrize("version", ["-1", "x", str(2**63), "1.5"])
def test_a_version_is_a_number(shared: Platform, version: str) -> None:
    assert patch(shared, "digits", {}, f"?version={version}").status_code == 422


def test_patches_at_once_are_all_kept(platform: Platform) -> None:
    put(platform, "digits", SERVE)
    labels = [str(number) for number in range(4)]
    answers = platform.together(
        *[("PATCH", f"{ENDPOINTS}/digits", {"json": {"metadata": {"labels": {name: ""}}}}) for name in labels]
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sorted(platform.get(f"{ENDPOINTS}/digits").json()["metadata"]["labels"]) == labels


def test_what_has_ended_cannot_be_changed(platform: Platform) -> None:
    platform.runtime.end(platform.running_job("train"))
    platform.settle()
    refused = patch(platform, "train", {"metadata": {"labels": {"a": "1"}}}, kind=JOBS)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "succeeded" in refused.json()["detail"]


def test_what_is_being_deleted_cannot_be_changed(platform: Platform) -> None:
    put(platform, "digits", SERVE)
    platform.call("DELETE", f"{ENDPOINTS}/digits")
    answers = [
        put(platform, "digits", {"spec": {"command": ["x"]}}),
        patch(platform, "digits", {"spec": {"replicas": 9}}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "conflict")] * 2


def test_what_a_job_runs_cannot_be_changed(platform: Platform) -> None:
    platform.running_job("train")
    refused = patch(platform, "train", {"spec": {"priority": 90}}, kind=JOBS)
    assert (refused.status_code, refused.json()["hint"]) == (422, "Stop it and submit another.")


# RFC 7396, appendix A.
@pytest.mark.parametrize(
    ("target", "changes", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merging_is_that_of_rfc_7396(target: Any, changes: Any, result: Any) -> None:
    assert merge(target, changes) == result
