"""The paths of the API: no two of them answer the same request, and what is not one is a problem."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.unit.api.platform import JOB, JOBS, Platform
from tests.unit.api.surface import doors

RESERVED = "watch"  # stands where names stand; no object may be called so


def overlap(one: str, other: str) -> bool:
    """Tell whether some path matches both patterns."""
    parts = list(zip(one.split("/"), other.split("/"), strict=False))
    same_length = one.count("/") == other.count("/")
    return same_length and all(a == b or is_open(a, b) or is_open(b, a) for a, b in parts)


def is_open(pattern: str, part: str) -> bool:
    """Tell whether `pattern` is a parameter that takes `part`, which the reserved name never is."""
    return pattern.startswith("{") and part != RESERVED


def test_no_two_routes_answer_the_same_request(shared: Platform) -> None:
    found = [
        f"{one} and {other}"
        for one, other in combinations(doors(shared.app), 2)
        if one.method == other.method and overlap(one.path, other.path)
    ]
    assert found == []


def test_overlaps_are_seen() -> None:
    assert overlap("/projects/{name}/events", "/projects/{project}/events")
    assert not overlap("/projects/{name}", "/projects/{project}/events")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("projects/default/jobs", {"command": ["true"]}),
        ("projects/default/endpoints", {"command": ["true"]}),
        ("users", {}),
        ("projects", {}),
    ],
)
def test_the_word_that_stands_where_names_stand_is_no_name(
    platform: Platform, kind: str, spec: dict[str, list[str]]
) -> None:
    for answer in (
        platform.post(f"/api/v1/{kind}", {"metadata": {"name": RESERVED}, "spec": spec}),
        platform.call("PUT", f"/api/v1/{kind}/{RESERVED}", json={"spec": spec}),
    ):
        assert answer.status_code == 422
        assert "'watch'" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v1/status/", 404),
        ("GET", "/api/v1/projects/default/jobs/a/b/c", 404),
        ("PUT", "/api/v1/status", 405),
        ("DELETE", "/api/v1/audit", 405),
        ("BREW", "/api/v1/status", 405),
    ],
)
def test_what_is_not_there_is_a_problem(shared: Platform, method: str, path: str, status: int) -> None:
    answer = shared.call(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
    assert answer.json()["hint"]


def test_a_wrong_method_is_told_the_right_ones(shared: Platform) -> None:
    assert shared.call("PUT", "/api/v1/status").headers["allow"] == "GET"


@pytest.mark.parametrize("project", ["", "?", "DEFAULT", "..", "%2e%2e", "a%2Fb", "%00", "default%0a", "x" * 5000])
def test_no_project_is_reached_by_a_strange_name(shared: Platform, project: str) -> None:
    answer = shared.call("GET", f"/api/v1/projects/{project}/jobs")
    assert answer.status_code in {404, 405, 403}
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_job_may_be_called_like_a_part_of_the_api(platform: Platform) -> None:
    for name in ("blobs", "events", "logs", "jobs"):
        assert platform.post(JOBS, {**JOB, "metadata": {"name": name}}).status_code == 201
        assert platform.get(f"{JOBS}/{name}").json()["metadata"]["name"] == name
