"""Answers that say what went wrong: RFC 9457 problem details, and the exception that carries one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from pydantic_core import ErrorDetails, ValidationError

from lepton_ai.errors import LeptonError

MEDIA_TYPE = b"application/problem+json"
ERRORS_MAX = 20  # a 10,000-item list with every item wrong would otherwise be answered with megabytes


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field. `pointer` is a JSON pointer as a URI fragment (RFC 6901 section 6), as in RFC 9457 section 3."""

    pointer: str
    detail: str


class Refusal(LeptonError):
    """A request that is answered with a problem instead of a result."""

    code = "refused"

    def __init__(
        self, status: int, message: str, *, hint: str = "", code: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.http_status = status
        self.code = code or HTTPStatus(status).phrase.lower().replace(" ", "_")
        self.headers = dict(headers or {})
        self.errors: Sequence[FieldError] = ()


def refusal_of(error: LeptonError) -> Refusal:
    """Return `error` as a refusal with the same status, code, sentence and hint."""
    if isinstance(error, Refusal):
        return error
    return Refusal(error.http_status, error.message, hint=error.hint, code=error.code)


def invalid_body(error: ValidationError, known: Sequence[str]) -> Refusal:
    """Return what a body that does not fit is answered with: 400 if it is no JSON, 422 with the fields otherwise."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return Refusal(
            400, f"The body is not JSON: {found[0]['msg'].removeprefix('Invalid JSON: ')}.", code="invalid_json"
        )
    fields = [FieldError(_pointer(each), _sentence(each, known)) for each in found[:ERRORS_MAX]]
    listed = "; ".join(f"{field.pointer}: {field.detail}" for field in fields[:3])
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    refusal = Refusal(422, f"The body does not fit: {listed}{more}.", code="invalid_input")
    refusal.errors = fields
    return refusal


def encode(refusal: Refusal, request_id: str) -> bytes:
    """Return the problem as JSON. `error` repeats the sentence for clients of the Open Inference Protocol."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(refusal.http_status).phrase,
        "status": refusal.http_status,
        "detail": refusal.message,
        "code": refusal.code,
        "error": refusal.message,
        "request_id": request_id,
    }
    if refusal.hint:
        problem["hint"] = refusal.hint
    if refusal.errors:
        problem["errors"] = [{"pointer": each.pointer, "detail": each.detail} for each in refusal.errors]
    return json.dumps(problem, ensure_ascii=False).encode()


def _pointer(error: ErrorDetails) -> str:
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in error["loc"])
    return "#" + "".join(f"/{step}" for step in steps)


def _sentence(error: ErrorDetails, known: Sequence[str]) -> str:
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        return f"is not a parameter; known: {', '.join(known) or 'none'}"
    if not error["loc"]:
        return f"the body must be a JSON object with the parameters: {', '.join(known) or 'none'}"
    return error["msg"][:1].lower() + error["msg"][1:]
