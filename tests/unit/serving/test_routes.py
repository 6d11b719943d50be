"""A class served over HTTP: what callers send and get."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from lepton_ai.errors import InvalidInput, NotFound
from lepton_ai.serving.app import handler
from tests.unit.serving.conftest import Serve

pytestmark = pytest.mark.anyio


@dataclass
class Point:
    x: int
    y: float = 0.5


class Label(BaseModel):
    name: str
    score: float


class Served:
    """Every kind of plain handler."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    @handler
    async def echo(self, text: str, times: int = 1, suffix: str | None = None) -> str:
        """Repeat a text."""
        return text * times + (suffix or "")

    @handler
    def move(self, point: Point, by: int) -> Point:
        return Point(point.x + by, point.y)

    @handler
    def label(self, labels: list[Label]) -> Label:
        return max(labels, key=lambda each: each.score)

    @handler
    def matrix(self) -> Any:
        return {"matrix": np.eye(2), "best": np.int64(3), "score": np.float32(0.5), "bad": float("nan")}

    @handler(max_batch_size=4, max_wait_ms=60_000)
    def double(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        return [2 * number for number in numbers]

    @handler(max_batch_size=2, max_wait_ms=0)
    def arrays(self, numbers: list[float], factors: list[float]) -> Any:
        return np.asarray(numbers) * np.asarray(factors)

    @handler(max_batch_size=2, max_wait_ms=0)
    def short(self, numbers: list[int]) -> list[int]:
        return numbers[:-1]

    @handler
    def fail(self) -> None:
        raise KeyError("a secret of the handler")

    @handler
    def missing(self) -> None:
        raise NotFound("There is no digit 12.", hint="Ask for 0 to 9.")

    @handler
    def unwritable(self) -> object:
        return object()


async def test_arguments_and_defaults_reach_the_handler(serve: Serve) -> None:
    async with serve(Served()) as client:
        assert (await client.post("/echo", json={"text": "ab"})).json() == "ab"
        assert (await client.post("/echo", json={"text": "a", "times": 2, "suffix": "!"})).json() == "aa!"


async def test_dataclasses_and_models_are_read_and_written(serve: Serve) -> None:
    async with serve(Served()) as client:
        moved = await client.post("/move", json={"point": {"x": 1}, "by": 2})
        best = await client.post("/label", json={"labels": [{"name": "a", "score": 1}, {"name": "b", "score": 2}]})
    assert moved.json() == {"x": 3, "y": 0.5}
    assert best.json() == {"name": "b", "score": 2.0}


async def test_arrays_are_written_as_lists_and_nan_as_null(serve: Serve) -> None:
    async with serve(Served()) as client:
        result = (await client.post("/matrix")).json()
    assert result == {"matrix": [[1.0, 0.0], [0.0, 1.0]], "best": 3, "score": 0.5, "bad": None}


async def test_a_wrong_argument_is_answered_422_with_the_path_of_the_field(serve: Serve) -> None:
    async with serve(Served()) as client:
        answer = await client.post("/label", json={"labels": [{"name": "a", "score": 1}, {"name": "b", "score": "x"}]})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == "#/labels/1/score"


async def test_a_body_that_is_not_json_is_answered_400(serve: Serve) -> None:
    async with serve(Served()) as client:
        answer = await client.post("/echo", content=b'{"text": ')
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_json"


async def test_a_handler_that_raises_gives_its_type_and_never_its_text(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(Served()) as client:
        answer = await client.post("/fail", headers={"x-request-id": "abc-1"})
    assert answer.status_code == 500
    assert "KeyError" in answer.json()["detail"]
    assert "secret" not in answer.text
    assert answer.json()["request_id"] == "abc-1"
    assert "abc-1" in caplog.text
    assert "a secret of the handler" in caplog.text


async def test_an_error_of_ours_that_a_handler_raises_keeps_its_status_and_sentence(serve: Serve) -> None:
    async with serve(Served()) as client:
        answer = await client.post("/missing")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "There is no digit 12."
    assert answer.json()["hint"] == "Ask for 0 to 9."


async def test_a_result_without_a_json_form_is_answered_500_with_what_to_return(serve: Serve) -> None:
    async with serve(Served()) as client:
        answer = await client.post("/unwritable")
    assert answer.status_code == 500
    assert "object has no JSON form" in answer.json()["detail"]


async def test_calls_of_a_batched_handler_are_joined_and_split_back(serve: Serve) -> None:
    served = Served()
    async with serve(served) as client:
        bodies = ([1], [2, 3], [4])
        answers = await asyncio.gather(*(client.post("/double", json={"numbers": body}) for body in bodies))
    assert [answer.json() for answer in answers] == [[2], [4, 6], [8]]
    assert [sorted(batch) for batch in served.batches] == [[1, 2, 3, 4]]


async def test_a_call_longer_than_a_batch_is_cut_into_batches(serve: Serve) -> None:
    served = Served()
    async with serve(served) as client:
        answer = await client.post("/double", json={"numbers": list(range(8))})
    assert answer.json() == [2 * number for number in range(8)]
    assert served.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]


async def test_a_call_without_items_is_answered_without_the_handler(serve: Serve) -> None:
    served = Served()
    async with serve(served) as client:
        assert (await client.post("/double", json={"numbers": []})).json() == []
    assert served.batches == []


async def test_a_batched_handler_may_return_an_array(serve: Serve) -> None:
    async with serve(Served()) as client:
        answer = await client.post("/arrays", json={"numbers": [1, 2], "factors": [3, 4]})
    assert answer.json() == [3.0, 8.0]


async def test_lists_of_different_lengths_are_refused_with_the_lengths(serve: Serve) -> None:
    async with serve(Served()) as client:
        answer = await client.post("/arrays", json={"numbers": [1, 2], "factors": [3]})
    assert answer.status_code == 422
    assert "numbers holds 2, factors holds 1" in answer.json()["detail"]


async def test_a_wrong_number_of_results_is_named(serve: Serve) -> None:
    async with serve(Served()) as client:
        answer = await client.post("/short", json={"numbers": [1, 2]})
    assert answer.status_code == 500
    assert answer.json()["detail"] == "The handler 'short' was given 2 items and returned 1 results."


async def test_the_root_lists_the_handlers(serve: Serve) -> None:
    async with serve(Served()) as client:
        listed = (await client.get("/")).json()["handlers"]
    assert listed[0] == {"name": "echo", "path": "/echo", "description": "Repeat a text."}


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_a_replica_that_answers_is_healthy(serve: Serve, path: str) -> None:
    async with serve(Served()) as client:
        assert (await client.get(path)).status_code == 200


async def test_calls_and_batches_are_counted(serve: Serve) -> None:
    async with serve(Served()) as client:
        await client.post("/echo", json={"text": "a"})
        await client.post("/echo", json={"wrong": "a"})
        await client.post("/double", json={"numbers": [1, 2, 3, 4]})
        lines = (await client.get("/metrics")).text.splitlines()
    assert 'lepton_serving_requests_total{handler="echo",status="200"} 1' in lines
    assert 'lepton_serving_requests_total{handler="echo",status="422"} 1' in lines
    assert 'lepton_serving_request_seconds_count{handler="echo"} 2' in lines
    assert 'lepton_serving_batch_items_sum{handler="double"} 4' in lines


async def test_a_class_without_handlers_is_refused(serve: Serve) -> None:
    with pytest.raises(InvalidInput, match="has no handlers"):
        serve(Point(1))


async def test_a_handler_may_not_take_the_path_of_the_replica(serve: Serve) -> None:
    class Clash:
        @handler
        def health(self) -> None: ...

    with pytest.raises(InvalidInput, match="/health is taken"):
        serve(Clash())
