"""What the data plane should be doing: a value that its adapter brings about and keeps so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NEVER_EXPIRES = 253_402_300_799  # the last second of the year 9999


class ServerState(StrEnum):
    READY = "ready"
    DRAIN = "drain"  # ends what is in flight, gets nothing new


@dataclass(frozen=True, slots=True)
class Server:
    """One replica as the data plane reaches it."""

    id: str
    address: str
    port: int
    state: ServerState = ServerState.READY
    health_path: str = "/"
    max_concurrency: int = 0


@dataclass(frozen=True, slots=True)
class EndpointRoute:
    """`/endpoints/<project>/<name>/` and the servers behind it; without servers, requests wake the endpoint."""

    project: str
    name: str
    servers: tuple[Server, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """A token (by hash) that may call the endpoints of `project`, "*" for all, until `expires_epoch` (seconds)."""

    sha256: str
    project: str
    expires_epoch: int = NEVER_EXPIRES


@dataclass(frozen=True, slots=True)
class EndpointFigures:
    """What the data plane counted for one endpoint. `idle_seconds` is the time since its last request."""

    in_flight: int = 0
    queued: int = 0
    requests_total: int = 0
    idle_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """One server as the data plane sees it."""

    is_up: bool = False
    in_flight: int = 0
