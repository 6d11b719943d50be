"""POST: objects are made once, under names that are safe everywhere, and what is wrong is told with its place."""

from __future__ import annotations

from typing import Any

import pytest

from lepton_ai.types.event import Outcome
from lepton_ai.types.identity import Role
from tests.unit.api.platform import JOB, JOBS, Platform

ENDPOINTS = JOBS.replace("jobs", "endpoints")


def named(name: object, **spec: Any) -> dict[str, Any]:
    """Return a draft of a job."""
    return {"metadata": {"name": name}, "spec": {"command": ["true"], **spec}}


def test_a_new_object_is_returned_as_it_is_stored(platform: Platform) -> None:
    made = platform.post(JOBS, {"kind": "job", **named("train", priority=70)})
    assert made.status_code == 201
    assert made.json() == platform.get(f"{JOBS}/train").json()
    metadata, status = made.json()["metadata"], made.json()["status"]
    assert (metadata["version"], metadata["created_by"], metadata["project"]) == (1, "admin", "default")
    assert (status["state"], status["submitted_at"]) == ("queued", status["submitted_at"])
    assert status["submitted_at"].startswith("2026-01-02T03:04:05.")


def test_a_creation_leaves_one_event_and_one_audit_record(platform: Platform) -> None:
    token = platform.user("ada", {"default": Role.MEMBER})
    platform.post(JOBS, named("train"), token=token)
    (event,) = platform.events("train")
    (record,) = platform.audit()
    assert (event.code, event.actor) == ("submitted", "ada")
    assert (record.operation, record.outcome, record.actor) == ("job.create", Outcome.ALLOWED, "ada")
    assert (record.object_kind, record.object_name, record.project) == ("job", "train", "default")


def test_the_same_key_makes_one_object(platform: Platform) -> None:
    key = {"idempotency-key": "k1"}
    first = platform.post(JOBS, named("train"), headers=key)
    again = platform.post(JOBS, named("train"), headers=key)
    other = platform.post(JOBS, named("other"), headers=key)
    assert [first.status_code, again.status_code, other.status_code] == [201, 200, 200]
    assert first.json() == again.json() == other.json()
    assert len(platform.audit()) == 1


def test_a_key_counts_in_its_own_project_and_kind(platform: Platform) -> None:
    platform.project("other")
    key = {"idempotency-key": "k1"}
    spec = {"spec": {"command": ["true"]}}
    paths = (JOBS, JOBS.replace("default", "other"), ENDPOINTS)
    assert [platform.post(path, spec, headers=key).status_code for path in paths] == [201, 201, 201]


def test_a_key_is_free_again_once_its_object_is_gone(platform: Platform) -> None:
    key = {"idempotency-key": "k1"}
    platform.post(JOBS, named("train"), headers=key)
    platform.call("DELETE", f"{JOBS}/train")
    platform.settle()
    assert platform.post(JOBS, named("train"), headers=key).status_code == 201


def test_a_key_has_a_maximal_length(platform: Platform) -> None:
    assert platform.post(JOBS, JOB, headers={"idempotency-key": "k" * 128}).status_code == 201
    assert platform.post(JOBS, JOB, headers={"idempotency-key": "k" * 129}).status_code == 422


def test_a_name_is_taken_while_its_object_lives(platform: Platform) -> None:
    replica = platform.running_job("train")
    taken = platform.post(JOBS, named("train"))
    assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
    assert "'train' already exists" in taken.json()["detail"]
    platform.runtime.end(replica)
    platform.settle()
    assert platform.post(JOBS, named("train")).status_code == 201


def test_a_name_is_made_from_the_program(platform: Platform) -> None:
    made = platform.post(JOBS, {"spec": {"command": ["python", "-u", "src/Train_Net.py"]}}).json()
    assert made["metadata"]["name"].startswith("train-net-")


@pytest.mark.parametrize(
    "name",
    ["", "A", "a_b", "-a", "a-", "../x", "%2e%2e", "..", "a/b", "a.b", "a b", "a\n", "\u0430bc", "x" * 64, 7, ["a"]],
)
def test_a_name_is_fit_for_urls_files_and_dns(shared: Platform, name: object) -> None:
    refused = shared.post(JOBS, named(name))
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert refused.json()["errors"][0]["loc"] == "metadata.name"


