"""The trivial app that both sides serve, and its processes: bare under uvicorn, or as an endpoint of the platform."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton_ai import LeptonAI

START_SECONDS_MAX = 60.0
BODY = b"hello, benchmark"
SOURCE = f"""
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"{len(BODY)}")]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": {BODY!r}}})
"""


def write_app(folder: Path) -> None:
    """Write the app's module into `folder`."""
    (folder / "trivial.py").write_text(SOURCE)


def command(folder: Path, port: int, loop: str) -> list[str]:
    """Return the command that serves the app, the same on both sides."""
    uvicorn = f"-m uvicorn trivial:app --port {port} --loop {loop} --http httptools --no-access-log --lifespan off"
    return [sys.executable, *uvicorn.split(), "--log-level", "warning", "--app-dir", str(folder)]


@contextmanager
def bare_server(folder: Path, loop: str) -> Iterator[int]:
    """Serve the app with nothing around it; give its port."""
    port = free_port()
    process = subprocess.Popen(command(folder, port, loop))
    try:
        wait_until_open(port)
        yield port
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def endpoint(lepton: LeptonAI, folder: Path, loop: str) -> Iterator[int]:
    """Serve the app as the endpoint `trivial`; give the port of its one replica."""
    port = free_port()
    handle = lepton.endpoints.create("trivial", command=command(folder, port, loop), port=port)
    try:
        handle.wait_ready(START_SECONDS_MAX)
        yield port
    finally:
        handle.delete()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until_open(port: int) -> None:
    """Return once something listens on the port; raises OSError if nothing does in time."""
    give_up = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)
