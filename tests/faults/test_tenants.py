"""What one project has, another never sees; and what is secret is nowhere but in the replica that was given it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.rig import SMALL, Json, Platform, ok, problem, wait_for
from tests.faults.traffic import SERVER

MARK = "visible-only-to-ada"
ALPHA, BETA = "/api/v1/projects/alpha", "/api/v1/projects/beta"
TELL = 'printf %s "$KEY" | sha256sum | cut -c1-64; sleep 1000'


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with two projects: Ada works in alpha, Bob in beta."""
    platform = Platform(tmp_path_factory.mktemp("f") / "home")
    platform.start()
    for project, user in (("alpha", "ada"), ("beta", "bob")):
        ok(platform.call("POST", "/api/v1/projects", {"metadata": {"name": project}, "spec": {}}))
        roles = {"roles": {project: "admin"}}
        ok(platform.call("POST", "/api/v1/users", {"metadata": {"name": user}, "spec": roles}))
    yield platform
    platform.end()


@pytest.fixture(scope="module")
def ada(shared: Platform) -> Iterator[httpx.Client]:
    """Ada, with a job that runs, an endpoint, a secret and an upload, all bearing her mark."""
    with client_of(shared, "ada") as client:
        create(client, f"{ALPHA}/secrets", f"{MARK}-secret", {"value": f"{MARK}-value"})
        client.put(f"{ALPHA}/blobs/{digest(MARK)}", content=MARK.encode()).raise_for_status()
        work = {"command": ["sh", "-c", f"echo {MARK}; sleep 1000"], "resources": SMALL}
        running = create(client, f"{ALPHA}/jobs", f"{MARK}-job", work)
        server = {"command": ["python", "-S", "-c", SERVER], "resources": {"cpu": 0.5, "memory": "128MB"}}
        create(client, f"{ALPHA}/endpoints", f"{MARK}-door", server)
        job = f"{ALPHA}/jobs/{running['metadata']['id']}"
        wait_for(lambda: client.get(job).json()["status"]["state"] == "running", "Ada's job to run")
        door = f"/endpoints/alpha/{MARK}-door/"
        wait_for(lambda: client.get(door).status_code == 200, "Ada's endpoint to answer")
        yield client


@pytest.fixture(scope="module")
def bob(shared: Platform) -> Iterator[httpx.Client]:
    with client_of(shared, "bob") as client:
        yield client


def test_no_page_shows_anything_of_a_foreign_project(ada: httpx.Client, bob: httpx.Client) -> None:
    paths = bob.get("/api/v1/openapi.json").json()["paths"]
    fixed = [path for path, verbs in paths.items() if "get" in verbs and "{" not in path and "watch" not in path]
    listed = [path for path in paths if path.startswith("/api/v1/projects/{project}/") and "{name}" not in path]
    pages = [*fixed, *(path.replace("{project}", "beta") for path in listed if "get" in paths[path])]

    shown = {path: bob.get(path).text for path in pages if "watch" not in path}

    assert len(shown) > 10
    assert [path for path, text in shown.items() if MARK in text or "alpha" in text] == []
    assert MARK in ada.get(f"{ALPHA}/jobs").text


def test_no_route_of_a_foreign_project_answers(ada: httpx.Client, bob: httpx.Client) -> None:
    job = ada.get(f"{ALPHA}/jobs").json()["items"][0]
    task = ada.get(f"{ALPHA}/tasks").json()["items"][0]
    names = {"jobs": job, "endpoints": ada.get(f"{ALPHA}/endpoints").json()["items"][0], "tasks": task}
    tried = [f"{ALPHA}/{kind}" for kind in ("jobs", "endpoints", "tasks", "secrets", "events", "queue")]
    for kind, thing in names.items():
        for name in (thing["metadata"]["id"], thing["metadata"]["name"]):
            rest = ("", "/logs", "/events", "/explain", "/result")
            # Neither where it is, nor by its id in a project that is Bob's own.
            tried += [f"{root}/{kind}/{name}{more}" for root in (ALPHA, BETA) for more in rest]

    answers = {path: bob.get(path) for path in tried}

    assert {path: answer.status_code for path, answer in answers.items() if answer.status_code not in {403, 404}} == {}
    assert {answer.json()["code"] for answer in answers.values()} <= {"forbidden", "not_found"}


