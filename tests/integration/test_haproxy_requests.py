"""What a client meets at the one HTTPS port: routes, tokens, headers, and answers when something is missing."""

from __future__ import annotations

import hashlib
import socket
import ssl
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lepton_ai.types.data_plane import EndpointRoute, TokenGrant
from tests.integration.haproxy_rig import ADMIN, EXPIRED, FOREIGN, TOKEN, Rig, poll, rig_in, route


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One plane for all: a served endpoint, one that sleeps, and the core."""
    with rig_in(tmp_path_factory.mktemp("home")) as made:
        made.core()
        made.serve(route(made.replica().server("r1")), route(name="asleep"), route(name="other", project="speech"))
        yield made


def test_an_endpoint_is_served_with_its_prefix_removed(rig: Rig) -> None:
    seen = rig.get("/endpoints/vision/digits/predict/a%20b?top=3&top=4").json()
    assert seen["target"] == "/predict/a%20b?top=3&top=4"
    assert seen["headers"]["x-forwarded-prefix"] == "/endpoints/vision/digits"
    assert seen["headers"]["x-lepton-project"] == "vision"
    assert seen["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert seen["headers"]["x-forwarded-proto"] == "https"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/endpoints/vision/digits", "/"),
        ("/endpoints/vision/digits/", "/"),
        ("/endpoints/vision/digits?a=1", "/?a=1"),
        ("/endpoints/vision/digits/x//y/", "/x//y/"),
    ],
)
def test_the_rest_of_the_path_reaches_the_replica_as_it_is(rig: Rig, path: str, target: str) -> None:
    assert rig.get(path).json()["target"] == target


def test_a_body_reaches_the_replica(rig: Rig) -> None:
    with rig.client() as client:
        answer = client.post("/endpoints/vision/digits/predict", content=b"x" * 100_000)
    assert answer.json()["body"] == "x" * 100_000


@pytest.mark.parametrize("path", ["/api/v1/jobs?limit=2", "/ui/", "/docs", "/openapi.json", "/endpointsx", "/"])
def test_everything_else_goes_to_the_core_with_its_own_token_check(rig: Rig, path: str) -> None:
    seen = rig.get(path).json()
    assert seen["target"] == path
    assert seen["headers"]["authorization"] == f"Bearer {TOKEN}".lower()


@pytest.mark.parametrize("token", ["", "unknown", EXPIRED, "*", f"{TOKEN}x"])
def test_a_missing_unknown_or_expired_token_is_401(rig: Rig, token: str) -> None:
    answer = rig.get("/endpoints/vision/digits/", token)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == 'Bearer realm="lepton"'
    assert answer.json()["code"] == "unauthenticated"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "header",
    [
        f"Basic {TOKEN}",
        f"Bearer  {TOKEN} x",
        TOKEN,
        "Bearer",
        "Bearer *",
        f"Bearer {hashlib.sha256(TOKEN.encode()).hexdigest()}",
    ],
)
def test_another_form_of_authorization_is_401(rig: Rig, header: str) -> None:
    assert rig.get("/endpoints/vision/digits/", "", Authorization=header).status_code == 401


def test_two_authorization_headers_are_401(rig: Rig) -> None:
    with rig.client("") as client:
        headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {ADMIN}")]
        assert client.get("/endpoints/vision/digits/", headers=headers).status_code == 401


def test_the_scheme_is_matched_without_regard_to_case(rig: Rig) -> None:
    assert rig.get("/endpoints/vision/digits/", "", Authorization=f"bEARER {TOKEN}").status_code == 200


@pytest.mark.parametrize(
    "path", ["vision/digits/", "vision/missing/", "nowhere/digits/", "%76ision/digits/", "%2e%2e/vision"]
)
def test_a_token_of_another_project_cannot_tell_what_exists(rig: Rig, path: str) -> None:
    answer = rig.get(f"/endpoints/{path}", FOREIGN)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("token", [TOKEN, ADMIN])
def test_an_unknown_endpoint_of_an_own_project_is_404(rig: Rig, token: str) -> None:
    answer = rig.get("/endpoints/vision/missing/", token)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_an_admin_token_opens_every_project(rig: Rig) -> None:
    assert rig.get("/endpoints/vision/digits/", ADMIN).status_code == 200


def test_a_replica_never_sees_the_token_a_cookie_or_a_forged_header(rig: Rig) -> None:
    with rig.client() as client:
        forged = {
            "X-Lepton-Project": "speech",
            "x-lepton-gateway": "guess",
            "X_Lepton_Project": "speech",
            "X-Lepton-Anything": "1",
            "X-Forwarded-For": "10.0.0.1",
            "X-Forwarded-Prefix": "/evil",
            "Forwarded": "for=10.0.0.1",
            "Cookie": "session=admin",
        }
        answer = client.get("/endpoints/vision/digits/", headers=forged)
    headers = answer.json()["headers"]
    assert {name for name in headers if "lepton" in name} == {"x-lepton-project"}
    assert headers["x-lepton-project"] == "vision"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert not {"authorization", "cookie", "forwarded"} & headers.keys()
    assert "set-cookie" not in answer.headers
    assert rig.plane.secret not in answer.text


def test_the_core_cannot_be_told_that_a_request_was_checked(rig: Rig) -> None:
    forged = {"X-Lepton-Activate": "vision/digits", "X-Lepton-Gateway": "x", "x_lepton_gateway": "x"}
    with rig.client() as client:
        headers = client.get("/api/v1/jobs", headers=forged).json()["headers"]
    assert not [name for name in headers if "lepton" in name]


@pytest.mark.parametrize("given", ["a b", "x" * 65, "'\"", "%[src]"])
def test_a_request_id_that_is_no_identifier_is_replaced(rig: Rig, given: str) -> None:
    answer = rig.get("/endpoints/vision/digits/", X_Request_Id=given)
    assert answer.headers["x-request-id"] != given
    assert answer.json()["headers"]["x-request-id"] == answer.headers["x-request-id"]


def test_a_request_id_of_the_client_is_kept(rig: Rig) -> None:
    answer = rig.get("/endpoints/vision/digits/", X_Request_Id="trace-7")
    assert (answer.headers["x-request-id"], answer.json()["headers"]["x-request-id"]) == ("trace-7", "trace-7")


def test_a_request_for_a_sleeping_endpoint_goes_to_the_core_checked_and_whole(rig: Rig) -> None:
    seen = rig.get("/endpoints/vision/asleep/predict?x=1").json()
    assert seen["target"] == "/endpoints/vision/asleep/predict?x=1"
    assert seen["headers"]["x-lepton-activate"] == "vision/asleep"
    assert seen["headers"]["x-lepton-gateway"] == rig.plane.secret
    assert seen["headers"]["x-lepton-project"] == "vision"
    assert "authorization" not in seen["headers"]


@pytest.mark.parametrize(("token", "status"), [("unknown", 401), (FOREIGN, 403)])
def test_a_sleeping_endpoint_is_not_woken_without_a_right_to_it(rig: Rig, token: str, status: int) -> None:
    assert rig.get("/endpoints/vision/asleep/", token).status_code == status


def test_the_port_speaks_http2_and_tls_1_3(rig: Rig) -> None:
    context = ssl.create_default_context(cafile=str(rig.tls.ca))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", rig.desired.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert (secure.selected_alpn_protocol(), secure.version()) == ("h2", "TLSv1.3")


def test_tls_1_1_is_refused(rig: Rig) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", rig.desired.port), timeout=5) as plain, pytest.raises(OSError):  # noqa: PT011
        context.wrap_socket(plain)


def test_headers_that_are_too_large_are_refused_and_hurt_nobody(rig: Rig) -> None:
    # The page is HAProxy's own: before 3.2 it answers so early without looking at `http-error` (haproxy#3032).
    assert rig.get("/endpoints/vision/digits/", X_Large="x" * 20_000).status_code == 400
    assert rig.get("/endpoints/vision/digits/").status_code == 200


def test_an_upgrade_to_anything_but_websocket_is_not_passed_on(rig: Rig) -> None:
    headers = rig.get("/endpoints/vision/digits/", Upgrade="h2c", Connection="Upgrade, HTTP2-Settings").json()[
        "headers"
    ]
    assert "upgrade" not in headers


@pytest.mark.parametrize("path", ["/endpoints/vision/digits/socket", "/endpoints/vision/asleep/socket", "/ui/socket"])
def test_a_websocket_goes_through_both_ways(rig: Rig, path: str) -> None:
    with _connect(rig) as secure:
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        secure.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{upgrade}\r\n\r\n".encode())
        assert b"101 Switching Protocols" in secure.recv(4096)
        secure.sendall(b"frame")
        assert secure.recv(4096) == b"frame"


def test_a_full_queue_is_refused_with_when_to_come_back(tmp_path: Path) -> None:
    with rig_in(tmp_path) as own, own.client() as first, own.client() as second:
        busy = replace(
            route(own.replica().server("r1"), max_concurrency=1), queue_max=1, queue_timeout=timedelta(seconds=20)
        )
        own.serve(busy)
        with first.stream("GET", "/endpoints/vision/digits/stream?5"):
            waiting = _send_and_leave(own, "/endpoints/vision/digits/")
            poll(lambda: own.plane.figures()["vision", "digits"].queued == 1, "a request to queue")
            answer = second.get("/endpoints/vision/digits/")
        waiting.close()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "queue is full" in answer.json()["detail"]


def test_without_the_core_the_api_says_how_to_start_it_and_endpoints_go_on(tmp_path: Path) -> None:
    with rig_in(tmp_path) as own:
        own.serve(route(own.replica().server("r1")), route(name="asleep"))
        api, awake, asleep = (
            own.get(path) for path in ("/api/v1/jobs", "/endpoints/vision/digits/", "/endpoints/vision/asleep/")
        )
        expired = own.get("/endpoints/vision/digits/", EXPIRED)
    assert (api.status_code, api.json()["hint"]) == (503, "Start it: lepton up")
    assert awake.status_code == 200
    assert (asleep.status_code, asleep.json()["hint"]) == (503, "Start the core: lepton up")
    assert expired.status_code == 401


def test_a_token_that_is_withdrawn_or_given_counts_at_once_and_without_a_reload(tmp_path: Path) -> None:
    with rig_in(tmp_path) as own:
        own.serve(route(own.replica().server("r1")))
        before = own.get("/endpoints/vision/digits/").status_code
        given = TokenGrant(hashlib.sha256(b"new").hexdigest(), "vision")
        own.desired = replace(own.desired, tokens=(given,))
        own.serve(*own.desired.endpoints)
        after = (
            own.get("/endpoints/vision/digits/").status_code,
            own.get("/endpoints/vision/digits/", "new").status_code,
        )
        # HAProxy counts a request after its answer is sent. A reload would have started the count anew.
        poll(lambda: own.plane.figures()["vision", "digits"].requests_total == 2, "both requests to be counted")
    assert before == 200
    assert after == (401, 200)


def test_the_route_of_another_project_is_not_touched(rig: Rig) -> None:
    assert EndpointRoute(project="speech", name="other") in rig.desired.endpoints
    assert rig.get("/endpoints/speech/other/", FOREIGN).json()["headers"]["x-lepton-activate"] == "speech/other"


def _connect(rig: Rig) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(rig.tls.ca))
    plain = socket.create_connection(("127.0.0.1", rig.desired.port), timeout=20)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def _send_and_leave(rig: Rig, path: str) -> ssl.SSLSocket:
    secure = _connect(rig)
    secure.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    return secure
