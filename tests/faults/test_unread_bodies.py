"""A request that is refused before its body was read must not disturb the request of anybody else."""

from __future__ import annotations

import threading

import httpx
import pytest

from tests.faults.rig import Platform

REQUESTS = 40


@pytest.mark.parametrize("size", [60, 60_000], ids=["small", "large"])
def test_refused_bodies_break_no_other_request(platform: Platform, size: int) -> None:
    """Seen with HTTP/2 clients: HAProxy used a connection again on which the rest of a body never came."""
    stop = threading.Event()
    verify = platform.client()  # shares the platform's own way of trusting its certificate

    def refused() -> None:
        with platform.client(http2=True) as client:
            while not stop.is_set():
                client.post("/api/v1/nosuch", content=_slowly(size))

    attackers = [threading.Thread(target=refused, daemon=True) for _ in range(2)]
    for attacker in attackers:
        attacker.start()
    found = [verify.get("/api/v1/whoami").status_code for _ in range(REQUESTS)]
    stop.set()
    for attacker in attackers:
        attacker.join(10)
    verify.close()

    assert found == [httpx.codes.OK] * REQUESTS


def _slowly(size: int) -> list[bytes]:
    """Return a body in two pieces, so that it does not travel with the headers."""
    return [b"a" * (size // 2), b"a" * (size // 2)]
