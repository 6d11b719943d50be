"""One conversation with an instance: HTTPS with its token, kept alive, tried again where that is safe."""

from __future__ import annotations

import json
import random
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import httpx
from pydantic import JsonValue

from lepton_ai.errors import InvalidInput, Unavailable
from lepton_ai.sdk.problems import FOLLOW_DELAYS, Interrupted, failure_of, refusal_of
from lepton_ai.sdk.profiles import Target

CONNECT_SECONDS_MAX = 10.0
ANSWER_SECONDS_MAX = 60.0  # a full disk or a busy database is told of within seconds; this is for the worst
# With several cores one may hang while another takes over: where asking again does no harm, nobody waits long for one.
ANSWER_OF_SEVERAL_SECONDS_MAX = 4.0  # a lease lasts 3 s; by then another one leads
FOLLOW_SECONDS_MAX = 20.0  # a stand-by leads within 5 s; the rest is for a machine that is busy
CONNECTIONS_MAX = 64  # streams that are followed at once, one connection each
_REPEATABLE = frozenset({"GET", "HEAD", "PUT"})  # RFC 9110, section 9.2.2, but for DELETE, whose repeat says 404
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `content` gives a body anew for each attempt; `key` makes a POST safe to send again."""

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    body: JsonValue = None
    content: Callable[[], Iterable[bytes]] | None = None
    key: str = ""
    answer_seconds_max: float = ANSWER_SECONDS_MAX

    @property
    def is_repeatable(self) -> bool:
        return self.method in _REPEATABLE or bool(self.key)


class Connection:
    """Sends calls to one instance, to whichever of its cores leads. Safe to use from several threads."""

    def __init__(
        self,
        target: Target,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.target = target
        self.sleep = sleep
        self._urls = (target.url, *target.others)
        self.url = target.url  # the core that answered last, or the next to be asked
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {target.token}", "User-Agent": "lepton-ai"},
            transport=transport,
            verify=_trust(target) if transport is None else True,
            # A proxy for the world outside cannot reach this machine's own loopback.
            trust_env=transport is None and not target.is_loopback,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, keepalive_expiry=30.0),
        )

    def send(self, call: Call) -> httpx.Response:
        """Return the answer, read whole; raises the LeptonError that a refusal or a failure means.

        Passing trouble (a broken connection, 502, 503, 504) is waited out for about 5 s where a second attempt can
        do no harm: GET, HEAD, PUT, anything with an idempotency key, and anything that was never sent.
        Of several cores, each is asked in turn until one leads.
        """
        tried, began = 0, time.monotonic()
        while True:
            try:
                with self.stream(call) as response:
                    response.read()
                return response
            except Interrupted as trouble:
                delays = self._delays(trouble) if call.is_repeatable or not trouble.was_sent else ()
                is_too_late = len(self._urls) > 1 and time.monotonic() - began > FOLLOW_SECONDS_MAX
                if tried >= len(delays) or is_too_late:
                    raise trouble.error from trouble.__cause__
                self.sleep(delays[tried] * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients, hides nothing
                tried += 1

    def fetch(self, call: Call) -> JsonValue:
        """Return the answer's JSON."""
        response = self.send(call)
        try:
            value: JsonValue = response.json()
        except ValueError as error:
            raise Unavailable(
                f"{self.url}{call.path} did not answer with JSON.", hint="Is it the URL of an instance?"
            ) from error
        return value

    @contextmanager
    def stream(self, call: Call) -> Iterator[httpx.Response]:
        """Give an answer whose body is still to be read; raises Interrupted for trouble that may pass."""
        url = self.url
        asked = replace(self.target, url=url)
        try:
            with self._client.stream(
                call.method,
                f"{url}{call.path}",
                params=dict(call.params) or None,
                content=_content(call),
                headers=_headers(call),
                timeout=self._timeout(call),
            ) as response:
                if response.status_code >= 300:
                    response.read()
                    raise refusal_of(response, asked)
                yield response
        except Interrupted as trouble:
            self._turn_away_from(url, trouble.leader)
            raise
        except httpx.TransportError as error:
            self._turn_away_from(url, "")
            raise failure_of(error, asked) from error
        except (httpx.DecodingError, httpx.InvalidURL) as error:
            raise Unavailable(f"{self.target.url} cannot be understood: {error}.") from error

    def close(self) -> None:
        self._client.close()

    def _timeout(self, call: Call) -> httpx.Timeout:
        answer = call.answer_seconds_max
        if len(self._urls) > 1 and call.is_repeatable and call.content is None and answer == ANSWER_SECONDS_MAX:
            answer = ANSWER_OF_SEVERAL_SECONDS_MAX
        return httpx.Timeout(answer, connect=min(answer, CONNECT_SECONDS_MAX))

    def _delays(self, trouble: Interrupted) -> Sequence[float]:
        return FOLLOW_DELAYS if len(self._urls) > 1 else trouble.delays

    def _turn_away_from(self, url: str, leader: str) -> None:
        """Ask another core next time: the one that is said to lead, or the next in line.

        A leader that is new to us must have a certificate of the instance's own authority to be believed.
        """
        if leader.startswith("https://") and leader not in self._urls and self.target.ca:
            self._urls = (*self._urls, leader)
        if self.url == url:
            later = self._urls[(self._urls.index(url) + 1) % len(self._urls)]
            self.url = leader if leader in self._urls else later


def _headers(call: Call) -> dict[str, str]:
    headers = dict(_JSON) if call.body is not None else {}
    if call.content is not None:
        headers["Content-Type"] = "application/octet-stream"
    if call.key:
        headers["Idempotency-Key"] = call.key
    return headers


def _content(call: Call) -> Iterable[bytes] | bytes | None:
    if call.content is not None:
        return call.content()
    if call.body is None:
        return None
    try:
        return json.dumps(call.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"The request cannot be written as JSON: {error}.") from error


def _trust(target: Target) -> ssl.SSLContext:
    """Return whom to trust: the instance's own CA and nobody else if it is known, the system's roots otherwise."""
    try:
        return ssl.create_default_context(cafile=target.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(
            f"The CA file {target.ca} cannot be used: {error}.",
            hint="Set LEPTON_CA to the file ca.pem of the instance; `lepton up` writes it.",
        ) from error
