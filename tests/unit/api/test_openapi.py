"""The OpenAPI document: sound, complete, and true to the table of permissions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lepton_ai.types.operation import OPERATIONS
from tests.unit.api.platform import JOBS, Platform
from tests.unit.api.surface import Door, doors


def operations(platform: Platform) -> Iterator[tuple[Door, Mapping[str, Any]]]:
    """Yield every door with what the document says of it."""
    paths = platform.get("/api/v1/openapi.json").json()["paths"]
    for door in doors(platform.app):
        yield door, paths[door.path][door.method.lower()]


def test_the_document_is_served_without_a_token(shared: Platform) -> None:
    served = shared.get("/api/v1/openapi.json", token="")
    assert (served.status_code, served.json()["openapi"][:3]) == (200, "3.1")
    assert shared.get("/api/docs", token="").status_code == 200


def test_every_route_is_described_and_nothing_else(shared: Platform) -> None:
    paths = shared.get("/api/v1/openapi.json").json()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == {(door.method, door.path) for door in doors(shared.app)}


def test_every_operation_has_an_id_of_its_own(shared: Platform) -> None:
    ids = [told["operationId"] for _, told in operations(shared)]
    assert len(ids) == len(set(ids))


def test_every_operation_says_what_it_does(shared: Platform) -> None:
    assert [str(door) for door, told in operations(shared) if not told.get("description")] == []


def test_every_operation_names_its_permission(shared: Platform) -> None:
    for door, told in operations(shared):
        role, scope, _ = OPERATIONS[door.operation]
        assert told["x-permission"] == {"operation": door.operation, "role": role, "scope": scope}


def test_every_operation_tells_its_problems(shared: Platform) -> None:
    for door, told in operations(shared):
        problems = {status: body for status, body in told["responses"].items() if int(status) >= 400}
        assert {"401", "403", "422", "503"} <= problems.keys(), door
        assert {json.dumps(body["content"]) for body in problems.values()} == {
            '{"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}'
        }


def test_a_token_is_asked_for_everywhere(shared: Platform) -> None:
    document = shared.get("/api/v1/openapi.json").json()
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert [door for door, told in operations(shared) if "security" in told] == []


def test_every_reference_leads_somewhere(shared: Platform) -> None:
    text = shared.get("/api/v1/openapi.json").text
    schemas = json.loads(text)["components"]["schemas"]
    found = {name.replace("~1", "/") for name in re.findall(r'"#/components/schemas/([^"]+)"', text)}
    assert found <= schemas.keys()
    assert "HTTPValidationError" not in schemas


def test_every_path_parameter_is_declared(shared: Platform) -> None:
    for door, told in operations(shared):
        declared = {one["name"] for one in told.get("parameters", ()) if one["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", door.path)), door


def test_streams_are_told_as_such(shared: Platform) -> None:
    streams = {door.path for door, told in operations(shared) if "text/event-stream" in str(told["responses"])}
    assert f"{JOBS}/watch".replace("default", "{project}") in streams
    assert {path.rsplit("/", 1)[1] for path in streams} == {"watch", "logs"}


def test_pages_name_what_they_hold(shared: Platform) -> None:
    listed = dict(operations(shared))
    (told,) = [told for door, told in listed.items() if door.operation == "job.list"]
    assert told["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Listing_Job_"
    }


def test_a_problem_looks_as_described(shared: Platform) -> None:
    schema = shared.get("/api/v1/openapi.json").json()["components"]["schemas"]["Problem"]
    refused = shared.post(JOBS, {"spec": {"x": 1}}).json()
    assert refused.keys() == schema["properties"].keys()
    assert set(schema["required"]) <= refused.keys()
