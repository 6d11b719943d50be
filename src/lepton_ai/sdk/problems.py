"""What went wrong on the way to an instance, translated once into Lepton AI's own errors."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import httpx

from lepton_ai.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LeptonError,
    NotFound,
    NotLeading,
    StorageFailed,
    TooLarge,
    Unauthenticated,
    Unavailable,
    by_code,
)
from lepton_ai.sdk.profiles import Target

PASSING_STATUS = frozenset({502, 503, 504})
# Nothing listens: a second look is enough, for whoever asks wants to know it soon.
REFUSED_DELAYS = (0.1, 0.3)
# Something listens but the core behind it is gone or broke off: a new core is ready within 5 s. Sum: 5.1 s.
RESTART_DELAYS = (0.1, 0.2, 0.4, 0.8, 1.6, 2.0)
# One of several cores is gone, and another one takes over within 5 s. Sum: 12 s.
FOLLOW_DELAYS = (0.1, 0.2, *(0.3,) * 39)
LEADER_HEADER = "x-lepton-leader"
TEXT_MAX = 2000
START = "Start it: lepton up"

_BY_STATUS = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: InvalidInput,
    429: Unavailable,
    **dict.fromkeys(PASSING_STATUS, Unavailable),
}


class Interrupted(Exception):
    """Trouble that may pass: try again after each of `delays`. `was_sent`: the request may have been carried out.

    `leader` is the core that was named as the one to ask.
    """

    def __init__(self, error: LeptonError, *, delays: Sequence[float], was_sent: bool, leader: str = "") -> None:
        super().__init__(error)
        self.leader = leader
        self.error = error
        self.delays = delays
        self.was_sent = was_sent


def refusal_of(response: httpx.Response, target: Target) -> LeptonError | Interrupted:
    """Return what a response of status 400 or above means. Its body has been read."""
    error = _problem_of(response, target)
    if isinstance(error, NotLeading):
        leader = response.headers.get(LEADER_HEADER, "")
        return Interrupted(error, delays=RESTART_DELAYS, was_sent=False, leader=leader)
    if response.status_code in PASSING_STATUS and not isinstance(error, StorageFailed):
        return Interrupted(error, delays=RESTART_DELAYS, was_sent=True)
    return error


def failure_of(error: httpx.TransportError, target: Target) -> LeptonError | Interrupted:
    """Return what a failed connection means."""
    refused = _tls_error_of(error)
    if refused is not None:
        reason = getattr(refused, "verify_message", "") or getattr(refused, "reason", "") or str(refused)
        return Unavailable(
            f"The TLS connection to {target.url} failed: {reason}.",
            hint="Name the file of its CA in LEPTON_CA or in the profile; `lepton up` writes both.",
        )
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        gone = Unavailable(f"{target.url} does not answer.", hint=START)
        return Interrupted(gone, delays=REFUSED_DELAYS, was_sent=False)
    if isinstance(error, httpx.UnsupportedProtocol | httpx.ProxyError):
        return Unavailable(f"{target.url} cannot be reached: {error}.", hint="Check the URL and the proxy settings.")
    if isinstance(error, httpx.TimeoutException):
        late = Unavailable(f"{target.url} took the request but did not answer in time.", hint="See: lepton status")
        return Interrupted(late, delays=(), was_sent=True)
    broken = Unavailable(f"The connection to {target.url} broke off.", hint="See: lepton status")
    return Interrupted(broken, delays=RESTART_DELAYS, was_sent=True)


def _problem_of(response: httpx.Response, target: Target) -> LeptonError:
    status = response.status_code
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not (body.get("code") or body.get("detail")):
        return _bare(status, target)
    message = _text(body, "detail") or _text(body, "title") or f"HTTP {status}"
    message += _places(body.get("errors"), message)
    hint = _text(body, "hint")
    if body.get("request_id") and status >= 500:
        hint = f"{hint} (request {_text(body, 'request_id')})".strip()
    kind = by_code(_text(body, "code"))
    if kind is LeptonError:
        kind = _BY_STATUS.get(status, LeptonError)
    if kind is Unauthenticated:
        message = f"{message} The token came from {target.token_source}."
    return kind(message, hint=hint)


def _bare(status: int, target: Target) -> LeptonError:
    """Return the error for an answer that is no problem document: the data plane's own, or a stranger's."""
    if status == 401:
        return Unauthenticated(
            f"{target.url} does not accept the token from {target.token_source}.",
            hint="It may have expired: ask an administrator for a new one.",
        )
    if status in PASSING_STATUS:
        return Unavailable(f"{target.url} cannot answer now (HTTP {status}).", hint="See: lepton status")
    kind = _BY_STATUS.get(status, LeptonError)
    return kind(f"{target.url} answered HTTP {status}.", hint="Is it the URL of a Lepton AI instance?")


def _places(errors: object, message: str) -> str:
    """Return the places that are wrong and that `message` does not tell of yet."""
    if not isinstance(errors, list):
        return ""
    lines = []
    for error in errors:
        if isinstance(error, dict) and _text(error, "msg") not in message:
            place = error.get("loc", "")
            where = ".".join(map(str, place)) if isinstance(place, list) else str(place)
            lines.append(f"\n  {where}: {_text(error, 'msg')}")
    return "".join(lines)[:TEXT_MAX]


def _text(body: dict[str, object], name: str) -> str:
    return str(body.get(name) or "")[:TEXT_MAX]


def _tls_error_of(error: BaseException) -> ssl.SSLError | None:
    """Return the TLS error that `error` was made from. One that came after the handshake is a broken connection."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError) and isinstance(error, httpx.ConnectError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