def test_the_longest_name_has_63_characters(platform: Platform) -> None:
    assert platform.post(JOBS, named("x" * 63)).status_code == 201


@pytest.mark.parametrize(
    ("draft", "place"),
    [
        ({"spec": {"command": ["true"], "gpus": 1}}, "spec.gpus"),
        ({"spec": {"command": ["true"], "resources": {"cpus": 1}}}, "spec.resources.cpus"),
        ({"spec": {"command": ["true"]}, "status": {}}, "status"),
        ({"spec": {"command": ["true"]}, "metadata": {"id": "job-1"}}, "metadata.id"),
        ({"spec": {"command": ["true"]}, "metadata": {"owner_id": "job-1"}}, "metadata.owner_id"),
        ({"spec": {"command": ["true"], "replicas": 0}}, "spec.replicas"),
        ({"spec": {"command": ["true"], "env": {"A=B": "1"}}}, "spec.env.A=B.[key]"),
        ({"spec": {"command": "true"}}, "spec.command"),
        ({"spec": {"command": ["true"], "timeout": "soon"}}, "spec.timeout"),
        ({"spec": {}}, "spec"),
        ({}, "spec"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(shared: Platform, draft: object, place: str) -> None:
    refused = shared.post(JOBS, draft)
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    assert [error["loc"] for error in refused.json()["errors"]] == [place]
    assert place in refused.json()["detail"]


def test_every_wrong_field_is_named(shared: Platform) -> None:
    refused = shared.post(JOBS, {"spec": {"command": ["true"], "a": 1, "b": 2}})
    assert [error["loc"] for error in refused.json()["errors"]] == ["spec.a", "spec.b"]
    assert refused.json()["detail"].endswith("(1 more)")


def test_a_body_of_another_kind_is_refused(shared: Platform) -> None:
    refused = shared.post(JOBS, {"kind": "endpoint", **JOB})
    assert refused.status_code == 422
    assert "'endpoint'" in refused.json()["detail"]


def test_nothing_is_made_in_a_missing_project(shared: Platform) -> None:
    for kind, spec in (("jobs", {"command": ["true"]}), ("secrets", {"value": "x"})):
        draft = {"metadata": {"name": "x"}, "spec": spec}
        refused = shared.post(f"/api/v1/projects/nowhere/{kind}", draft)
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "labels",
    [
        {str(number): "" for number in range(65)},
        {"a": "x" * 257},
        {"x" * 129: ""},
        {"": ""},
        {"a": 1},
        {"a": None},
        ["a"],
    ],
)
def test_labels_are_bounded(platform: Platform, labels: object) -> None:
    good = {str(number): "x" * 256 for number in range(64)}
    assert platform.post(JOBS, {**JOB, "metadata": {"name": "good", "labels": good}}).status_code == 201
    assert platform.post(JOBS, {**JOB, "metadata": {"labels": labels}}).status_code == 422
    assert platform.call("PATCH", f"{JOBS}/good", json={"metadata": {"labels": labels}}).status_code in {200, 422}
    kept = platform.get(f"{JOBS}/good").json()["metadata"]["labels"]
    assert kept.items() <= good.items()


@pytest.mark.parametrize("spec", [{"secrets": {"A": "nothing"}}, {"bundle": "sha256:" + "0" * 64}, {"after": ["no"]}])
def test_what_a_job_names_must_be_there(shared: Platform, spec: dict[str, Any]) -> None:
    refused = shared.post(JOBS, named("x", **spec))
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert refused.json()["hint"]


def test_two_at_once_with_one_key_get_the_same_object(platform: Platform) -> None:
    both = platform.together(
        *[("POST", JOBS, {"json": named("train"), "headers": {"idempotency-key": "k"}}) for _ in range(8)]
    )
    assert sorted(answer.status_code for answer in both) == [200] * 7 + [201]
    assert len({answer.json()["metadata"]["id"] for answer in both}) == 1


def test_of_two_at_once_with_one_name_one_is_refused(platform: Platform) -> None:
    both = platform.together(*[("POST", JOBS, {"json": named("train")}) for _ in range(8)])
    assert sorted(answer.status_code for answer in both) == [201] + [409] * 7
    assert len(platform.audit()) == 1
