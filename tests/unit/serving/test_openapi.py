"""The OpenAPI document says what the signatures say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from lepton_ai.serving.openapi import describe
from lepton_ai.serving.signature import read_signature


@dataclass
class Point:
    x: int


def move(point: Point, by: int = 2) -> list[Point]:
    """Move a point.

    By so many steps.
    """
    return [Point(point.x + by)]


async def tokens(prompt: str) -> AsyncIterator[str]:
    yield prompt


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    signatures = {each.__name__: read_signature(each.__name__, each, is_batched=False) for each in (move, tokens)}
    return describe("Points", signatures)


def resolve(document: dict[str, Any], reference: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def test_it_is_openapi_3_1_with_one_post_per_handler(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert {path: list(item) for path, item in document["paths"].items()} == {"/move": ["post"], "/tokens": ["post"]}


def test_parameters_have_their_types_defaults_and_duties(document: dict[str, Any]) -> None:
    operation = document["paths"]["/move"]["post"]
    body = resolve(document, operation["requestBody"]["content"]["application/json"]["schema"]["$ref"])
    assert body["required"] == ["point"]
    assert body["properties"]["by"]["type"] == "integer"
    assert body["properties"]["by"]["default"] == 2
    assert resolve(document, body["properties"]["point"]["$ref"])["properties"]["x"]["type"] == "integer"


def test_the_returned_type_is_described(document: dict[str, Any]) -> None:
    schema = document["paths"]["/move"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["type"] == "array"
    assert resolve(document, schema["items"]["$ref"])["title"] == "Point"


def test_a_stream_is_described_by_its_items_in_both_media_types(document: dict[str, Any]) -> None:
    content = document["paths"]["/tokens"]["post"]["responses"]["200"]["content"]
    assert content == {kind: {"schema": {"type": "string"}} for kind in ("text/event-stream", "application/x-ndjson")}


def test_the_docstring_is_the_description(document: dict[str, Any]) -> None:
    operation = document["paths"]["/move"]["post"]
    assert operation["summary"] == "Move a point."
    assert operation["description"].endswith("By so many steps.")
