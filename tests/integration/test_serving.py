"""A replica as it really runs: its own process, port and signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.unit.serving.models import save_digits

SECONDS_MAX = 30.0
APP = """
import asyncio
import pathlib
import time

from lepton_ai.serving.app import handler


class App:
    @handler
    def slow(self, seconds: float) -> str:
        pathlib.Path("started").touch()
        time.sleep(seconds)
        return "finished"

    @handler
    async def stream(self):
        yield 1
        while not pathlib.Path("let-go").exists():
            await asyncio.sleep(0.01)
        yield 2

    @handler
    async def wait(self) -> None:
        pathlib.Path("started").touch()
        try:
            await asyncio.sleep(3600)
        finally:
            pathlib.Path("cancelled").touch()

    @handler
    async def echo(self, text: str) -> str:
        return text

    async def aclose(self) -> None:
        pathlib.Path("closed").touch()


class Broken:
    def __init__(self) -> None:
        raise OSError("weights are missing")


class Empty:
    pass


class Loading:
    def __init__(self) -> None:
        pathlib.Path("started").touch()
        time.sleep(3600)
"""
Start = Callable[..., tuple[subprocess.Popen[str], str]]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def until(is_true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + SECONDS_MAX
    while not is_true():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.02)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a replica that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "lepton_ai.serving", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served.py").write_text(APP)
    (tmp_path / "needy.py").write_text("import no_such_package\n")
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Return a function that starts a replica and waits until it answers."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "lepton_ai.serving", *arguments],
            cwd=folder,
            env={**os.environ, "PORT": str(port)},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        until(lambda: answers(f"http://127.0.0.1:{port}"))
        return process, f"http://127.0.0.1:{port}"

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_sigterm_lets_calls_in_flight_finish_then_closes_and_exits_0(start: Start, folder: Path) -> None:
    process, url = start("--app", "served:App")
    with httpx.Client() as client, client.stream("POST", f"{url}/stream") as answer:
        lines = answer.iter_lines()
        first = next(lines)
        process.send_signal(signal.SIGTERM)
        # Refused connections are how a caller sees that it accepts no more; the stream goes on meanwhile.
        until(lambda: not answers(url))
        (folder / "let-go").touch()
        assert [first, *lines] == ["1", "2"]
    assert process.wait(SECONDS_MAX) == 0
    assert (folder / "closed").exists()


def test_sigterm_while_the_app_is_being_built_ends_at_once_with_0(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lepton_ai.serving", "--app", "served:Loading"],
        cwd=folder,
        env={**os.environ, "PORT": str(free_port())},
    )
    try:
        until((folder / "started").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0
    finally:
        process.kill()
        process.wait()


def test_a_call_that_outlives_the_grace_does_not_keep_the_process(start: Start, folder: Path) -> None:
    process, url = start("--app", "served:App", "--grace-seconds", "1")
    with httpx.Client() as client, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as caller:
        body = b'{"seconds": 3600}'
        caller.sendall(b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        until((folder / "started").exists)
        assert client.post(f"{url}/echo", json={"text": "a"}).json() == "a"
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0
    assert (folder / "closed").exists()


def test_a_caller_who_hangs_up_cancels_its_call(start: Start, folder: Path) -> None:
    _, url = start("--app", "served:App")
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as caller:
        caller.sendall(b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
        until((folder / "started").exists)
    until((folder / "cancelled").exists)


def test_a_body_above_the_limit_gets_its_answer_while_it_is_still_being_sent(start: Start) -> None:
    _, url = start("--app", "served:App", "--body-bytes-max", "1000")
    with httpx.Client() as client:
        refused = client.post(f"{url}/echo", content=b"x" * 20_000_000)
        assert client.post(f"{url}/echo", json={"text": "a"}).json() == "a"
    assert refused.status_code == 413


def test_a_model_file_is_served(start: Start, folder: Path) -> None:
    save_digits(folder / "digits.onnx")
    process, url = start("--model", "digits.onnx", "--name", "d1", "--max-batch-size", "8")
    assert httpx.get(f"{url}/v2/models/d1/ready").status_code == 200
    assert httpx.post(f"{url}/predict", json=[[[1, 2], [3, 4]]]).json() == {"outputs": {"sum": [[10.0]]}}
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS_MAX) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--app", "absent:App"], "Module 'absent' is not in"),
        (["--app", "served:Ap"], "Module 'served' has no class 'Ap'. It has: App, Broken, Empty, Loading."),
        (["--app", "served"], "'served' names no class."),
        (["--app", "served:Empty"], "Empty has no handlers."),
        (["--app", "served:Broken"], "Broken() raised OSError: weights are missing."),
        (["--app", "needy:App"], "Module 'needy' imports 'no_such_package', which is not installed."),
        (["--model", "served.py"], "is not an ONNX model"),
        (["--model", "absent.onnx"], "There is no file 'absent.onnx'."),
    ],
)
def test_what_cannot_be_served_is_said_in_the_last_line(folder: Path, arguments: list[str], sentence: str) -> None:
    ended = run(folder, *arguments, PORT=str(free_port()))
    assert ended.returncode == 1
    assert sentence in ended.stderr.splitlines()[-1]


def test_the_traceback_of_a_constructor_is_in_the_log(folder: Path) -> None:
    ended = run(folder, "--app", "served:Broken", PORT=str(free_port()))
    assert 'raise OSError("weights are missing")' in ended.stderr


@pytest.mark.parametrize(("port", "sentence"), [("", "PORT is not set"), ("web", "PORT is 'web'")])
def test_a_missing_or_senseless_port_is_named(folder: Path, port: str, sentence: str) -> None:
    ended = run(folder, "--app", "served:App", PORT=port)
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_told_before_the_app_is_built(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run(folder, "--app", "served:Broken", PORT=str(port))
    assert ended.returncode == 1
    assert ended.stderr == f"error: Port {port} on 127.0.0.1 is taken. Choose another PORT.\n"
