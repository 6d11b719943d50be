"""The prober against real sockets: who is ready, and who never answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lepton_ai.services.endpoints import prober
from lepton_ai.services.endpoints.prober import Prober, Target, is_ready, rejoin


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


def test_targets_keep_their_turn_when_they_are_told_anew() -> None:
    """The loop tells them at each pass in its own order; whoever is last there must not be last each time."""
    first, second, third = (target(1, name=name) for name in ("first", "second", "third"))
    moved = target(2, name="third")
    assert rejoin({"third": third, "first": first}, [first, second, moved]) == [moved, first, second]


@pytest.mark.parametrize("drip", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_server_that_never_comes_to_its_answer_is_given_up_within_the_time_out(drip: bytes) -> None:
    with dripping(drip) as port:
        assert not is_ready(target(port))


@pytest.mark.parametrize("line", [b"hello\r\n", b"HTTP/1.1 2000 OK\r\n", b"x" * 5000])
def test_what_is_no_status_line_is_no_answer(line: bytes) -> None:
    with dripping(line) as port:
        assert not is_ready(target(port))


def test_whoever_answers_is_found_while_others_drip(server: int) -> None:
    with dripping(b"H") as port:
        asking = Prober(lambda _owner: None)
        asking.watch([target(port, name="drips"), target(server)])
        _until(lambda: bool(asking.ready()))
        assert asking.ready() == frozenset({"task-1"})
        asking.watch([])
        asking.close()


def test_a_path_may_have_letters_of_any_language() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        assert is_ready(target(port, "/\u00e9"))


@contextmanager
def dripping(piece: bytes) -> Iterator[int]:
    """The port of a server that sends the same piece again and again until the other side closes."""

    def drip(asked: socket.socket) -> None:
        with asked, contextlib.suppress(OSError):
            while True:
                asked.sendall(piece)
                threading.Event().wait(0.01)

    def serve(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield int(listening.getsockname()[1])
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


def _until(is_done: Callable[[], bool]) -> None:
    pause = threading.Event()
    assert any(is_done() or pause.wait(0.02) for _ in range(1000)), "it did not come about in 20 s"
