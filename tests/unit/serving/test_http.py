"""The limits and refusals of the HTTP layer, and what happens when a caller goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lepton_ai.serving.app import handler
from lepton_ai.serving.http import Application
from lepton_ai.serving.metrics import Metrics
from lepton_ai.serving.routes import routes_of
from tests.unit.serving.conftest import Serve

pytestmark = pytest.mark.anyio


class Slow:
    """Handlers that go on until they are cancelled or let go."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.let_go = asyncio.Event()

    @handler(max_waiting=2)
    async def wait(self) -> str:
        self.started.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return "done"

    @handler
    async def endless(self) -> AsyncIterator[int]:
        self.started.set()
        try:
            yield 1
            await self.let_go.wait()
        finally:
            self.cancelled.set()

    @handler
    async def echo(self, text: str) -> str:
        return text


async def chunked(size: int) -> AsyncIterator[bytes]:
    for _ in range(size):
        yield b"x"


async def test_a_body_above_the_limit_is_answered_413_with_both_numbers(serve: Serve) -> None:
    async with serve(Slow(), body_bytes_max=100) as client:
        answer = await client.post("/echo", json={"text": "x" * 200})
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert "limit is 100" in answer.json()["detail"]


async def test_a_body_of_unknown_length_is_bounded_too(serve: Serve) -> None:
    async with serve(Slow(), body_bytes_max=100) as client:
        answer = await client.post("/echo", content=chunked(200))
    assert answer.status_code == 413


async def test_a_body_in_pieces_is_put_together(serve: Serve) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"text"'
        yield b': "hello"}'

    async with serve(Slow()) as client:
        assert (await client.post("/echo", content=pieces())).json() == "hello"


async def test_an_unknown_path_names_the_known_ones(serve: Serve) -> None:
    async with serve(Slow()) as client:
        answer = await client.post("/ecko", json={})
    assert answer.status_code == 404
    assert "/echo" in answer.json()["hint"]


async def test_a_wrong_method_names_the_right_one(serve: Serve) -> None:
    async with serve(Slow()) as client:
        answer = await client.get("/echo")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


async def test_one_call_too_many_is_answered_429_with_when_to_come_back(serve: Serve) -> None:
    slow = Slow()
    async with serve(slow) as client:
        inside = [asyncio.create_task(client.post("/wait")) for _ in range(2)]
        await slow.started.wait()
        await asyncio.sleep(0)
        refused = await client.post("/wait")
        slow.let_go.set()
        answered = await asyncio.gather(*inside)
        after = await client.post("/wait")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert "limit is 2" in refused.json()["detail"]
    assert [answer.json() for answer in (*answered, after)] == ["done"] * 3


@pytest.mark.parametrize("name", ["wait", "endless"])
async def test_a_caller_who_goes_away_cancels_the_handler(name: str) -> None:
    slow, metrics = Slow(), Metrics()
    application = Application(routes_of(slow, ThreadPoolExecutor(1), metrics), metrics)
    sent: list[Any] = []
    body_was_read = False

    async def receive() -> dict[str, Any]:
        nonlocal body_was_read
        while body_was_read:
            await slow.started.wait()
            return {"type": "http.disconnect"}
        body_was_read = True
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": f"/{name}", "headers": []}
    async with asyncio.timeout(10):
        await application(scope, receive, send)
        await slow.cancelled.wait()
    assert f'{{handler="{name}",status="499"}} 1' in metrics.expose().decode()
    assert not any(message.get("more_body") is False for message in sent)
