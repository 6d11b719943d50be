"""What a stranger finds at a port is told apart, and only a refusal counts as shut."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import psutil
import pytest

from lepton_ai.backends.certificates import ensure_certificates
from lepton_ai.backends.ray_cluster import doors
from lepton_ai.backends.ray_cluster.doors import Answer, Finding, Listener, knock
from lepton_ai.errors import Forbidden

HOST = "127.0.0.1"
SETTINGS_FRAME = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # RFC 9113: the first that an HTTP/2 server says
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@contextmanager
def serving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Answer each connection with `serve`; give the port."""
    with socket.create_server((HOST, 0)) as door:

        def run() -> None:
            while True:
                try:
                    connection, _ = door.accept()
                    with connection:
                        serve(connection)
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


def http_answering(answers: Callable[[str, str], HTTPStatus]) -> Callable[[socket.socket], None]:
    """Return a server that answers by method and path and bearer."""

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers(f"{self.command} {self.path}", self.headers.get("Authorization", "")))
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_words: object) -> None:
            pass

    def serve(connection: socket.socket) -> None:
        Answering(connection, (HOST, 0), None)  # type: ignore[arg-type]

    return serve


def saying(words: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(words)

    return serve


def tls(folder: Path, after: bytes, *, asks: bool) -> Callable[[socket.socket], None]:
    """Return a server that speaks TLS, wants a certificate if it `asks`, and then says `after`."""
    files = ensure_certificates(folder, [], NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.server_pem)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(4096)
            wrapped.sendall(after)

    return serve


def test_http_that_refuses_everything_is_shut() -> None:
    with serving(http_answering(lambda _request, _bearer: HTTPStatus.UNAUTHORIZED)) as port:
        assert knock(HOST, port) == (Answer.REFUSED, "")


def test_metrics_for_everybody_are_an_open_door() -> None:
    answers = {"GET /metrics": HTTPStatus.OK}
    with serving(http_answering(lambda request, _: answers.get(request, HTTPStatus.UNAUTHORIZED))) as port:
        assert knock(HOST, port) == (Answer.OPEN, "GET /metrics answers 200")


def test_taking_jobs_from_strangers_is_an_open_door() -> None:
    answers = {"POST /api/jobs/": HTTPStatus.OK}
    with serving(http_answering(lambda request, _: answers.get(request, HTTPStatus.FORBIDDEN))) as port:
        assert knock(HOST, port) == (Answer.OPEN, "POST /api/jobs/ answers 200")


def test_a_port_that_takes_any_token_is_an_open_door() -> None:
    by_bearer = {"": HTTPStatus.UNAUTHORIZED}
    with serving(http_answering(lambda _request, bearer: by_bearer.get(bearer, HTTPStatus.NOT_FOUND))) as port:
        assert knock(HOST, port) == (Answer.OPEN, "GET /metrics answers 404 with a wrong token")


def test_grpc_without_tls_is_an_open_door() -> None:
    with serving(saying(SETTINGS_FRAME)) as port:
        assert knock(HOST, port) == (Answer.OPEN, "it answers without TLS")


def test_tls_that_hangs_up_on_who_has_no_certificate_is_shut(tmp_path: Path) -> None:
    with serving(tls(tmp_path, SETTINGS_FRAME, asks=True)) as port:
        assert knock(HOST, port) == (Answer.MUTUAL_TLS, "")


def test_tls_that_talks_to_everybody_is_an_open_door(tmp_path: Path) -> None:
    with serving(tls(tmp_path, SETTINGS_FRAME, asks=False)) as port:
        assert knock(HOST, port) == (Answer.OPEN, "it takes TLS without a certificate")


def test_a_port_that_says_nothing_is_shut() -> None:
    with serving(saying(b"")) as port:
        assert knock(HOST, port) == (Answer.SILENT, "")


def test_what_listens_on_loopback_alone_is_no_door() -> None:
    with socket.create_server((HOST, 0)), socket.create_server(("0.0.0.0", 0)) as door:
        found = doors.listeners([psutil.Process()])
        assert [(one.address, one.port) for one in found if one.port == door.getsockname()[1]] == [
            ("0.0.0.0", door.getsockname()[1])
        ]
        assert not [one for one in found if one.address == HOST]


def test_an_open_door_is_refused_with_its_address_and_its_reason() -> None:
    shut = Finding(Listener("10.0.0.1", 1, "raylet"), Answer.MUTUAL_TLS)
    wide = Finding(Listener("0.0.0.0", 2, "python"), Answer.OPEN, "GET /metrics answers 200")
    doors.check([shut])
    with pytest.raises(Forbidden, match=r"1 of its ports .* python on 0.0.0.0:2: GET /metrics answers 200"):
        doors.check([shut, wide])
