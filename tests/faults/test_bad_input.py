"""Requests that are wrong: each is refused with what is wrong and what to do, and changes nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lepton_ai.kernel.clock import SystemClock
from tests.faults.rig import ENDPOINTS, JOBS, Platform, ok, problem, wait_for
from tests.faults.traffic import serve

TEN_MB = 10 * 1024 * 1024
DEEP = 100_000


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for all requests here: none of them changes anything."""
    platform = Platform(tmp_path_factory.mktemp("f") / "home")
    platform.start()
    yield platform
    platform.end()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"spec": {"command": ["true"], "colour": "red"}}, "spec.colour: is not a field"),
        ({"spec": {"command": ["true"]}, "status": {"state": "succeeded"}}, "status: is not a field"),
        ({"metadata": {"name": "../../etc/passwd"}, "spec": {"command": ["true"]}}, "metadata.name"),
        ({"metadata": {"name": "a/b"}, "spec": {"command": ["true"]}}, "metadata.name"),
        ({"metadata": {"name": "a\n"}, "spec": {"command": ["true"]}}, "metadata.name"),
        ({"spec": {"command": ["true"], "bundle": "sha256:../../../etc/passwd"}}, "spec.bundle"),
        ({"spec": {"command": ["true"], "secrets": {"A": "../other/token"}}}, "spec.secrets"),
        ({"spec": {"command": ["true"], "resources": {"memory": "1e400"}}}, "spec.resources.memory"),
        ({"spec": {"command": ["true"], "resources": {"cpu": -1}}}, "spec.resources.cpu"),
        ({"spec": {"command": ["a\0b"]}}, "NUL"),
        ({"spec": {"command": []}}, "either a command or a function"),
        ({"spec": {"command": ["true"], "timeout": "soon"}}, "spec.timeout"),
        ([], "body"),
        ("true", "body"),
        (None, "body"),
    ],
)
def test_a_job_that_is_wrong_is_refused_by_the_name_of_the_field(shared: Platform, body: object, said: str) -> None:
    before = shared.get(JOBS)["items"]

    found = problem(shared.call("POST", JOBS, body), 422)

    assert said in found["detail"]
    assert found["hint"]
    assert shared.get(JOBS)["items"] == before


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"\xff\xfe",
        b'{"spec": {"command": ["true"]}',
        b"[" * DEEP,
        b'{"a":' * DEEP,
        b'{"spec": NaN}',
        b"1" * 10_000,
    ],
    ids=["cut", "not-utf8", "half", "deep-lists", "deep-objects", "nan", "long-number"],
)
def test_what_is_not_json_is_refused(shared: Platform, text: bytes) -> None:
    with shared.client() as client:
        answer = client.post(JOBS, content=text, headers={"Content-Type": "application/json"})

    assert problem(answer, 422)["code"] == "invalid_input"


@pytest.mark.parametrize("is_announced", [True, False])
def test_ten_megabytes_are_refused_by_the_limit(shared: Platform, is_announced: bool) -> None:
    body = b'{"spec": {"command": ["' + b"x" * TEN_MB + b'"]}}'
    pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)]
    sent: dict[bool, bytes | Iterator[bytes]] = {True: body, False: iter(pieces)}

    with shared.client() as client:
        found = problem(
            client.post(JOBS, content=sent[is_announced], headers={"Content-Type": "application/json"}), 413
        )

    assert found["code"] == "too_large"
    assert "4.2 MB" in found["detail"]
    assert "body_bytes_max" in found["hint"]


def test_ten_megabytes_of_yaml_are_refused_by_the_command_line(shared: Platform, tmp_path: Path) -> None:
    document = tmp_path / "job.yaml"
    document.write_text("kind: job\nspec:\n  command: [echo, '" + "x" * TEN_MB + "']\n")
    ca = str(shared.home / "tls" / "ca.pem")
    environment = {**os.environ, "LEPTON_INSTANCE": shared.url, "LEPTON_TOKEN": shared.token, "LEPTON_CA": ca}

    done = subprocess.run(
        [sys.executable, "-c", "from lepton_ai.cli.main import main; main()", "apply", "-f", str(document)],
        env=environment | {"LEPTON_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode in {1, 2}
    assert "more than" in done.stderr
    assert "Hint: " in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert len(done.stderr) < 2000


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "a%00b", "x" * 5000, "%ff", "'; DROP TABLE objects"]
)
@pytest.mark.parametrize("rest", ["", "/logs", "/events", "/explain", "/result"])
def test_a_name_that_is_none_finds_nothing(shared: Platform, name: str, rest: str) -> None:
    with shared.client() as client:
        answer = client.get(f"{JOBS}/{name}{rest}")

    assert answer.status_code in {400, 404, 422}
    assert "Traceback" not in answer.text
    assert "root:" not in answer.text


