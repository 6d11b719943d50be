"""Joins a cluster: knows the core by the fingerprint in the join token, proves who it is, keeps what it is given."""

from __future__ import annotations

import hmac
import http.client
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from lepton_ai.backends.home import Home
from lepton_ai.backends.node_certificates import fingerprint_of, request_certificate
from lepton_ai.backends.ray_cluster.addresses import own_address
from lepton_ai.backends.ray_cluster.place import ClusterPlace, Joined
from lepton_ai.backends.ray_cluster.process import check_installed
from lepton_ai.backends.ray_cluster.versions import own_versions
from lepton_ai.errors import Conflict, InvalidInput, LeptonError, Unauthenticated, Unavailable, by_code
from lepton_ai.kernel.clock import Clock
from lepton_ai.node.hardware import detect_hardware
from lepton_ai.node.limits import detect_limits
from lepton_ai.types.membership import CallBack, JoinAnswer, JoinRequest

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0  # the core calls back meanwhile
ANSWER_BYTES_MAX = 1024 * 1024
NONCE_BYTES = 24
HTTPS_PORT = 8443
PATH = "/api/v1/cluster/nodes"


@dataclass(frozen=True, slots=True)
class JoinWish:
    """What the user says: where the core is, the token, and how this machine shall be known."""

    url: str
    token: str = field(repr=False)
    name: str = ""
    address: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def join(wish: JoinWish, home: Path, clock: Clock) -> Joined:
    """Make this machine a node, and return what it remembers of that; Ray does not run yet.

    Raises Unavailable if the core cannot be reached, is not the one of the token, or cannot reach us; Unauthenticated
    for a token that does not hold; InvalidInput or Conflict for what keeps this machine from being a node there.
    """
    check_installed()
    host, port = _host_and_port(wish.url)
    secret, fingerprint = _parts_of(wish.token)
    folder, place = Home(home), ClusterPlace(home)
    if place.joined.exists():
        raise Conflict(
            f"This machine is node {place.recall().name!r} of {place.recall().url} already.",
            hint="To start it again: lepton join; to take it out first: lepton leave",
        )
    name = wish.name or folder.node_name()
    key, request = request_certificate(name)
    with _pinned(host, port, fingerprint) as connection:
        address = own_address(wish.address or connection.sock.getsockname()[0])
        with _answering(address) as call_back:
            told = _request(_Itself(name, address, request, home), wish.labels, call_back, clock)
            answer = _ask(connection, secret, told)
    place.make()
    place.keep_identity(key, answer.certificate, answer.authority)
    place.keep(place.token, answer.cluster_token.encode())
    joined = Joined(answer.name, wish.url.rstrip("/"), answer.head, address, answer.node_token)
    place.remember(joined)  # Last: with it, this machine is a node.
    return joined


@dataclass(frozen=True, slots=True)
class _Itself:
    name: str
    address: str
    certificate_request: str
    home: Path


def _request(itself: _Itself, labels: Mapping[str, str], call_back: CallBack, clock: Clock) -> JoinRequest:
    try:
        return JoinRequest(
            name=itself.name,
            address=itself.address,
            labels=dict(labels),
            certificate_request=itself.certificate_request,
            call_back=call_back,
            hardware=detect_hardware(home=itself.home),
            limits=detect_limits(itself.home).sentence,
            versions=own_versions(),
            sent_at=clock.now(),
        )
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise InvalidInput(f"This machine cannot join so: {told}.") from error


@contextmanager
def _pinned(host: str, port: int, fingerprint: str) -> Iterator[http.client.HTTPSConnection]:
    """Give a connection to the very core that made the token: its certificate must be the one that the token names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # The fingerprint says more than any authority could.
    connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)
    try:
        connection.connect()
        shown = connection.sock.getpeercert(binary_form=True) or b""
        if not hmac.compare_digest(fingerprint_of(shown), fingerprint):
            raise Unavailable(
                f"Who answers at {host}:{port} is not the instance that made this join token; nothing was sent to it.",
                hint="Check the URL, and make a new token there: lepton node token",
            )
        connection.sock.settimeout(ANSWER_SECONDS)
        yield connection
    except (OSError, http.client.HTTPException) as error:
        why = "timed out" if isinstance(error, TimeoutError) else getattr(error, "strerror", "") or str(error)
        raise Unavailable(
            f"The core at {host}:{port} cannot be reached: {why}.",
            hint="Check the URL, and that the core listens there: lepton up --cluster --address IP",
        ) from error
    finally:
        connection.close()


@contextmanager
def _answering(address: str) -> Iterator[CallBack]:
    """Answer at `address` with a nonce while this lasts, so that the core sees that the address is ours."""
    nonce = secrets.token_hex(NONCE_BYTES)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as door:
        door.bind((address, 0))
        door.listen()

        def answer() -> None:
            while True:
                try:
                    caller, _ = door.accept()
                    with caller:
                        caller.sendall(nonce.encode())
                except OSError:
                    return  # closed

        thread = threading.Thread(target=answer, name="call-back", daemon=True)
        thread.start()
        try:
            yield CallBack(port=door.getsockname()[1], nonce=nonce)
        finally:
            door.shutdown(socket.SHUT_RDWR)


def _ask(connection: http.client.HTTPSConnection, secret: str, told: JoinRequest) -> JoinAnswer:
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    connection.request("POST", PATH, told.model_dump_json(), headers)
    response = connection.getresponse()
    body = response.read(ANSWER_BYTES_MAX)
    if response.status >= 300:
        raise _refusal(response.status, body)
    try:
        return JoinAnswer.model_validate_json(body)
    except ValidationError as error:
        raise Unavailable("The core's answer cannot be read.", hint="Is it of another version?") from error


def _refusal(status: int, body: bytes) -> LeptonError:
    try:
        problem = json.loads(body)
        kind, message, hint = by_code(str(problem["code"])), str(problem["detail"]), str(problem.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"The core answered HTTP {status}.", hint="Is it the URL of a Lepton AI instance?")
    if kind is Unauthenticated:
        return Unauthenticated(
            "The join token was used, has expired, or is not this instance's.",
            hint="Make a new one on the core's machine: lepton node token",
        )
    return kind(message, hint=hint)


def _host_and_port(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or HTTPS_PORT
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    if parts.scheme != "https" or not host:
        raise InvalidInput(f"{url[:200]!r} is not the URL of a core.", hint="Write https://HOST:PORT")
    return host, port


def _parts_of(token: str) -> tuple[str, str]:
    secret, dot, fingerprint = token.strip().partition(".")
    if not (secret and dot and fingerprint and token.isascii()):
        raise InvalidInput(
            "This is not a join token, or not a whole one.", hint="Make one on the core's machine: lepton node token"
        )
    return secret, fingerprint
