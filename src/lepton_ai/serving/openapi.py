"""The OpenAPI 3.1 document of a served class, made from its handlers' signatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import TypeAdapter

from lepton_ai.serving.signature import Signature

Document = dict[str, Any]
_REFERENCE = "#/components/schemas/{model}"
_PROBLEM: Document = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "hint": {"type": "string"},
        "error": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_FAILURES = {
    "400": "The body is not JSON.",
    "413": "The body is too large.",
    "422": "The body does not fit the handler's parameters.",
    "429": "Too many calls wait; see Retry-After.",
    "500": "The handler failed.",
}


def describe(title: str, signatures: Mapping[str, Signature]) -> Document:
    """Return the document. Its one server is relative, so that it holds behind any path prefix."""
    adapters: list[tuple[str, Literal["validation", "serialization"], TypeAdapter[Any]]] = []
    for name, signature in signatures.items():
        adapters.append((name, "validation", signature.parameters))
        adapters.append((name, "serialization", signature.returns))
    schemas, definitions = TypeAdapter.json_schemas(adapters, ref_template=_REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "servers": [{"url": "."}],
        "paths": {
            f"/{name}": {
                "post": _operation(name, signature, schemas[name, "validation"], schemas[name, "serialization"])
            }
            for name, signature in signatures.items()
        },
        "components": {"schemas": {**definitions.get("$defs", {}), "Problem": _PROBLEM}},
    }


def _operation(name: str, signature: Signature, body: Document, result: Document) -> Document:
    media_types = ("text/event-stream", "application/x-ndjson") if signature.is_stream else ("application/json",)
    failure = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses: Document = {
        "200": {
            "description": "One value after the other." if signature.is_stream else "The result.",
            "content": {media_type: {"schema": result} for media_type in media_types},
        }
    }
    responses |= {status: {"description": text, "content": failure} for status, text in _FAILURES.items()}
    return {
        "operationId": name,
        "summary": signature.description.split("\n")[0],
        "description": signature.description,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": responses,
    }