def test_a_digest_that_leads_elsewhere_is_refused(shared: Platform) -> None:
    with shared.client() as client:
        answer = client.put("/api/v1/projects/default/blobs/sha256:..%2f..%2fadmin.token", content=b"mine")

    assert answer.status_code in {404, 422}
    assert shared.get("/api/v1/whoami")["user"] == "admin"


@pytest.mark.parametrize(
    "token", [b"Bearer", b"Bearer x", b"Bearer lepton_" + b"a" * 36, b"Bearer \xe4", b"Basic YTpi"]
)
def test_a_wrong_token_opens_neither_api_nor_endpoint(shared: Platform, token: bytes) -> None:
    with shared.client() as client:
        api = client.get(JOBS, headers=[(b"Authorization", token)])
        endpoint = client.get("/endpoints/default/echo/", headers=[(b"Authorization", token)])

    assert problem(api, 401)["hint"]
    assert problem(endpoint, 401)["hint"]


def test_a_token_opens_nothing_any_more_once_it_is_withdrawn(platform: Platform) -> None:
    path = serve(platform)
    with platform.client(make_token(platform, name="withdrawn")) as client:
        wait_for(lambda: client.get(path).status_code == 200, "the token to open the endpoint")
        assert client.get(JOBS).status_code == 200

        ok(platform.call("DELETE", "/api/v1/tokens/withdrawn"))

        assert "token" in problem(client.get(JOBS), 401)["detail"]
        wait_for(lambda: client.get(path).status_code == 401, "the endpoint to be closed")


def test_a_token_opens_nothing_any_more_once_it_is_over(platform: Platform) -> None:
    path = serve(platform)
    soon = SystemClock().now() + timedelta(seconds=5)
    with platform.client(make_token(platform, expires_at=soon.isoformat())) as client:
        wait_for(lambda: client.get(path).status_code == 200, "the token to open the endpoint")

        wait_for(lambda: client.get(path).status_code == 401, "the endpoint to be closed")

        wait_for(lambda: client.get(JOBS).status_code == 401, "the API to be closed")
        assert "token" in problem(client.get(JOBS), 401)["detail"]


def test_a_port_that_is_taken_is_refused_with_its_holder(make_platform: Callable[..., Platform]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        platform = make_platform(port=str(port))
        said = platform.refusal()

    assert f"Port {port}" in said
    assert f"process {os.getpid()}" in said
    assert "LEPTON_PORT" in said
    assert "Traceback" not in said
    assert platform.processes() == {}
    platform.start()


def test_a_setting_that_is_wrong_is_refused_by_name(make_platform: Callable[..., Platform]) -> None:
    said = make_platform(port="eighty").refusal()

    assert "LEPTON_PORT" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("text", ["prot = 8443", "port = ", "\x00"])
def test_a_config_file_that_is_wrong_is_refused_by_name(make_platform: Callable[..., Platform], text: str) -> None:
    platform = make_platform()
    platform.home.mkdir()
    (platform.home / "config.toml").write_text(text)

    said = platform.refusal()

    assert "config.toml" in said
    assert "Traceback" not in said


def test_an_endpoint_that_is_wrong_is_refused_by_the_name_of_the_field(shared: Platform) -> None:
    for spec, said in (
        ({"model": "../../etc/passwd"}, "inside the uploaded folder"),
        ({"model": "/etc/passwd"}, "inside the uploaded folder"),
        ({"app": "os.system('x')"}, "spec.app"),
        ({"command": ["a"], "app": "b:C"}, "exactly one"),
        ({"command": ["a"], "health_path": "/../x y"}, "spec.health_path"),
    ):
        found = problem(shared.call("POST", ENDPOINTS, {"metadata": {"name": "wrong"}, "spec": spec}), 422)
        assert said in found["detail"], spec


def make_token(platform: Platform, name: str = "", **spec: str) -> str:
    draft = {"metadata": {"name": name} if name else {}, "spec": {"user": "admin"} | spec}
    return str(ok(platform.call("POST", "/api/v1/tokens", draft))["token"])
