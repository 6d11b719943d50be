"""`lepton user`, `lepton project`, `lepton token` and `lepton audit`."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.program import printed, run
from tests.unit.sdk.fake_platform import FakePlatform, ok, page

TOKEN = "lepton_shown-once"


def thing(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"id": "x", "name": name}, "spec": spec, "status": {}}


def test_a_user_is_created_with_roles(platform: FakePlatform) -> None:
    platform.on("POST", "/api/v1/users", ok(thing("user", "ada", {"roles": {"vision": "member"}}), 201))
    result = run(platform, "user", "create", "ada", "--role", "vision=member", "--role", "*=viewer")
    assert "lepton token create --user ada" in result.stdout
    assert platform.bodies("POST", "/api/v1/users")[0]["spec"] == {"roles": {"vision": "member", "*": "viewer"}}


def test_users_are_listed_with_their_roles(platform: FakePlatform) -> None:
    platform.on("GET", "/api/v1/users", page(thing("user", "ada", {"roles": {"vision": "member", "*": "viewer"}})))
    assert "*=viewer, vision=member" in run(platform, "user", "list").stdout


def test_a_project_is_created(platform: FakePlatform) -> None:
    vision = thing("project", "vision", {"description": "Cameras"})
    platform.on("POST", "/api/v1/projects", ok(vision, 201))
    run(platform, "project", "create", "vision", "--description", "Cameras")
    assert platform.bodies("POST", "/api/v1/projects")[0]["spec"] == {"description": "Cameras"}


def test_a_new_token_alone_is_on_stdout(platform: FakePlatform) -> None:
    made = {"token": TOKEN, "object": thing("token", "ada-1", {"user": "ada"})}
    platform.on("POST", "/api/v1/tokens", ok(made, 201))
    result = run(platform, "token", "create", "--user", "ada", "--expires", "30d")
    assert result.stdout == f"{TOKEN}\n"
    assert "only time" in result.stderr
    assert platform.bodies("POST", "/api/v1/tokens")[0]["spec"]["expires_at"]
    assert printed(run(platform, "token", "create", "--user", "ada", "-o", "json"))["token"] == TOKEN


def test_a_wrong_duration_is_a_wrong_usage(platform: FakePlatform) -> None:
    assert run(platform, "token", "create", "--user", "ada", "--expires", "soon").exit_code == 2


def test_tokens_are_listed_and_withdrawn(platform: FakePlatform) -> None:
    one = thing("token", "ada-1", {"user": "ada"})
    platform.on("GET", "/api/v1/tokens", page(one)).on("DELETE", "/api/v1/tokens/ada-1", ok(one, 202))
    assert "ada-1" in run(platform, "token", "list").stdout
    assert run(platform, "token", "delete", "ada-1").stdout == "Token ada-1 is withdrawn.\n"


def test_the_audit_shows_refusals_too(platform: FakePlatform) -> None:
    record = {
        "seq": 7, "at": "2026-01-02T03:04:05Z", "actor": "ada", "address": "127.0.0.1", "operation": "job.create",
        "project": "vision", "object_kind": "job", "object_name": "train", "outcome": "denied",
    }  # fmt: skip
    platform.on("GET", "/api/v1/audit", page(record))
    shown = " ".join(run(platform, "audit", "list", "--after", "6").stdout.split())
    assert "ada job.create vision/job/train denied" in shown
    assert platform.requests[0].url.params["after"] == "6"
