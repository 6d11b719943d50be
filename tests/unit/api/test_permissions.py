"""Every route against everybody: the table is written down here a second time, so that no change of it goes unseen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from lepton_ai.kernel import auth
from lepton_ai.types.event import Outcome
from lepton_ai.types.identity import Role
from lepton_ai.types.operation import OPERATIONS, Permission, may
from tests.unit.api.platform import JOB, JOBS, Platform
from tests.unit.api.surface import Door, doors

# operation: the least role that may do it, where it must be held, and whether it changes anything.
TABLE = """
job.get viewer project sees
job.list viewer project sees
job.watch viewer project sees
job.events viewer project sees
job.logs viewer project sees
job.explain viewer project sees
job.result viewer project sees
job.create member project changes
job.update member project changes
job.delete member project changes
job.stop member project changes
endpoint.get viewer project sees
endpoint.list viewer project sees
endpoint.watch viewer project sees
endpoint.events viewer project sees
endpoint.logs viewer project sees
endpoint.explain viewer project sees
endpoint.create member project changes
endpoint.update member project changes
endpoint.delete member project changes
bucket.get viewer project sees
bucket.list viewer project sees
bucket.watch viewer project sees
bucket.events viewer project sees
bucket.create member project changes
bucket.update member project changes
bucket.delete member project changes
bucket.read viewer project changes
bucket.unwrap viewer project changes
bucket.write member project changes
key.rotate admin project changes
secret.get viewer project sees
secret.list viewer project sees
secret.watch viewer project sees
secret.events viewer project sees
secret.create member project changes
secret.delete member project changes
task.get viewer project sees
task.list viewer project sees
task.watch viewer project sees
task.events viewer project sees
task.explain viewer project sees
blob.has member project sees
blob.put member project changes
event.list viewer project sees
queue.list viewer project sees
scheduling.resource viewer project sees
scheduling.allocation viewer project sees
scheduling.profile member project changes
node.get viewer anywhere sees
node.list viewer anywhere sees
node.watch viewer anywhere sees
node.events viewer anywhere sees
node.update admin platform changes
node.drain admin platform changes
node.invite admin platform changes
node.remove admin platform changes
node.join admin node changes
node.renew admin node changes
node.leave admin node changes
node.report admin node sees
nodegroup.get admin platform sees
nodegroup.list admin platform sees
nodegroup.watch admin platform sees
nodegroup.events admin platform sees
nodegroup.create admin platform changes
nodegroup.update admin platform changes
nodegroup.delete admin platform changes
project.get viewer anywhere sees
project.list viewer anywhere sees
project.watch viewer anywhere sees
project.usage viewer anywhere sees
project.create admin anywhere changes
project.update admin anywhere changes
project.delete admin anywhere changes
user.get admin platform sees
user.list admin platform sees
user.watch admin platform sees
user.events admin platform sees
user.create admin platform changes
user.update admin platform changes
user.delete admin platform changes
token.get admin platform sees
token.list admin platform sees
token.watch admin platform sees
token.events admin platform sees
token.create admin platform changes
token.delete admin platform changes
resource.list viewer anywhere sees
status.get viewer anywhere sees
whoami.get viewer anywhere sees
audit.list admin platform sees
platform.shutdown admin platform changes
"""
EXPECTED = {line.split()[0]: tuple(line.split()[1:]) for line in TABLE.strip().splitlines()}
RANK = ["viewer", "member", "admin"]
ONLY_CLI: frozenset[str] = frozenset()  # operations that no route asks for

CALLERS: Mapping[str, Mapping[str, Role]] = {
    "platform-admin": {"*": Role.ADMIN},
    "platform-member": {"*": Role.MEMBER},
    "platform-viewer": {"*": Role.VIEWER},
    "project-admin": {"default": Role.ADMIN},
    "project-member": {"default": Role.MEMBER},
    "project-viewer": {"default": Role.VIEWER},
    "foreign-admin": {"foreign": Role.ADMIN},
    "foreign-member": {"foreign": Role.MEMBER},
    "foreign-viewer": {"foreign": Role.VIEWER},
    "nobody": {},
}


@pytest.fixture(scope="module")
def tokens(shared: Platform) -> Mapping[str, str]:
    """A token of each caller."""
    shared.project("foreign")
    return {name: shared.user(name, roles) for name, roles in CALLERS.items()}


def ask(platform: Platform, door: Door, token: str, project: str = "default") -> int:
    """Return the status of a request that comes to nothing if it is let through."""
    if door.is_endless:
        with platform.stream(door.url(project), token) as stream:
            return stream.status
    return platform.call(door.method, door.url(project), token, json={}).status_code


def verdict(status: int) -> str:
    """Return what the gate said."""
    return {401: "who?", 403: "no"}.get(status, "yes")


def expected_verdict(operation: str, roles: Mapping[str, Role]) -> str:
    """Return what the gate should say, by the table above."""
    role, scope, _ = EXPECTED[operation]
    held = {"project": ("*", "default"), "platform": ("*",), "anywhere": (*roles, "*"), "node": ()}[scope]
    ranks = [RANK.index(roles[project].value) for project in held if project in roles]
    return "yes" if any(rank >= RANK.index(role) for rank in ranks) else "no"


def told(permission: Permission) -> tuple[str, ...]:
    """Return a permission as the table above has it."""
    return permission.role.value, permission.scope.value, "changes" if permission.changes else "sees"


def test_the_table_of_permissions_is_the_one_written_here() -> None:
    assert {name: told(permission) for name, permission in OPERATIONS.items()} == EXPECTED


def test_every_operation_has_a_route_and_every_route_an_operation(shared: Platform) -> None:
    routed = {door.operation for door in doors(shared.app)}
    assert routed == EXPECTED.keys() - ONLY_CLI


def test_only_what_describes_the_api_is_open_to_everybody(shared: Platform) -> None:
    guarded = {door.path for door in doors(shared.app)}
    free = {route.path for route in shared.app.routes} - guarded  # type: ignore[attr-defined]
    assert free == {"/api/v1/openapi.json", "/api/docs"}


# Named, since test processes must agree on what a test is called, and a new token is another one in each of them.
TOKENS = ["", auth.new_token(), "lepton_short", "x" * 43, "lepton_" + "0" * 36, "ü" * 43]
TOKEN_KINDS = ["none", "unknown", "short", "foreign", "bad-checksum", "not-ascii"]


@pytest.mark.parametrize("caller", CALLERS)
def test_a_route_admits_whom_the_table_admits(shared: Platform, tokens: Mapping[str, str], caller: str) -> None:
    every = doors(shared.app)
    found = {str(door): verdict(ask(shared, door, tokens[caller])) for door in every}
    assert found == {str(door): expected_verdict(door.operation, CALLERS[caller]) for door in every}


@pytest.mark.parametrize("token", TOKENS, ids=TOKEN_KINDS)
def test_no_route_admits_somebody_without_a_good_token(shared: Platform, token: str) -> None:
    headers = {"authorization": f"Bearer {token}".encode()}
    found = {
        str(door): shared.call(door.method, door.url(), "", json={}, headers=headers).status_code
        for door in doors(shared.app)
    }
    assert set(found.values()) == {401}, found


def test_no_route_admits_an_expired_token(platform: Platform) -> None:
    late = platform.user("late", {"*": Role.ADMIN}, expires_at=platform.clock.now() + timedelta(hours=1))
    assert platform.get("/api/v1/whoami", token=late).status_code == 200
    platform.clock.turn(timedelta(hours=1))
    found = {platform.call(door.method, door.url(), late, json={}).status_code for door in doors(platform.app)}
    assert found == {401}


@pytest.mark.parametrize(
    "header",
    ["Basic {}", "{}", "Bearer", "Bearer  ", "Token {}", "Bearer {} {}"],
)
def test_only_a_bearer_header_counts(platform: Platform, header: str) -> None:
    answer = platform.get("/api/v1/whoami", token="", headers={"authorization": header.format(*[platform.admin] * 2)})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_two_authorization_headers_are_none(platform: Platform) -> None:
    twice = [("authorization", f"Bearer {platform.admin}")] * 2
    request = platform.client.build_request("GET", "/api/v1/whoami", headers=twice)
    assert platform.runner.run(platform.client.send(request)).status_code == 401


def test_an_unknown_operation_is_nobodys_to_do() -> None:
    assert not may({"*": Role.ADMIN}, "job.frobnicate", "default")


@pytest.mark.parametrize("token", TOKENS[:2], ids=TOKEN_KINDS[:2])
def test_each_refusal_leaves_one_audit_record(platform: Platform, token: str) -> None:
    every = [door for door in doors(platform.app) if door.method != "HEAD"]
    for door in every:
        platform.call(door.method, door.url(), token, json={})
    records = platform.audit()
    assert [record.operation for record in records] == [door.operation for door in every]
    assert {(record.outcome, record.actor) for record in records} == {(Outcome.DENIED, "unknown")}


def test_a_refused_user_is_named_in_the_audit(platform: Platform) -> None:
    viewer = platform.user("vera", {"default": Role.VIEWER})
    headers = {"x-request-id": "r-1", "x-forwarded-for": "evil, 10.0.0.7"}
    assert platform.post(JOBS, JOB, token=viewer, headers=headers).status_code == 403
    (record,) = platform.audit()
    assert (record.actor, record.operation, record.project, record.outcome, record.request_id, record.address) == (
        "vera", "job.create", "default", Outcome.DENIED, "r-1", "10.0.0.7",
    )  # fmt: skip


def test_foreign_projects_and_missing_ones_cannot_be_told_apart(shared: Platform, tokens: Mapping[str, str]) -> None:
    every = [door for door in doors(shared.app) if door.is_in_project]
    answers = {
        project: [
            (answer.status_code, answer.text.replace(project, "X"))
            for door in every
            for answer in [shared.call(door.method, door.url(project), tokens["project-admin"], json={})]
        ]
        for project in ("foreign", "missing")
    }
    assert answers["foreign"] == answers["missing"]
    assert {status for status, _ in answers["foreign"]} == {403}


def test_a_foreign_object_is_not_found_by_its_id(platform: Platform) -> None:
    platform.project("foreign")
    own, foreign = (platform.user(name, {name: Role.MEMBER}) for name in ("default", "foreign"))
    secret = platform.post(JOBS.replace("default", "foreign"), JOB, token=foreign).json()["metadata"]["id"]
    here = [door for door in doors(platform.app) if "/jobs/{name}" in door.path]
    answers = {
        name: [platform.call(door.method, door.url(name=name), own, json={}).text.replace(name, "X") for door in here]
        for name in (secret, "job-00000000000000000000")
    }
    assert answers[secret] == answers["job-00000000000000000000"]


@pytest.mark.parametrize("caller", ["platform-admin", "platform-viewer"])
def test_whoever_sees_everything_is_told_that_a_project_is_missing(
    shared: Platform, tokens: Mapping[str, str], caller: str
) -> None:
    every = [door for door in doors(shared.app) if door.is_in_project and door.method == "GET"]
    found = {str(door): shared.get(door.url("missing"), token=tokens[caller]).status_code for door in every}
    assert set(found.values()) == {404}, found


def test_projects_of_others_are_not_listed_nor_found(platform: Platform) -> None:
    platform.project("foreign")
    token = platform.user("ada", {"default": Role.ADMIN})
    listed = platform.get("/api/v1/projects", token=token).json()["items"]
    assert [project["metadata"]["name"] for project in listed] == ["default"]
    foreign, missing = (platform.get(f"/api/v1/projects/{name}", token=token) for name in ("foreign", "missing"))
    assert foreign.status_code == missing.status_code == 404
    assert foreign.text.replace("foreign", "X") == missing.text.replace("missing", "X")


def test_a_watch_tells_nothing_of_projects_of_others(platform: Platform) -> None:
    token = platform.user("ada", {"default": Role.ADMIN})
    with platform.stream("/api/v1/projects/watch", token) as stream:
        assert stream.next().data["metadata"]["name"] == "default"
        platform.project("foreign")
        assert stream.is_silent()
