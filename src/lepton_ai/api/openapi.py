"""The OpenAPI 3.1 document: what FastAPI finds out, with permissions, problems and streams added to each operation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from lepton_ai.api.access import GuardedRoute
from lepton_ai.types.base import Model
from lepton_ai.types.operation import OPERATIONS

ABOUT = """The API of Lepton AI. The same verbs for every kind; errors are RFC 9457 problem details.
Send `Authorization: Bearer TOKEN`; `x-permission` names what each operation needs."""
PROBLEM = {"$ref": "#/components/schemas/Problem"}
STREAMS = ("/watch", "/logs")

T = TypeVar("T", bound=BaseModel)


class Listing(Model, Generic[T]):
    """One page of a list; `next` is the cursor of the following page, empty at the end."""

    items: Sequence[T]
    next: str = ""


class WrongField(Model):
    """One place of a request that is wrong."""

    loc: str
    msg: str


class Problem(Model):
    """Why a request was refused (RFC 9457). `code` is stable, `hint` says what to do next."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    errors: Sequence[WrongField] = ()


def document(app: FastAPI) -> dict[str, Any]:
    """Return the document of `app`, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
        schemas = schema["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        whole = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(whole.pop("$defs"), Problem=whole)
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
        for route, method in guarded(app):
            _complete(schema["paths"][route.path_format][method.lower()], route, method)
        app.openapi_schema = schema
    return app.openapi_schema


def guarded(app: FastAPI) -> Iterator[tuple[GuardedRoute, str]]:
    """Yield every route that the gate guards, with each of its methods."""
    for route in app.routes:
        if isinstance(route, GuardedRoute):
            for method in sorted(route.methods or ()):
                yield route, method


def _complete(operation: dict[str, Any], route: GuardedRoute, method: str) -> None:
    permission = OPERATIONS[route.operation]
    operation["x-permission"] = {
        "operation": route.operation,
        "role": permission.role.value,
        "scope": permission.scope.value,
    }
    declared = operation.setdefault("parameters", [])
    told = {parameter["name"] for parameter in declared if parameter["in"] == "path"}
    for name in re.findall(r"{(\w+)}", route.path_format):
        if name not in told:  # The gate reads the project; no function takes it.
            declared.append({"name": name, "in": "path", "required": True, "schema": {"type": "string"}})
    responses = operation["responses"]
    for content in responses.get("200", {}).get("content", {}).values():
        if "$ref" in content["schema"]:
            content["schema"] = {"$ref": content["schema"]["$ref"]}
    if route.path.endswith(STREAMS):
        responses["200"]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    for status, meaning in _problems(method, changes=permission.changes, has_parameters="{" in route.path):
        responses[status] = {"description": meaning, "content": {"application/problem+json": {"schema": PROBLEM}}}


def _problems(method: str, *, changes: bool, has_parameters: bool) -> Iterator[tuple[str, str]]:
    yield "401", "No token, or one that is unknown, expired or withdrawn"
    yield "403", "The token's roles do not allow it"
    if has_parameters:
        yield "404", "There is no such object or project"
    if changes:
        yield "409", "It was changed meanwhile, its name is taken, or its state does not allow it"
    if method in {"POST", "PUT", "PATCH"}:
        yield "413", "The request holds more than the limit"
    yield "422", "The request is wrong in itself"
    yield "503", "The database or the state folder refuses"
