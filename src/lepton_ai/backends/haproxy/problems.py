"""What HAProxy itself answers with: RFC 9457 problem details in the form that the API and the replicas use."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

REQUEST_ID = "%[var(txn.request_id)]"  # filled in by HAProxy; the frontend lets only [A-Za-z0-9._-] in


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer. The texts are ours: no single quote, no percent sign, nothing of the request."""

    status: int
    code: str
    detail: str
    hint: str = ""

    def reply(self) -> str:
        """Return the words that follow `http-request return`, `http-error` and their like."""
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "error": self.detail,
            "request_id": REQUEST_ID,
        }
        if self.hint:
            body["hint"] = self.hint
        text = json.dumps(body)
        assert "'" not in text, text
        return f"status {self.status} content-type application/problem+json lf-string '{text}'"


UNAUTHENTICATED = Problem(
    401,
    "unauthenticated",
    "The request holds no bearer token, or one that is unknown, expired or withdrawn.",
    "Send the header Authorization: Bearer TOKEN; make a token with: lepton token create --user NAME",
)
FORBIDDEN = Problem(
    403,
    "forbidden",
    "This token does not open endpoints of this project.",
    "Use a token of the project, or ask one of its admins for a role.",
)
NOT_FOUND = Problem(404, "not_found", "This project has no such endpoint.", "See what it has: lepton endpoint list")
QUEUE_FULL = Problem(
    503,
    "unavailable",
    "Every replica of this endpoint is busy and its queue is full.",
    "Try again shortly, or add replicas: lepton endpoint scale",
)
NO_REPLICA = Problem(
    503,
    "unavailable",
    "No replica of this endpoint answered in time.",
    "See its replicas: lepton endpoint get",
)
STANDS_BY = Problem(
    503,
    "not_leading",
    "This core stands by; another one serves the endpoints.",
    "See which: lepton status",
)
CORE_DOWN = Problem(503, "unavailable", "The core of this platform does not answer.", "Start it: lepton up")
ASLEEP = Problem(
    503,
    "unavailable",
    "This endpoint has no ready replica, and the core, which would start one, does not answer.",
    "Start the core: lepton up",
)
GENERAL = (
    Problem(400, "invalid_input", "The request is not valid HTTP, or its headers are larger than 15 kB."),
    Problem(408, "timed_out", "The request did not arrive in time."),
    Problem(500, "internal", "The data plane failed."),
    Problem(502, "unavailable", "The replica ended the connection before its answer was complete or valid."),
    NO_REPLICA,
    Problem(504, "timed_out", "No answer came in time."),
)
