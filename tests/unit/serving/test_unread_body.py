"""An answer that goes out before its request has come in ends the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from lepton_ai.serving.unread_body import CloseUnread, Receive, Scope, Send

LENGTH = (b"content-length", b"5")


def headers_of_answer(headers: Sequence[tuple[bytes, bytes]], *, reads: bool) -> list[Any]:
    """Serve one request with an app that reads its body or does not."""
    sent: list[Scope] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(int(reads)):
            await receive()
        await send({"type": "http.response.start", "status": 404, "headers": [(b"x", b"y")]})

    async def receive() -> Scope:
        return {"type": "http.request", "body": b"hello", "more_body": False}

    async def send(message: Scope) -> None:
        sent.append(message)

    asyncio.run(CloseUnread(app)({"type": "http", "headers": list(headers)}, receive, send))
    return list(sent[0]["headers"])


@pytest.mark.parametrize("header", [LENGTH, (b"transfer-encoding", b"chunked")])
def test_an_answer_before_the_body_was_read_closes_the_connection(header: tuple[bytes, bytes]) -> None:
    assert headers_of_answer([header], reads=False) == [(b"x", b"y"), (b"connection", b"close")]


def test_an_answer_after_the_body_was_read_keeps_it() -> None:
    assert headers_of_answer([LENGTH], reads=True) == [(b"x", b"y")]


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"0")]])
def test_a_request_without_a_body_keeps_it(headers: list[tuple[bytes, bytes]]) -> None:
    assert headers_of_answer(headers, reads=False) == [(b"x", b"y")]


def test_the_last_part_of_the_answer_goes_out_once_the_client_has_stopped_sending() -> None:
    seen: list[tuple[str, bool]] = []
    parts = iter([True, True, False])

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body", "body": b"too large"})

    async def receive() -> Scope:
        more = next(parts)
        seen.append(("in", more))
        return {"type": "http.request", "body": b"x", "more_body": more}

    async def send(message: Scope) -> None:
        seen.append((message["type"], message.get("more_body", False)))

    asyncio.run(CloseUnread(app)({"type": "http", "headers": [LENGTH]}, receive, send))
    answer, last = ("http.response.body", True), ("http.response.body", False)
    assert seen == [("http.response.start", False), answer, ("in", True), ("in", True), ("in", False), last]
