"""Projects below others: who may make, change and delete them, and what they may promise."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from lepton_ai.types.event import Outcome
from lepton_ai.types.identity import Role
from tests.unit.api.platform import JOB, Platform

PROJECTS = "/api/v1/projects"


@pytest.fixture
def ada(platform: Platform) -> str:
    """A token of an administrator of `lab`, which is promised 8 CPUs and stands beside `foreign`."""
    platform.post(PROJECTS, {"metadata": {"name": "lab"}, "spec": {"quota": {"cpu": 8}}})
    platform.post(PROJECTS, {"metadata": {"name": "foreign"}})
    return platform.user("ada", {"lab": Role.ADMIN})


def make(platform: Platform, token: str, name: str, **spec: Any) -> httpx.Response:
    return platform.post(PROJECTS, {"metadata": {"name": name}, "spec": spec}, token=token)


def change(platform: Platform, token: str, name: str, **spec: Any) -> httpx.Response:
    return platform.call("PATCH", f"{PROJECTS}/{name}", token, json={"spec": spec})


def test_an_administrator_of_a_project_makes_others_below_it_and_administers_them(platform: Platform, ada: str) -> None:
    assert make(platform, ada, "vision", parent="lab", quota={"cpu": 4}, weight=2).status_code == 201
    assert platform.roles_of("ada") == {"lab": Role.ADMIN, "vision": Role.ADMIN}
    assert platform.post(f"{PROJECTS}/vision/jobs", JOB, token=ada).status_code == 201
    assert change(platform, ada, "vision", limit={"cpu": 6}).status_code == 200


def test_those_further_below_are_theirs_as_well_and_go_again(platform: Platform, ada: str) -> None:
    make(platform, ada, "vision", parent="lab", quota={"cpu": 4})
    assert make(platform, ada, "ocr", parent="vision", quota={"cpu": 2}).status_code == 201
    assert platform.call("DELETE", f"{PROJECTS}/ocr", ada).is_success
    assert platform.roles_of("ada") == {"lab": Role.ADMIN, "vision": Role.ADMIN}


def test_quotas_stay_within_that_of_the_parent(platform: Platform, ada: str) -> None:
    make(platform, ada, "vision", parent="lab", quota={"cpu": 4})
    refused = make(platform, ada, "speech", parent="lab", quota={"cpu": 5})
    assert refused.status_code == 422
    assert refused.json()["detail"] == (
        "The projects below 'lab' are promised 9 cpu together, 'lab' itself only 8 cpu."
    )
    assert change(platform, ada, "vision", quota={"cpu": 9}).status_code == 422


def test_nothing_is_promised_of_which_the_parent_is_promised_nothing(platform: Platform, ada: str) -> None:
    refused = make(platform, ada, "vision", parent="lab", quota={"accelerators": {"h100": 4}})
    assert refused.status_code == 422
    assert refused.json()["detail"] == (
        "Project 'vision' would be promised 4 of 'h100', of which 'lab' is promised none: it has a quota of cpu."
    )


@pytest.mark.parametrize("parent", ["", "foreign", "nowhere"])
def test_a_project_goes_nowhere_else_whether_that_exists_or_not(platform: Platform, ada: str, parent: str) -> None:
    refused = make(platform, ada, "vision", parent=parent)
    assert refused.status_code == 403
    assert "--parent with one of lab" in refused.json()["hint"]
    make(platform, ada, "ocr", parent="lab")
    assert change(platform, ada, "ocr", parent=parent).status_code == 403


def test_a_project_cannot_be_taken_from_elsewhere_nor_found_out(platform: Platform, ada: str) -> None:
    foreign, missing = (change(platform, ada, name, parent="lab") for name in ("foreign", "missing"))
    assert foreign.status_code == missing.status_code == 404
    assert foreign.text.replace("foreign", "X") == missing.text.replace("missing", "X")


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_it_takes_the_role_of_an_administrator(platform: Platform, ada: str, role: Role) -> None:
    assert make(platform, platform.user("bob", {"lab": role}), "vision", parent="lab").status_code == 403


def test_a_role_elsewhere_is_none_here(platform: Platform, ada: str) -> None:
    make(platform, ada, "vision", parent="lab")
    bob = platform.user("bob", {"foreign": Role.ADMIN, "vision": Role.MEMBER})
    assert change(platform, bob, "vision", weight=2).status_code == 403
    assert platform.audit()[-1].outcome is Outcome.DENIED


def test_who_runs_the_platform_promises_what_they_like(platform: Platform, ada: str) -> None:
    refused = make(platform, platform.admin, "vision", parent="lab", quota={"accelerators": {"h100": 4}})
    assert refused.status_code == 201
    assert "admin" not in str(platform.roles_of("ada").get("vision"))
