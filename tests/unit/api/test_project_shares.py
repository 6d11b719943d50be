"""Quotas, limits and budgets of projects: who may set them, what is refused, and what is shown of them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from lepton_ai.api.project_shares import hold_those_above
from lepton_ai.errors import Conflict
from lepton_ai.types.event import Outcome
from lepton_ai.types.identity import Project, ProjectSpec, Role
from tests.unit.api.platform import Platform

PROJECTS, USAGE = "/api/v1/projects", "/api/v1/usage"


def make(platform: Platform, name: str, **spec: Any) -> httpx.Response:
    return platform.post(PROJECTS, {"metadata": {"name": name}, "spec": spec})


def change(platform: Platform, name: str, **spec: Any) -> httpx.Response:
    return platform.call("PATCH", f"{PROJECTS}/{name}", json={"spec": spec})


def gpus(count: float) -> dict[str, Any]:
    return {"accelerators": {"*": count}}


def test_shares_are_stored_and_shown(platform: Platform) -> None:
    assert make(platform, "lab", quota={"cpu": 8, "memory": "64GB"}, weight=2).status_code == 201
    assert change(platform, "lab", limit={"cpu": 16}, borrow=False).status_code == 200
    shown = next(one for one in platform.get(USAGE).json()["items"] if one["project"] == "lab")
    assert shown["quota"] == {"cpu": 8.0, "memory": 64 * 10**9, "accelerators": {}}
    assert (shown["limit"]["cpu"], shown["weight"], shown["borrow"]) == (16.0, 2.0, False)


def test_a_bound_is_taken_away_by_null(platform: Platform) -> None:
    make(platform, "lab", quota={"cpu": 8})
    assert change(platform, "lab", quota={"cpu": None}).json()["spec"]["quota"]["cpu"] is None


def test_nobody_raises_the_bounds_of_the_project_that_they_administer(platform: Platform) -> None:
    make(platform, "lab")
    token = platform.user("ada", {"lab": Role.ADMIN})
    refused = platform.call("PATCH", f"{PROJECTS}/lab", token, json={"spec": {"quota": {"cpu": 8}}})
    assert (refused.status_code, refused.json()["detail"]) == (
        403, "'ada' may not change project 'lab': it takes the role 'admin' in a project above it.",
    )  # fmt: skip
    assert platform.audit()[-1].outcome is Outcome.DENIED
    assert platform.call("DELETE", f"{PROJECTS}/lab", token).status_code == 403


def test_each_sees_only_the_projects_in_which_they_have_a_role(platform: Platform) -> None:
    make(platform, "lab")
    shown = platform.get(USAGE, token=platform.user("ada", {"lab": Role.VIEWER})).json()["items"]
    assert [one["project"] for one in shown] == ["lab"]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"parent": "nowhere"}, "There is no project 'nowhere' to be below."),
        ({"parent": "lab"}, "Project 'lab' would be below itself: lab -> lab."),
        ({"parent": "vision"}, "Project 'lab' would be below itself: lab -> vision -> lab."),
        ({"quota": {"cpu": -1}}, "quota.cpu"),
        ({"weight": 0}, "weight"),
        ({"budget": {"money": {"hard": "inf"}}}, "budget.money.hard: Input should be a finite number"),
        ({"quota": {"cpu": 9}, "limit": {"cpu": 8}}, "The quota of 9 cpu is beyond the limit of 8 cpu."),
        ({"quota": gpus(3)}, "The projects below 'lab' are promised 4 gpu together, 'lab' itself only 3 gpu."),
        (
            {"budget": {"money": {"soft": 2, "hard": 1}}},
            "The soft bound of 2 money is beyond the hard one of 1.",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(platform: Platform, spec: dict[str, Any], text: str) -> None:
    make(platform, "lab")
    make(platform, "vision", parent="lab", quota=gpus(4))
    refused = change(platform, "lab", **spec)
    assert refused.status_code == 422
    assert text in refused.text


def test_a_part_may_not_be_promised_more_than_the_whole(platform: Platform) -> None:
    make(platform, "lab", quota={"memory": "8GB"})
    make(platform, "vision", parent="lab", quota={"memory": "6GB"})
    refused = make(platform, "speech", parent="lab", quota={"memory": "4GB"})
    assert refused.status_code == 422
    assert "promised 10.0 GB of memory together, 'lab' itself only 8.0 GB of memory" in refused.text


def test_a_project_with_others_below_it_stays(platform: Platform) -> None:
    make(platform, "lab")
    make(platform, "vision", parent="lab")
    refused = platform.call("DELETE", f"{PROJECTS}/lab")
    assert refused.status_code == 409
    assert "has 1 below it, such as 'vision'" in refused.text


def test_the_queue_says_which_bound_keeps_a_job_waiting(platform: Platform) -> None:
    change(platform, "default", limit={"cpu": 1})
    platform.running_job("holder")
    platform.post("/api/v1/projects/default/jobs", {"metadata": {"name": "waiter"}, "spec": {"command": ["true"]}})
    platform.settle()
    entry = platform.get("/api/v1/projects/default/queue").json()["items"][0]
    explained = platform.get("/api/v1/projects/default/jobs/waiter/explain").json()
    assert entry["refusal"] == "quota"
    assert entry["sentence"] == explained["reason"]["sentence"]
    assert entry["sentence"].startswith("project default holds 1 of its 1 CPU, and this task asks for 1 more; it may")


def test_a_promise_is_not_stored_if_a_project_above_was_changed_since_it_was_checked(platform: Platform) -> None:
    make(platform, "lab", quota={"cpu": 1})
    make(platform, "vision", parent="lab")
    spec = ProjectSpec.model_validate({"parent": "vision", "quota": {"cpu": 1}})
    held = hold_those_above(Project(spec=spec), None, platform.store.page(Project))
    assert change(platform, "lab", quota={"cpu": 0.5}).status_code == 200
    with pytest.raises(Conflict):
        platform.store.commit(held, actor="rosa")
