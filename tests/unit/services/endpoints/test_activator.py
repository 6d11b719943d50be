"""The activator: a request for an endpoint that sleeps wakes it, waits, and is carried there; or gets a sentence."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lepton_ai.kernel.registry import Scope
from lepton_ai.services.endpoints.activator import Activator, Sleeper
from lepton_ai.types.data_plane import Server
from lepton_ai.types.endpoint import Endpoint, EndpointState
from tests.unit.services.endpoints.samples import endpoint

SECRET = "Bearer tell-nobody"


class Echo(BaseHTTPRequestHandler):
    """Tells what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        told = json.dumps({"path": self.path, "body": body, "headers": dict(self.headers.items())}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(told)))
        self.send_header("X-Model", "digits")
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def echo() -> Iterator[Server]:
    """A replica that answers."""
    served = HTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield Server(id="task-1", address="127.0.0.1", port=served.server_port)
    served.shutdown()
    served.server_close()


class Plane:
    """What is known of one endpoint; it comes up after it was woken so often."""

    def __init__(self, of: Endpoint | None, *servers: Server, wakes: int = 3) -> None:
        self.of, self.servers, self.wakes = of, servers, wakes
        self.woken = 0

    def look(self, project: str, name: str) -> Sleeper | None:
        if self.of is None or (project, name) != ("default", "digits"):
            return None
        return Sleeper(self.of, self.servers if self.woken >= self.wakes else ())

    def wake(self, _endpoint: Endpoint) -> None:
        self.woken += 1


def ask(plane: Plane, target: str = "default/digits") -> tuple[int, dict[str, str], bytes]:
    """Send one request; return status, headers and body."""
    sent: list[Scope] = []

    async def receive() -> Scope:
        return {"type": "http.request", "body": b'{"x": 1}', "more_body": False}

    async def send(message: Scope) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/endpoints/default/digits/predict",
        "query_string": b"k=1",
        "headers": [
            (b"x-lepton-activate", target.encode()),
            (b"authorization", SECRET.encode()),
            (b"content-length", b"8"),
            (b"x-mine", b"kept"),
        ],
    }
    asyncio.run(Activator(look=plane.look, wake=plane.wake)(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent[1:])
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], headers, body


def test_a_request_wakes_the_endpoint_waits_and_is_carried_there(echo: Server) -> None:
    plane = Plane(endpoint(EndpointState.ASLEEP), echo)
    status, headers, body = ask(plane)
    told = json.loads(body)
    assert (status, headers["x-model"], plane.woken) == (201, "digits", 3)
    assert (told["path"], told["body"]) == ("/predict?k=1", '{"x": 1}')
    assert "kept" in told["headers"].values()


def test_the_callers_token_does_not_reach_the_replica(echo: Server) -> None:
    _, _, body = ask(Plane(endpoint(), echo, wakes=0))
    assert "tell-nobody" not in body.decode()
    assert "x-lepton-activate" not in body.decode().lower()


@pytest.mark.parametrize(
    ("of", "status", "sentence"),
    [
        (None, 404, "There is no endpoint 'digits' in project 'default'."),
        (endpoint(replicas=0), 503, "is scaled to 0. Start it: lepton endpoint scale digits 1"),
        (endpoint(EndpointState.FAILED), 503, "Endpoint 'digits' fails"),
        (endpoint(start_timeout=0), 503, "did not wake in 0 s"),
    ],
)
def test_a_request_that_waits_in_vain_gets_a_sentence(of: Endpoint | None, status: int, sentence: str) -> None:
    found, headers, body = ask(Plane(of))
    assert (found, headers["content-type"]) == (status, "application/problem+json")
    assert sentence in json.loads(body)["detail"]


def test_a_replica_that_is_gone_by_then_is_an_answer_too() -> None:
    gone = Server(id="task-1", address="127.0.0.1", port=1)
    status, _, body = ask(Plane(endpoint(), gone, wakes=0))
    assert (status, json.loads(body)["detail"]) == (502, "The replica did not answer: ConnectError.")
