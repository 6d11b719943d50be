"""The load generator counts whole answers, and stops at the first that is not one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.load import Target, apply_load


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        is_known = self.headers["Authorization"] == "Bearer right"
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Length", "5")
        self.end_headers()  # sent on its own, so that an answer comes in two parts
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_answers_that_come_in_parts_are_counted_over_all_connections() -> None:
    with served() as port:
        load = apply_load(Target(port=port, token="right", body=b"hello"), 4, 0.2)

    assert load.per_second > 0
    assert 0 < load.p50_ms <= load.p99_ms
    assert load.own_us > 0


def test_a_refusal_is_not_counted_as_an_answer() -> None:
    with served() as port, pytest.raises(RuntimeError, match="401"):
        apply_load(Target(port=port, token="wrong", body=b"hello"), 1, 0.2)