def test_nothing_of_a_foreign_project_can_be_changed_or_used(ada: httpx.Client, bob: httpx.Client) -> None:
    job = ada.get(f"{ALPHA}/jobs/{MARK}-job").json()
    before = ada.get(f"{ALPHA}/jobs").json()
    work = {"spec": {"command": ["true"]}}
    borrowed = {"spec": {"command": ["true"], "secrets": {"KEY": f"{MARK}-secret"}}}
    uploaded = {"spec": {"command": ["true"], "bundle": digest(MARK)}}

    answers = [
        bob.post(f"{ALPHA}/jobs", json=work),
        bob.post(f"{ALPHA}/jobs/{MARK}-job/stop"),
        bob.delete(f"{ALPHA}/jobs/{MARK}-job"),
        bob.delete(f"{BETA}/jobs/{job['metadata']['id']}"),
        bob.post(f"{BETA}/jobs/{job['metadata']['id']}/stop"),
        bob.patch(f"{ALPHA}/endpoints/{MARK}-door", json={"spec": {"replicas": 0}}),
        bob.delete(f"{ALPHA}/secrets/{MARK}-secret"),
        bob.post("/api/v1/tokens", json={"spec": {"user": "ada"}}),
        bob.post("/api/v1/users", json={"metadata": {"name": "eve"}, "spec": {"roles": {"alpha": "admin"}}}),
        bob.patch("/api/v1/users/bob", json={"spec": {"roles": {"*": "admin"}}}),
        bob.get("/api/v1/audit"),
        bob.head(f"{BETA}/blobs/{digest(MARK)}"),
        bob.get(f"/endpoints/alpha/{MARK}-door/"),
    ]
    unusable = [bob.post(f"{BETA}/jobs", json=spec) for spec in (borrowed, uploaded)]

    assert [answer.status_code for answer in answers if answer.status_code not in {403, 404}] == []
    assert [problem(answer, answer.status_code)["code"] for answer in unusable] == ["invalid_input"] * 2
    assert ada.get(f"{ALPHA}/jobs").json() == before
    assert bob.get(f"{BETA}/jobs").json()["items"] == []


def test_a_secret_reaches_its_replicas_and_nothing_else(shared: Platform) -> None:
    canary = f"canary-{secrets.token_hex(16)}"
    told = hashlib.sha256(canary.encode()).hexdigest()
    with client_of(shared, "ada") as client:
        create(client, f"{ALPHA}/secrets", "key", {"value": canary})
        spec = {"command": ["sh", "-c", TELL], "secrets": {"KEY": "key"}, "replicas": 2, "resources": SMALL}
        job = create(client, f"{ALPHA}/jobs", "teller", spec)
        # A refusal repeats what was sent, but not what is secret.
        refused = client.post(f"{ALPHA}/secrets", json={"metadata": {"name": "../x"}, "spec": {"value": canary}})
        wait_for(lambda: shared.log_of(job, f"{ALPHA}/jobs").count(told) == 2, "both replicas to tell")
        shared.kill()
        shared.start()

        seen = list(places(shared, canary))
        answers = [client.get(f"{ALPHA}{rest}") for rest in ("/jobs", "/tasks", "/secrets", "/secrets/key", "/events")]
        answers += [client.get(f"{ALPHA}/jobs/teller{rest}") for rest in ("", "/events", "/explain", "/logs")]
        answers += [shared.call("GET", "/api/v1/audit"), refused]
        client.delete(f"{ALPHA}/jobs/teller")

    assert refused.status_code == 422
    assert seen == []
    assert [answer.request.url for answer in answers if canary in answer.text] == []
    assert {answer.status_code for answer in answers[:-1]} == {200}


def places(platform: Platform, canary: str) -> Iterator[str]:
    """Yield where a secret lies open: files, printed lines, and the command line of any process of this machine."""
    forms = [canary.encode(), base64.b64encode(canary.encode()).rstrip(b"="), canary.encode().hex().encode()]
    for path in [*platform.home.rglob("*"), *platform.home.parent.glob("core.out")]:
        with contextlib.suppress(OSError):
            if path.is_file() and any(form in path.read_bytes() for form in forms):
                yield str(path)
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if any(form in Path("/proc", name, "cmdline").read_bytes() for form in forms):
                yield f"the command line of process {name}"
    own = {platform.pid, *platform.supervisors().values(), *platform.haproxies()}
    for pid in own:
        with contextlib.suppress(OSError):
            if canary.encode() in Path("/proc", str(pid), "environ").read_bytes():
                yield f"the environment of process {pid}"


def create(client: httpx.Client, path: str, name: str, spec: Json) -> Json:
    return ok(client.post(path, json={"metadata": {"name": name}, "spec": spec}))


def client_of(platform: Platform, user: str) -> httpx.Client:
    made = ok(platform.call("POST", "/api/v1/tokens", {"spec": {"user": user}}))
    return platform.client(made["token"])


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
