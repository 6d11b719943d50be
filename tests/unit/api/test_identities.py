"""Secrets, tokens, users and projects: nothing secret comes back, and nobody gets more than they were given."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lepton_ai.kernel import auth
from lepton_ai.types.identity import Role, Secret, Token
from tests.unit.api.platform import JOB, JOBS, Platform
from tests.unit.api.surface import doors

SECRETS = "/api/v1/projects/default/secrets"
TOKENS, USERS, PROJECTS, AUDIT = "/api/v1/tokens", "/api/v1/users", "/api/v1/projects", "/api/v1/audit"
PLAIN = "correct-horse-battery-staple"


def secret(name: str = "key", value: object = PLAIN) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"value": value}}


def user(name: str, **roles: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"roles": {k.replace("everywhere", "*"): v for k, v in roles.items()}}}


def token_of(platform: Platform, name: str, **spec: Any) -> Any:
    return platform.post(TOKENS, {"spec": {"user": name, **spec}})


# Secrets


def test_a_secret_reaches_the_replica_and_nobody_else(platform: Platform) -> None:
    assert platform.post(SECRETS, secret()).status_code == 201
    replica = platform.running_job("train", secrets={"KEY": "key"})
    (order,) = platform.runtime.orders
    assert (order.replica_id, order.secrets) == (replica, {"KEY": PLAIN})


def test_no_answer_holds_what_is_secret(platform: Platform) -> None:
    platform.post(SECRETS, secret())
    ada = platform.user("ada", {"default": Role.ADMIN})
    platform.running_job("key", secrets={"KEY": "key"})
    names = {"tokens": "ada", "users": "ada", "nodes": "node-1", "projects": "default", "tasks": "absent"}
    hidden = [PLAIN, ada, auth.digest(ada), auth.digest(platform.admin), platform.store.page(Secret)[0].spec.sealed]
    told = ""
    for door in [door for door in doors(platform.app) if door.method == "GET" and not door.is_endless]:
        noun = next((part for part in door.path.split("/")[::-1] if part in names), "jobs")
        told += platform.get(door.url(name=names.get(noun, "key"))).text
    assert [text for text in hidden if text in told] == []
    assert [word for word in ("key", "ada", "node-1") if word not in told] == []


def test_setting_a_secret_again_replaces_it(platform: Platform) -> None:
    platform.post(SECRETS, secret())
    again = platform.post(SECRETS, secret(value="new"))
    assert (again.status_code, again.json()["metadata"]["version"]) == (200, 2)
    platform.running_job("train", secrets={"KEY": "key"})
    assert platform.runtime.orders[0].secrets == {"KEY": "new"}


def test_a_secret_of_another_project_is_none(platform: Platform) -> None:
    platform.project("other")
    platform.post(SECRETS.replace("default", "other"), secret())
    assert platform.get(f"{SECRETS}/key").status_code == 404
    assert platform.post(JOBS, {"spec": {"command": ["true"], "secrets": {"A": "key"}}}).status_code == 422


@pytest.mark.parametrize(
    "draft",
    [
        {"spec": {"value": "x"}},
        secret(value=""),
        secret(value=7),
        secret(value="x" * 65537),
        secret(value="ü" * 40000),
        secret(value="a\0b"),
        secret(name="A"),
        {"metadata": {"name": "key"}, "spec": {"sealed": "x"}},
    ],
)
def test_a_secret_is_a_named_text_of_bounded_size(shared: Platform, draft: dict[str, Any]) -> None:
    refused = shared.post(SECRETS, draft)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert refused.json()["detail"].count("x" * 50) == 0


def test_a_secret_that_is_gone_is_gone(platform: Platform) -> None:
    platform.post(SECRETS, secret())
    assert platform.call("DELETE", f"{SECRETS}/key").status_code == 202
    assert platform.get(f"{SECRETS}/key").status_code == 404


# Tokens


def test_a_token_is_shown_once_and_works_at_once(platform: Platform) -> None:
    platform.post(USERS, user("ada", default="member"))
    made = token_of(platform, "ada")
    plain = made.json()["token"]
    assert (made.status_code, made.json()["object"]["spec"]["user"]) == (201, "ada")
    assert plain not in platform.get(TOKENS).text
    whoami = platform.get("/api/v1/whoami", token=plain)
    assert whoami.json() == {"user": "ada", "roles": {"default": "member"}}


def test_deleting_a_token_takes_effect_at_once(platform: Platform) -> None:
    ada = platform.user("ada", {"default": Role.MEMBER})
    assert platform.get(JOBS, token=ada).status_code == 200
    assert platform.call("DELETE", f"{TOKENS}/ada").status_code == 202
    assert platform.get(JOBS, token=ada).status_code == 401


def test_a_token_ends_when_it_was_said_to(platform: Platform) -> None:
    platform.post(USERS, user("ada", default="member"))
    end = platform.clock.now() + timedelta(hours=1)
    plain = token_of(platform, "ada", expires_at=end.isoformat()).json()["token"]
    assert platform.get(JOBS, token=plain).status_code == 200
    platform.clock.turn(timedelta(hours=1))
    assert platform.get(JOBS, token=plain).status_code == 401


@pytest.mark.parametrize(
    "end", ["2020-01-01T00:00:00Z", "2030-01-01T00:00:00", "tomorrow", True, "0001-01-01T00:00:00+14:00"]
)
def test_an_end_lies_ahead_and_names_its_zone(shared: Platform, end: object) -> None:
    refused = token_of(shared, "admin", expires_at=end)
    assert (refused.status_code, "spec.expires_at" in refused.json()["detail"]) == (422, True)


def test_a_token_needs_a_user(shared: Platform) -> None:
    assert token_of(shared, "nobody").status_code == 404


def test_a_token_is_not_shown_twice_for_one_key(platform: Platform) -> None:
    body, key = {"spec": {"user": "admin"}}, {"idempotency-key": "k"}
    first, again = (platform.post(TOKENS, body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code, again.json()["code"]) == (201, 409, "conflict")
    assert "shown only once" in again.json()["detail"]
    assert len(platform.store.page(Token)) == 2


# Users


def test_a_role_takes_effect_at_once_in_both_directions(platform: Platform) -> None:
    ada = platform.user("ada", {})
    answers = []
    for roles in ({}, {"default": "viewer"}, {"default": "member"}, {"default": None}):
        platform.call("PATCH", f"{USERS}/ada", json={"spec": {"roles": roles}})
        answers.append((platform.get(JOBS, token=ada).status_code, platform.post(JOBS, JOB, token=ada).status_code))
    assert answers == [(403, 403), (200, 403), (200, 201), (403, 403)]


@pytest.mark.parametrize(
    "roles",
    [{"default": "owner"}, {"nowhere": "viewer"}, {"": "viewer"}, {"**": "admin"}, {"platform": "viewer"}, ["*"]],
)
def test_roles_are_known_and_held_in_projects_that_exist(platform: Platform, roles: object) -> None:
    refused = platform.post(USERS, {"metadata": {"name": "ada"}, "spec": {"roles": roles}})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    platform.post(USERS, user("ada"))
    patched = platform.call("PATCH", f"{USERS}/ada", json={"spec": {"roles": roles}})
    assert patched.status_code == 422


def test_an_unknown_project_is_answered_with_the_known_ones(platform: Platform) -> None:
    platform.project("vision")
    assert "default, vision" in platform.post(USERS, user("ada", nowhere="viewer")).json()["hint"]


@pytest.mark.parametrize("name", ["platform", "unknown"])
def test_no_user_is_taken_for_the_platform_or_a_stranger(shared: Platform, name: str) -> None:
    assert shared.post(USERS, user(name)).status_code == 422
    assert shared.call("PUT", f"{USERS}/{name}", json={"spec": {}}).status_code == 422


@pytest.mark.parametrize("roles", [{"default": Role.ADMIN}, {"*": Role.MEMBER}])
def test_nobody_raises_themselves(platform: Platform, roles: dict[str, Role]) -> None:
    ada = platform.user("ada", roles)
    attempts = [
        platform.call("PATCH", f"{USERS}/ada", ada, json={"spec": {"roles": {"*": "admin"}}}),
        platform.post(USERS, user("eve", everywhere="admin"), token=ada),
        platform.post(TOKENS, {"spec": {"user": "admin"}}, token=ada),
        platform.call("DELETE", f"{USERS}/admin", ada),
        platform.post(PROJECTS, {"metadata": {"name": "mine"}, "spec": {}}, token=ada),
        platform.get(AUDIT, token=ada),
    ]
    assert [answer.status_code for answer in attempts] == [403] * 6


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("DELETE", None),
        ("PATCH", {"spec": {"roles": {"*": None}}}),
        ("PATCH", {"spec": {"roles": {"*": "member"}}}),
        ("PUT", {"spec": {"roles": {"default": "admin"}}}),
    ],
)
def test_the_last_administrator_stays(platform: Platform, method: str, body: object) -> None:
    refused = platform.call(method, f"{USERS}/admin", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "last administrator" in refused.json()["detail"]
    platform.post(USERS, user("second", everywhere="admin"))
    assert platform.call(method, f"{USERS}/admin", json=body).status_code in {200, 202}


def test_two_administrators_do_not_demote_each_other_at_the_same_moment(platform: Platform) -> None:
    platform.post(USERS, user("second", everywhere="admin"))
    down = {"json": {"spec": {"roles": {"*": "viewer"}}}}
    platform.together(("PATCH", f"{USERS}/admin", dict(down)), ("PATCH", f"{USERS}/second", dict(down)))
    admins = [name for name in ("admin", "second") if platform.roles_of(name).get("*") is Role.ADMIN]
    assert len(admins) == 1


def test_the_tokens_of_a_user_go_with_them(platform: Platform) -> None:
    ada = platform.user("ada", {"default": Role.ADMIN})
    platform.call("DELETE", f"{USERS}/ada")
    assert platform.get(JOBS, token=ada).status_code == 401
    platform.post(USERS, user("ada", default="admin"))
    assert platform.get(JOBS, token=ada).status_code == 401
    assert [token.name for token in platform.store.page(Token)] == ["admin"]


# Projects


@pytest.mark.parametrize("name", ["platform", "watch", "*", "A", ".."])
def test_no_project_has_a_name_that_means_something_else(shared: Platform, name: str) -> None:
    assert shared.post(PROJECTS, {"metadata": {"name": name}, "spec": {}}).status_code == 422


def test_a_project_works_at_once(platform: Platform) -> None:
    assert platform.post(PROJECTS, {"metadata": {"name": "vision"}, "spec": {}}).status_code == 201
    assert platform.post(f"{PROJECTS}/vision/jobs", JOB).status_code == 201


@pytest.mark.parametrize(
    ("kind", "spec"),
    [("jobs", {"command": ["true"]}), ("secrets", {"value": "x"}), ("endpoints", {"command": ["true"]})],
)
def test_a_project_goes_only_when_it_is_empty(platform: Platform, kind: str, spec: dict[str, Any]) -> None:
    platform.post(PROJECTS, {"metadata": {"name": "vision"}, "spec": {}})
    platform.post(f"{PROJECTS}/vision/{kind}", {"metadata": {"name": "x"}, "spec": spec})
    refused = platform.call("DELETE", f"{PROJECTS}/vision")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert f"still holds {kind}, such as 'x'" in refused.json()["detail"]
    platform.call("DELETE", f"{PROJECTS}/vision/{kind}/x")
    platform.settle()
    assert platform.call("DELETE", f"{PROJECTS}/vision").status_code == 202
    assert platform.get(f"{PROJECTS}/vision/jobs").status_code == 404


def test_a_later_project_of_the_same_name_inherits_nothing(platform: Platform) -> None:
    vision = {"metadata": {"name": "vision"}, "spec": {}}
    platform.post(PROJECTS, vision)
    ada = platform.user("ada", {"vision": Role.ADMIN, "default": Role.VIEWER})
    data = b"bundle"
    digest = platform.upload(data, "vision")
    platform.post(f"{PROJECTS}/vision/secrets", secret())
    platform.call("DELETE", f"{PROJECTS}/vision/secrets/key")
    platform.call("DELETE", f"{PROJECTS}/vision")
    platform.post(PROJECTS, vision)
    assert platform.get(f"{PROJECTS}/vision/jobs", token=ada).status_code == 403
    assert platform.call("HEAD", f"{PROJECTS}/vision/blobs/{digest}").status_code == 404
    assert platform.get(f"{PROJECTS}/vision/events").json()["items"] == []
    assert platform.roles_of("ada") == {"default": Role.VIEWER}


# The gate


def test_what_was_committed_counts_for_every_request_after_it(platform: Platform) -> None:
    ada = platform.user("ada", {"default": Role.VIEWER})
    reads = [("GET", "/api/v1/whoami", {"headers": {"authorization": f"Bearer {ada}"}}) for _ in range(20)]
    for round_number in range(10):
        platform.user(f"other-{round_number}", {})
        answers = platform.together(*[(method, path, dict(more)) for method, path, more in reads])
        assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "0", lambda t: t.upper(), lambda t: t[:-1] + "~", lambda t: ""]
)
def test_a_token_with_a_slip_is_no_token(change: Any) -> None:
    token = auth.new_token()
    assert auth.is_well_formed(token)
    assert not auth.is_well_formed(change(token))
