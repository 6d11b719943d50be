"""Streams behind a real HTTP server: what a client that hangs up leaves behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from tests.unit.api.platform import JOB, JOBS, Platform

CLIENTS = 50
WAIT_SECONDS_MAX = 10.0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Platform, httpx.Client]]:
    """A platform behind uvicorn on a unix socket, as the core has it, and a client."""
    platform = Platform(tmp_path)
    socket = str(tmp_path / "core.sock")
    server = uvicorn.Server(
        uvicorn.Config(platform.app, uds=socket, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    headers = {"authorization": f"Bearer {platform.admin}"}
    transport = httpx.HTTPTransport(uds=socket, limits=httpx.Limits(max_connections=CLIENTS * 2))
    with httpx.Client(transport=transport, base_url="http://core", headers=headers) as client:
        yield platform, client
    server.should_exit = True
    thread.join(WAIT_SECONDS_MAX)
    platform.close()
    assert not thread.is_alive()


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for something that another thread brings about; fails after WAIT_SECONDS_MAX."""
    for _ in range(int(WAIT_SECONDS_MAX / 0.01)):
        if is_so():
            return
        threading.Event().wait(0.01)
    pytest.fail(f"nothing happened in {WAIT_SECONDS_MAX} s")


@pytest.mark.parametrize("path", [f"{JOBS}/watch", f"{JOBS}/train/logs?follow=true", f"{JOBS[:-5]}/events?follow=true"])
def test_clients_that_hang_up_leave_nothing_behind(served: tuple[Platform, httpx.Client], path: str) -> None:
    platform, client = served
    client.post(JOBS, json={**JOB, "metadata": {"name": "train"}}).raise_for_status()
    streams = [client.send(client.build_request("GET", path), stream=True) for _ in range(CLIENTS)]
    wait_until(lambda: platform.listeners() == CLIENTS)
    for stream in streams:
        stream.close()
    wait_until(lambda: platform.listeners() == 0)


def test_a_commit_reaches_every_watcher(served: tuple[Platform, httpx.Client]) -> None:
    platform, client = served
    streams = [client.send(client.build_request("GET", f"{JOBS}/watch"), stream=True) for _ in range(CLIENTS)]
    wait_until(lambda: platform.listeners() == CLIENTS)
    client.post(JOBS, json={**JOB, "metadata": {"name": "train"}}).raise_for_status()
    first = [next(line for line in stream.iter_lines() if line.startswith("event:")) for stream in streams]
    for stream in streams:
        stream.close()
    assert first == ["event: put"] * CLIENTS
