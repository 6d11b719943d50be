"""The doors of Ray's processes: every socket that they listen on, and whether a stranger gets an answer there."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import psutil

from lepton_ai.errors import Forbidden

KNOCK_SECONDS = 2.0
ANSWER_BYTES = 4096
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
# The request of ShadowRay (CVE-2023-48022): a job of anybody's, to whoever answers. https://nvd.nist.gov/
SHADOW_RAY = b'{"entrypoint": "id"}'
WRONG_TOKEN = "0" * 64


class Answer(StrEnum):
    """What a stranger finds at a door."""

    SILENT = "silent"  # closes the connection, or says nothing
    MUTUAL_TLS = "mutual_tls"  # speaks TLS, and hangs up on who shows no certificate of the cluster's authority
    REFUSED = "refused"  # speaks HTTP, and answers 401 or 403 to everything
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket that a process listens on."""

    address: str
    port: int
    process: str

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.process} on {host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at one door, and why it counts as open if it does."""

    listener: Listener
    answer: Answer
    why: str = ""


def listeners(processes: Iterable[psutil.Process]) -> Sequence[Listener]:
    """Return the TCP sockets that the processes listen on and that others than this machine can reach."""
    found: dict[tuple[str, int], Listener] = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            name = process.name()
            for each in process.net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN and not _is_loopback(each.laddr.ip):
                    found[each.laddr.ip, each.laddr.port] = Listener(each.laddr.ip, each.laddr.port, name)
    return sorted(found.values(), key=lambda one: (one.port, one.address))


def examine(processes: Iterable[psutil.Process], address: str) -> Sequence[Finding]:
    """Knock at every door of the processes as a stranger would; `address` stands for those on all addresses."""
    return [_finding(listener, address) for listener in listeners(processes)]


def check(findings: Iterable[Finding]) -> None:
    """Raise Forbidden if any door is open."""
    open_doors = [finding for finding in findings if finding.answer is Answer.OPEN]
    if open_doors:
        told = "; ".join(f"{finding.listener}: {finding.why}" for finding in open_doors)
        raise Forbidden(
            f"Ray was ended again, since {len(open_doors)} of its ports answer strangers: {told}.",
            hint="Is another version of Ray installed than 'lepton-ai[cluster]' brings? See docs/adr/0019.",
        )


def knock(host: str, port: int) -> tuple[Answer, str]:
    """Return what a stranger finds at one port: in plain text, with a wrong token, and with TLS but no certificate."""
    bearers: tuple[dict[str, str], ...] = ({}, {"Authorization": f"Bearer {WRONG_TOKEN}"})
    for headers in bearers:
        for method, path in (("GET", "/metrics"), ("POST", "/api/jobs/"), ("GET", "/")):
            said = _send(host, port, _request(method, path, headers))
            if said.startswith(b"HTTP/1"):
                status = said.split(b" ", 2)[1][:3].decode(errors="replace")
                if status not in {"401", "403"}:
                    return Answer.OPEN, f"{method} {path} answers {status}{' with a wrong token' if headers else ''}"
            elif said and not _is_tls_alert(said):
                return Answer.OPEN, "it answers without TLS"
            else:
                return _knock_with_tls(host, port)
    return Answer.REFUSED, ""


def _finding(listener: Listener, address: str) -> Finding:
    is_wildcard = ipaddress.ip_address(listener.address).is_unspecified
    return Finding(listener, *knock(address if is_wildcard else listener.address, listener.port))


def _knock_with_tls(host: str, port: int) -> tuple[Answer, str]:
    """Find out what a port does that says nothing to plain HTTP: gRPC, with or without TLS, or something of its own."""
    if _send(host, port, HTTP2_PREFACE):
        return Answer.OPEN, "it speaks HTTP/2 without TLS"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # A stranger does not care whom it speaks to.
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, port), KNOCK_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            said = _say(wrapped)
    except OSError:
        return Answer.SILENT, ""
    return (Answer.OPEN, "it takes TLS without a certificate") if said else (Answer.MUTUAL_TLS, "")


def _say(wrapped: ssl.SSLSocket) -> bytes:
    """Return what a gRPC server answers; nothing if it hangs up.

    With TLS 1.3 a client is done before the server has seen that it shows no certificate. gRPC then hangs up.
    """
    try:
        wrapped.sendall(HTTP2_PREFACE)
        return wrapped.recv(ANSWER_BYTES)
    except OSError:
        return b""


def _request(method: str, path: str, headers: dict[str, str]) -> bytes:
    body = SHADOW_RAY if method == "POST" else b""
    lines = {"Host": "ray", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    told = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{told}Connection: close\r\n\r\n".encode() + body


def _send(host: str, port: int, request: bytes) -> bytes:
    try:
        with socket.create_connection((host, port), KNOCK_SECONDS) as connection:
            connection.sendall(request)
            return connection.recv(ANSWER_BYTES)
    except OSError:
        return b""


def _is_tls_alert(said: bytes) -> bool:
    return said[:2] == b"\x15\x03"


def _is_loopback(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)
