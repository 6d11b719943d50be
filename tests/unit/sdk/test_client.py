"""The client as a whole: the platform's views, other kinds, and what `import lepton_ai` costs."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import lepton_ai
from lepton_ai.errors import InvalidInput, NotFound
from tests.unit.sdk.fake_platform import (
    PROJECT,
    TOKEN,
    FakePlatform,
    endpoint,
    event,
    ok,
    page,
    problem,
    stream,
)

AT = "2026-01-01T00:00:00Z"
EVENT = {
    "seq": 7,
    "at": AT,
    "project": "default",
    "kind": "job",
    "object_id": "job-1",
    "object_name": "train",
    "code": "placed",
    "sentence": "It starts.",
    "actor": "core",
}
EXPLANATION = {"task_id": "task-1", "standing": "running", "reason": {"code": "placed", "sentence": "It runs."}}
NO_OBJECT = problem(404, "not_found", "There is none.")


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform()


def test_the_status_is_a_model(platform: FakePlatform) -> None:
    body = {"url": "u", "version": "0.1.0", "core": {"pid": 7, "started_at": AT, "state": "ready"}, "later": 1}
    status = platform.on("GET", "/api/v1/status", ok(body)).client.status()
    assert (status.core.pid, status.core.started_at) == (7, datetime(2026, 1, 1, tzinfo=UTC))


def test_tasks_are_listed_page_by_page(platform: FakePlatform) -> None:
    def task(name: str) -> dict[str, object]:
        spec = {"owner_kind": "job", "owner_name": "train", "task_kind": "a/b/1", "program": {"command": ["true"]}}
        return {"kind": "task", "metadata": {"id": name, "name": name}, "spec": spec, "status": {}}

    platform.on("GET", f"{PROJECT}/tasks", page(task("task-2"), following="task-2"), page(task("task-1")))
    assert [one.id for one in platform.client.tasks()] == ["task-2", "task-1"]


def test_events_are_listed_or_followed_from_where_they_stopped(platform: FakePlatform) -> None:
    path = f"{PROJECT}/events"
    platform.on("GET", path, page(EVENT))
    assert platform.client.events(newest=True)[0].sentence == "It starts."
    platform.on("GET", path, stream(event("event", EVENT, "7"), breaks=True), stream(event("event", EVENT, "8")))
    followed = platform.client.events(follow=True, after=3)
    assert [next(followed).seq, next(followed).seq] == [7, 7]
    assert [request.url.params.get("after") for request in platform.requests[1:]] == ["3", "7"]


def test_a_name_is_explained_whatever_kind_it_is_of(platform: FakePlatform) -> None:
    platform.on("GET", f"{PROJECT}/jobs/digits", NO_OBJECT).on("GET", f"{PROJECT}/endpoints/digits", ok(endpoint()))
    platform.on("GET", f"{PROJECT}/endpoints/endpoint-1/explain", ok(EXPLANATION))
    assert str(platform.client.explain("digits").reason) == "It runs."


def test_a_name_that_nothing_has_is_told_of(platform: FakePlatform) -> None:
    platform.on("GET", f"{PROJECT}/jobs/x", NO_OBJECT).on("GET", f"{PROJECT}/endpoints/x", NO_OBJECT)
    with pytest.raises(NotFound, match="no job, endpoint or task 'x'"):
        platform.client.explain("x")


def test_resources_print_as_a_table_with_shares(platform: FakePlatform) -> None:
    cpu = {"number": 1, "name": "cpu", "node": "a", "kind": "cpu", "resource_class": "cpu-avx2", "model": "m"}
    shares = {"utilisation": 0.9, "memory_used_bytes": 1, "memory_bytes": 2, "allocation": 3, "allocated": 0.5}
    platform.on("GET", "/api/v1/resources", page({**cpu, **shares, "tasks": ["train"]}))
    assert "1         a     cpu-avx2  90%          3           50%        train" in repr(platform.client.resources())


def test_a_secrets_value_goes_in_and_is_not_kept(platform: FakePlatform) -> None:
    path = f"{PROJECT}/secrets"
    stored = {"kind": "secret", "metadata": {"name": "key"}, "spec": {"sealed": ""}, "status": {}}
    secret = platform.on("POST", path, ok(stored, 201)).client.secrets.set("key", "hunter2")
    assert platform.bodies("POST", path) == [{"metadata": {"name": "key"}, "spec": {"value": "hunter2"}}]
    assert "hunter2" not in repr(secret)
    with pytest.raises(InvalidInput, match="would be empty"):
        platform.client.secrets.set("key", "")


def test_a_new_token_is_given_and_not_shown(platform: FakePlatform) -> None:
    made = {"kind": "token", "metadata": {"name": "ada-1"}, "spec": {"user": "ada"}, "status": {}}
    platform.on("POST", "/api/v1/tokens", ok({"token": "lepton_new", "object": made}, 201))
    new = platform.client.tokens.create("ada", expires_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert (new.token, new.object.spec.user) == ("lepton_new", "ada")
    assert "lepton_new" not in repr(new)
    assert platform.bodies("POST", "/api/v1/tokens")[0]["spec"]["expires_at"] == "2027-01-01T00:00:00+00:00"
    with pytest.raises(InvalidInput, match="time zone"):
        platform.client.tokens.create("ada", expires_at=datetime(2027, 1, 1))  # noqa: DTZ001


def test_a_node_is_cordoned_by_its_spec(platform: FakePlatform) -> None:
    node = {"kind": "node", "metadata": {"name": "a.example"}, "spec": {"cordoned": True}, "status": {}}
    platform.on("PATCH", "/api/v1/nodes/a.example", ok(node))
    assert platform.client.nodes.cordon("a.example").spec.cordoned
    assert platform.bodies("PATCH", "/api/v1/nodes/a.example") == [{"spec": {"cordoned": True}}]


def test_a_client_neither_shows_nor_gives_away_its_token(platform: FakePlatform) -> None:
    assert TOKEN not in repr(platform.client)
    with pytest.raises(TypeError, match="holds a token"):
        pickle.dumps(platform.client)


def test_every_public_name_can_be_had() -> None:
    assert all(getattr(lepton_ai, name) is not None for name in lepton_ai.__all__)


def test_type_checkers_see_the_same_names() -> None:
    stub = ast.parse(Path(str(lepton_ai.__file__)).with_suffix(".pyi").read_text())
    names = [alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(str(name) for name in names) == list(lepton_ai.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Lepton'"):
        lepton_ai.Lepton  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, lepton_ai; lepton_ai.__version__; print(*{'httpx', 'pydantic', 'asyncio'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
