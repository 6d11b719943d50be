"""A small HTTP/1.1 load generator: one process, kept-alive connections, each sends again once it has its answer.

It runs the same code against every target, and its own use of the processor is told, since it shares the machine.
"""

from __future__ import annotations

import gc
import select
import socket
import ssl
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
ANSWER_BYTES_MAX = 65536
ANSWER_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is asked. `body` is what each answer must end with; `ca` empty speaks plain HTTP."""

    port: int
    path: str = "/"
    token: str = ""
    body: bytes
    ca: Path | None = None

    def request(self) -> bytes:
        authorization = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        return f"GET {self.path} HTTP/1.1\r\nHost: {HOST}\r\n{authorization}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Load:
    """What one round found: the median latency, the rate, and the processor time that the generator itself took."""

    p50_ms: float
    p99_ms: float
    per_second: float
    own_us: float


def apply_load(target: Target, clients: int, seconds: float) -> Load:
    """Ask `target` over `clients` connections for so many seconds; raises RuntimeError for any answer but 200."""
    sockets = {each.fileno(): each for each in (_connect(target) for _ in range(clients))}
    gc.disable()  # a pause of ours is not the target's
    try:
        cpu, began = time.process_time(), time.perf_counter()
        latencies = _drive(target, sockets, began + seconds)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        gc.enable()
        for each in sockets.values():
            each.close()
    ordered = sorted(latencies)
    p99 = ordered[int(len(ordered) * 0.99)]
    return Load(statistics.median(ordered) * 1e3, p99 * 1e3, len(ordered) / took, cpu / len(ordered) * 1e6)


def _connect(target: Target) -> socket.socket:
    plain = socket.create_connection((HOST, target.port), ANSWER_SECONDS_MAX)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if target.ca is None:
        connected = plain
    else:
        connected = ssl.create_default_context(cafile=str(target.ca)).wrap_socket(plain, server_hostname=HOST)
    connected.setblocking(False)
    return connected


def _drive(target: Target, sockets: dict[int, socket.socket], until: float) -> list[float]:
    request, body, now = target.request(), target.body, time.perf_counter
    poll = select.epoll()
    sent: dict[int, float] = {}
    parts = dict.fromkeys(sockets, b"")
    latencies: list[float] = []
    for number, each in sockets.items():
        poll.register(number, select.EPOLLIN)
        sent[number] = now()
        each.sendall(request)
    while (at := now()) < until:
        ready = poll.poll(ANSWER_SECONDS_MAX)
        if not ready:
            raise RuntimeError(f"port {target.port} did not answer within {ANSWER_SECONDS_MAX:g} s")
        for number, _ in ready:
            try:
                answer = parts[number] + sockets[number].recv(ANSWER_BYTES_MAX)
            except (ssl.SSLWantReadError, BlockingIOError):
                continue
            if not answer.endswith(body):
                parts[number] = _checked(answer, parts[number])
                continue
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"port {target.port} answered {answer[:200]!r}")
            at = now()
            latencies.append(at - sent[number])
            parts[number], sent[number] = b"", at
            sockets[number].send(request)
    return latencies


def _checked(answer: bytes, before: bytes) -> bytes:
    """Return the part of an answer that has come so far; raise RuntimeError if no more will."""
    if answer == before or (len(answer) > 12 and not answer.startswith(b"HTTP/1.1 200")):
        raise RuntimeError(f"the connection ended, or was refused: {answer[:200]!r}")
    return answer
