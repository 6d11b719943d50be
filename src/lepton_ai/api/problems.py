"""Errors as RFC 9457 problem details."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from lepton_ai.errors import LeptonError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
ERRORS_MAX = 20  # of the places that are wrong in one request
MESSAGE_MAX = 300


def install(app: FastAPI) -> None:
    """Make every error leave `app` as a problem."""
    app.add_exception_handler(LeptonError, _lepton)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(ValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _cut_off)
    app.add_exception_handler(Exception, _unexpected)


def problem(status: int, code: str, detail: str, *, hint: str = "", errors: Sequence[object] = ()) -> JSONResponse:
    """Return a problem as a response."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "hint": hint,
    }
    if errors:
        body["errors"] = list(errors)
    headers = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


async def _lepton(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LeptonError)
    return problem(error.http_status, error.code, error.message, hint=error.hint)


async def _validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError | ValidationError)
    found = [_place(one) for one in error.errors()[:ERRORS_MAX]]
    first = found[0] if found else {"loc": "body", "msg": "is wrong"}
    more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
    detail = f"{first['loc']}: {first['msg']}{more}"
    return problem(422, "invalid_input", detail, hint="See the schema: GET /api/v1/openapi.json", errors=found)


def _place(one: object) -> dict[str, str]:
    assert isinstance(one, dict)
    loc = ".".join(str(part) for part in one["loc"] if part not in {"body", "function-after", "is-instance"})
    message = str(one["msg"]).removeprefix("Value error, ")
    if one["type"] == "extra_forbidden":
        message = "is not a field here"
    if one["type"] == "model_attributes_type" and not loc:
        message = "must be a JSON object, sent with Content-Type: application/json"
    return {"loc": loc[:MESSAGE_MAX] or "body", "msg": message[:MESSAGE_MAX]}


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 413: "too_large"}.get(error.status_code, "invalid_input")
    detail = f"{request.method} {request.url.path[:MESSAGE_MAX]}: {error.detail}."
    answer = problem(error.status_code, code, detail, hint="What there is: GET /api/v1/openapi.json")
    answer.headers.update(error.headers or {})
    return answer


async def _cut_off(_request: Request, _error: Exception) -> JSONResponse:
    # Nobody hears this but the log of a proxy.
    return problem(400, "invalid_input", "The request was cut off.", hint="Send it again.")


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("request_failed method=%s path=%s", request.method, request.url.path, exc_info=error)
    hint = "The core's log has the details: lepton doctor shows where it is."
    return problem(500, "internal", "The platform made a mistake; nothing was changed.", hint=hint)
