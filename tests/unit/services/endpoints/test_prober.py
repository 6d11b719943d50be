"""The prober against real sockets: who is ready, and who never answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lepton_ai.services.endpoints import prober
from lepton_ai.services.endpoints.prober import Prober, Target, is_ready


class Answers(BaseHTTPRequestHandler):
    """Answers each path with the status that it names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a server."""
    served = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served.server_port
    served.shutdown()
    served.server_close()


def target(port: int, path: str = "/200", name: str = "task-1") -> Target:
    return Target(name, "127.0.0.1", port, path, f"owner-of-{name}")


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.parametrize(("path", "ready"), [("/200", True), ("/404", True), ("/401", True), ("/503", False)])
def test_a_server_is_ready_unless_it_says_that_it_fails(server: int, path: str, ready: bool) -> None:
    assert is_ready(target(server, path)) is ready


def test_without_a_path_a_connection_is_enough(server: int) -> None:
    assert is_ready(target(server, ""))
    assert not is_ready(target(closed_port(), ""))


def test_a_server_that_is_not_there_is_not_ready() -> None:
    assert not is_ready(target(closed_port()))


def test_whoever_answers_is_ready_and_its_owner_is_told(server: int) -> None:
    told: list[str] = []
    asking = Prober(told.append)
    asking.watch([target(server), target(closed_port(), name="task-2")])
    _until(lambda: bool(told))
    assert (asking.ready(), told) == (frozenset({"task-1"}), ["owner-of-task-1"])
    asking.close()


def test_whoever_is_watched_no_more_is_forgotten(server: int) -> None:
    asking = Prober(lambda _owner: None)
    asking.watch([target(server)])
    _until(lambda: bool(asking.ready()))
    asking.watch([])
    assert asking.ready() == frozenset()
    asking.close()


def test_those_that_the_data_plane_knows_to_be_up_need_not_be_asked() -> None:
    asking = Prober(lambda _owner: None)
    asking.trust(["task-1"])
    asking.watch([target(closed_port())])
    assert asking.ready() == frozenset({"task-1"})
    asking.close()


def test_nobody_waits_for_ever_behind_those_that_never_answer(server: int) -> None:
    asking, port = Prober(lambda _owner: None), closed_port()
    dead = [target(port, name=f"dead-{number}") for number in range(prober.ROUND_MAX)]
    asking.watch([*dead, target(server)])
    _until(lambda: bool(asking.ready()))
    assert asking.ready() == frozenset({"task-1"})
    asking.close()


def _until(is_done: Callable[[], bool]) -> None:
    pause = threading.Event()
    assert any(is_done() or pause.wait(0.02) for _ in range(1000)), "it did not come about in 20 s"
