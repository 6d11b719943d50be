"""Generators as server-sent events and as lines of JSON."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.serving.app import handler
from tests.unit.serving.conftest import Serve

pytestmark = pytest.mark.anyio
EVENTS = {"accept": "text/event-stream"}


class Streams:
    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.is_closed = False

    @handler
    async def words(self, text: str) -> AsyncIterator[str]:
        for word in text.split():
            await asyncio.sleep(0)
            yield word

    @handler
    def count(self, upto: int) -> Iterator[int]:
        try:
            for number in range(upto):
                self.threads.add(threading.get_ident())
                yield number
        finally:
            self.is_closed = True

    @handler
    def made_elsewhere(self) -> Iterator[int]:
        return iter([1, 2])

    @handler
    async def breaks(self, after: int) -> AsyncIterator[int]:
        for number in range(after):
            yield number
        raise RuntimeError("a secret of the stream")

    @handler
    async def refuses(self) -> AsyncIterator[int]:
        yield 1
        raise InvalidInput("That is too much.")


async def test_a_caller_who_accepts_events_gets_events_and_an_end(serve: Serve) -> None:
    async with serve(Streams()) as client:
        answer = await client.post("/words", json={"text": "a b"}, headers=EVENTS)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text == 'data: "a"\n\ndata: "b"\n\nevent: end\ndata: {}\n\n'


async def test_any_other_caller_gets_lines_of_json(serve: Serve) -> None:
    async with serve(Streams()) as client:
        answer = await client.post("/words", json={"text": "a b"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.text == '"a"\n"b"\n'


async def test_a_plain_generator_runs_off_the_event_loop_and_is_closed(serve: Serve) -> None:
    streams = Streams()
    async with serve(streams) as client:
        answer = await client.post("/count", json={"upto": 3})
    assert answer.text == "0\n1\n2\n"
    assert threading.get_ident() not in streams.threads
    assert streams.is_closed


async def test_a_generator_without_values_gives_an_empty_stream(serve: Serve) -> None:
    async with serve(Streams()) as client:
        answer = await client.post("/count", json={"upto": 0}, headers=EVENTS)
    assert answer.text == "event: end\ndata: {}\n\n"


async def test_a_method_that_returns_an_iterator_streams_too(serve: Serve) -> None:
    async with serve(Streams()) as client:
        assert (await client.post("/made_elsewhere")).text == "1\n2\n"


async def test_a_generator_that_fails_at_once_has_a_status_of_its_own(serve: Serve) -> None:
    async with serve(Streams()) as client:
        answer = await client.post("/breaks", json={"after": 0}, headers=EVENTS)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_failure_midway_is_the_last_event_and_keeps_its_secrets(serve: Serve) -> None:
    async with serve(Streams()) as client:
        answer = await client.post("/breaks", json={"after": 1}, headers=EVENTS)
    first, last = answer.text.strip().split("\n\n")
    assert first == "data: 0"
    assert last.startswith("event: error\ndata: ")
    assert json.loads(last.partition("data: ")[2])["detail"] == "The handler raised RuntimeError."
    assert "secret" not in answer.text


async def test_a_failure_midway_is_the_last_line(serve: Serve) -> None:
    async with serve(Streams()) as client:
        answer = await client.post("/breaks", json={"after": 1})
    assert json.loads(answer.text.splitlines()[-1])["error"]["status"] == 500


async def test_an_error_of_ours_midway_keeps_its_sentence(serve: Serve) -> None:
    async with serve(Streams()) as client:
        answer = await client.post("/refuses")
    assert json.loads(answer.text.splitlines()[-1])["error"]["detail"] == "That is too much."
